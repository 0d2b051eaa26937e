"""opsflow runs a maintenance procedure as a transaction over hosts.

What this module exports is all that a plugin needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsflow.errors import CommandFailed, Interrupted, TaskFailed, TransferFailed
    from opsflow.model import Action, CommandResult, Phase, Preview
    from opsflow.params import LocalPath, Secret
    from opsflow.plugins.marker import hookimpl
    from opsflow.ports import Context
    from opsflow.units import Duration, Size

__version__ = "0.1.0"

__all__ = [
    "Action",
    "CommandFailed",
    "CommandResult",
    "Context",
    "Duration",
    "Interrupted",
    "LocalPath",
    "Phase",
    "Preview",
    "Secret",
    "Size",
    "TaskFailed",
    "TransferFailed",
    "hookimpl",
]

_HOMES = {
    "opsflow.errors": ("CommandFailed", "Interrupted", "TaskFailed", "TransferFailed"),
    "opsflow.model": ("Action", "CommandResult", "Phase", "Preview"),
    "opsflow.params": ("LocalPath", "Secret"),
    "opsflow.plugins.marker": ("hookimpl",),
    "opsflow.ports": ("Context",),
    "opsflow.units": ("Duration", "Size"),
}


def __getattr__(name: str) -> Any:
    """Exports are imported when first asked for, so that `opsflow --help` does not wait for what it does not need."""
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(home), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
