"""The use cases.

What is not asked for is not imported: the journal alone takes as long as 2,000 hosts take to be read.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from opsflow.app.settings import Settings, settings

if TYPE_CHECKING:
    from opsflow.app.approving import approve
    from opsflow.app.asking import Answer
    from opsflow.app.checking import picture, playbook_schema, task, tasks, validate
    from opsflow.app.compiling import host, hosts, members
    from opsflow.app.driving import RunSummary
    from opsflow.app.housekeeping import Pruned, Unlocked, export, prune, unlock, upgrade_journal
    from opsflow.app.logs import Logs
    from opsflow.app.marking import mark
    from opsflow.app.reading import RunDetail, runs, show
    from opsflow.app.request import Request
    from opsflow.app.resuming import resume, rollback
    from opsflow.app.running import apply, preview
    from opsflow.app.saved import SavedPlan, saved_plan
    from opsflow.app.stopping import cancel, pause
    from opsflow.app.wiring import operator
    from opsflow.engine.stop import Stop
    from opsflow.inventory.jsonschema import inventory_schema
    from opsflow.model import Mark

_HOMES = {
    "Answer": "opsflow.app.asking",
    "Logs": "opsflow.app.logs",
    "Mark": "opsflow.model",
    "Pruned": "opsflow.app.housekeeping",
    "Request": "opsflow.app.request",
    "RunDetail": "opsflow.app.reading",
    "RunSummary": "opsflow.app.driving",
    "SavedPlan": "opsflow.app.saved",
    "Stop": "opsflow.engine.stop",
    "Unlocked": "opsflow.app.housekeeping",
    "apply": "opsflow.app.running",
    "approve": "opsflow.app.approving",
    "cancel": "opsflow.app.stopping",
    "export": "opsflow.app.housekeeping",
    "host": "opsflow.app.compiling",
    "hosts": "opsflow.app.compiling",
    "inventory_schema": "opsflow.inventory.jsonschema",
    "mark": "opsflow.app.marking",
    "members": "opsflow.app.compiling",
    "operator": "opsflow.app.wiring",
    "pause": "opsflow.app.stopping",
    "picture": "opsflow.app.checking",
    "playbook_schema": "opsflow.app.checking",
    "preview": "opsflow.app.running",
    "prune": "opsflow.app.housekeeping",
    "resume": "opsflow.app.resuming",
    "rollback": "opsflow.app.resuming",
    "runs": "opsflow.app.reading",
    "saved_plan": "opsflow.app.saved",
    "show": "opsflow.app.reading",
    "task": "opsflow.app.checking",
    "tasks": "opsflow.app.checking",
    "unlock": "opsflow.app.housekeeping",
    "upgrade_journal": "opsflow.app.housekeeping",
    "validate": "opsflow.app.checking",
}

__all__ = [
    "Answer",
    "Logs",
    "Mark",
    "Pruned",
    "Request",
    "RunDetail",
    "RunSummary",
    "SavedPlan",
    "Settings",
    "Stop",
    "Unlocked",
    "apply",
    "approve",
    "cancel",
    "export",
    "host",
    "hosts",
    "inventory_schema",
    "mark",
    "members",
    "operator",
    "pause",
    "picture",
    "playbook_schema",
    "preview",
    "prune",
    "resume",
    "rollback",
    "runs",
    "saved_plan",
    "settings",
    "show",
    "task",
    "tasks",
    "unlock",
    "upgrade_journal",
    "validate",
]


def __getattr__(name: str) -> Any:
    """A use case, from where it is."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
