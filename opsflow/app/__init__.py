"""The use cases, and the one place where the parts are wired together."""

from opsflow.app.approving import approve
from opsflow.app.asking import Answer
from opsflow.app.driving import RunSummary
from opsflow.app.housekeeping import Pruned, Unlocked, export, prune, unlock, upgrade_journal
from opsflow.app.logs import Logs
from opsflow.app.marking import mark
from opsflow.app.reading import (
    RunDetail,
    host,
    hosts,
    members,
    picture,
    playbook_schema,
    runs,
    show,
    task,
    tasks,
    validate,
)
from opsflow.app.resuming import resume, rollback
from opsflow.app.running import Request, apply, preview
from opsflow.app.saved import SavedPlan, saved_plan
from opsflow.app.settings import Settings, settings
from opsflow.app.stopping import cancel, pause
from opsflow.app.wiring import operator
from opsflow.engine.stop import Stop
from opsflow.inventory.jsonschema import inventory_schema
from opsflow.model import Mark

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
