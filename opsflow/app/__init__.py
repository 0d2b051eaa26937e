"""The use cases, and the one place where the parts are wired together."""

from opsflow.app.asking import Answer, cancel, mark
from opsflow.app.driving import RunSummary
from opsflow.app.logs import Logs
from opsflow.app.reading import RunDetail, hosts, runs, show, tasks, validate
from opsflow.app.resuming import resume, rollback
from opsflow.app.running import Request, apply, preview
from opsflow.app.saved import SavedPlan, saved_plan
from opsflow.app.settings import Settings, settings
from opsflow.engine.stop import Stop
from opsflow.model import Mark

__all__ = [
    "Answer",
    "Logs",
    "Mark",
    "Request",
    "RunDetail",
    "RunSummary",
    "SavedPlan",
    "Settings",
    "Stop",
    "apply",
    "cancel",
    "hosts",
    "mark",
    "preview",
    "resume",
    "rollback",
    "runs",
    "saved_plan",
    "settings",
    "show",
    "tasks",
    "validate",
]
