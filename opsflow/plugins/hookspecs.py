"""The plugin manual: every hook there is.

A task is a Python module with `@hookimpl` functions named `params`, `outputs`, `plan`, `execute` and `revert`. It is
found as an entry point in the group `opsflow.tasks` (the entry point's name is the task's) or as a file in the
project's `plugins/` (the file's name is the task's). Only a task's own module implements these five; a wrapper
(`@hookimpl(wrapper=True)`) of `execute` or `revert` in any other plugin is called around every task's.

`idempotent = True` in the module says that executing twice is harmless; it permits `on_unknown = "rerun"`.

`gate = True` says that the task is a question: what its `plan` intends needs somebody's approval, and with that it is
done. It has no `execute` and no `revert`. A preview that says `unchanged` opens the gate without asking.
"""

from collections.abc import Mapping
from typing import Any

import pluggy
from pydantic import BaseModel

from opsflow.events import Event
from opsflow.model import Preview
from opsflow.ports import Context

PROJECT = "opsflow"

hookspec = pluggy.HookspecMarker(PROJECT)


@hookspec(firstresult=True)
def params() -> type[BaseModel]:
    """The schema of the task's parameters: a pydantic model class. Absent: the task takes none."""
    raise NotImplementedError


@hookspec(firstresult=True)
def outputs() -> type[BaseModel]:
    """What `execute` returns: a pydantic model class. Playbooks that read another output are refused.

    One with `extra="allow"` may give more than it names. Absent: nothing is said, and nothing is checked.
    """
    raise NotImplementedError


@hookspec(firstresult=True)
def plan(ctx: Context, params: BaseModel) -> Preview:
    """Look, change nothing: what is there, what would execute change? Absent: always a change."""
    raise NotImplementedError


@hookspec(firstresult=True)
def execute(ctx: Context, params: BaseModel, preview: Preview) -> dict[str, Any] | None:
    """Do it. Returns JSON-able outputs for later steps, at most 256 KiB. Raises `TaskFailed` if it did not work."""
    raise NotImplementedError


@hookspec(firstresult=True)
def revert(
    ctx: Context,
    params: BaseModel,
    preview: Preview,
    outputs: Mapping[str, Any] | None,
) -> None:
    """Put back what this attempt changed; idempotent. `outputs` is None if execute did not finish.

    Absent: the task is irreversible.
    """


@hookspec
def opsflow_event(event: Event) -> None:
    """Something happened. Called in the engine's thread: be quick, raise nothing."""


@hookspec(firstresult=True)
def opsflow_secret(scheme: str, name: str) -> str | None:
    """The secret that `scheme:name` refers to, or None if the scheme is not yours."""
