"""opsflow runs a maintenance procedure as a transaction over hosts.

What this module exports is all that a plugin needs.
"""

import pluggy

from opsflow.errors import CommandFailed, Interrupted, TaskFailed, TransferFailed
from opsflow.model import Action, CommandResult, Phase, Preview
from opsflow.params import LocalPath, Secret
from opsflow.ports import Context
from opsflow.units import Duration, Size

__version__ = "0.1.0"

hookimpl = pluggy.HookimplMarker("opsflow")
"""Marks a function of a plugin as the implementation of the hook of its name."""

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
