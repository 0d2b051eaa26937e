"""The use cases, and the one place where the parts are wired together."""

from opsflow.app.logs import Logs
from opsflow.app.reading import RunDetail, hosts, runs, show, tasks, validate
from opsflow.app.running import Request, RunSummary, apply, preview, resume, rollback
from opsflow.app.settings import Settings, settings
from opsflow.engine.stop import Stop

__all__ = [
    "Logs",
    "Request",
    "RunDetail",
    "RunSummary",
    "Settings",
    "Stop",
    "apply",
    "hosts",
    "preview",
    "resume",
    "rollback",
    "runs",
    "settings",
    "show",
    "tasks",
    "validate",
]
