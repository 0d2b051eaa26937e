"""The protocols between the parts: who may ask what of whom. Implementations don't know each other."""

from opsflow.ports.files import Inventory, Key, Keys, References, Renderer
from opsflow.ports.journal import Journal
from opsflow.ports.reaching import OutputSink, Transport, Transports
from opsflow.ports.tasks import Context, Task, Tasks
from opsflow.ports.working import Approver, Confirm, Executor, Perform

__all__ = [
    "Approver",
    "Confirm",
    "Context",
    "Executor",
    "Inventory",
    "Journal",
    "Key",
    "Keys",
    "OutputSink",
    "Perform",
    "References",
    "Renderer",
    "Task",
    "Tasks",
    "Transport",
    "Transports",
]
