"""Run a shell command, with an undo if it has one."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from opsflow import CommandResult, Context, Preview, Secret, TaskFailed, hookimpl
from opsflow_tasks._target import Script, revealed

_LONGEST = 96 * 1024
"""Bytes of JSON that each of stdout and stderr may take in the outputs: a node's limit is 256 KiB."""
_SUMMARY = 60


class Params(BaseModel):
    """A command for the target's `sh`."""

    model_config = ConfigDict(extra="forbid")

    run: str = Field(
        min_length=1, description="The command; fails unless it ends with 0. Quote what you put into it: no secrets."
    )
    undo: str | None = Field(
        None,
        description="Command that undoes `run`, for a rollback. It also runs when `run` failed or was interrupted, and"
        " may run twice: it must be harmless where there is nothing to undo. Without it the step is irreversible.",
    )
    creates: str | None = Field(None, description="A path: while it exists there is nothing to do.")
    removes: str | None = Field(None, description="A path: while it does not exist there is nothing to do.")
    unless: str | None = Field(
        None, description="A command that changes nothing: while it ends with 0 there is nothing to do."
    )
    cwd: str | None = Field(
        None,
        description="Directory in which all the commands run and relative paths begin; by default the login directory.",
    )
    env: dict[str, str | Secret] = Field(
        default_factory=dict, description="Environment of the commands; the place for secrets."
    )
    input: str | Secret | None = Field(
        None,
        description="Standard input of `run`; by default empty.",
        json_schema_extra={"contentMediaType": "application/octet-stream"},
    )
    changes: bool = Field(
        default=True, description="`false`: the command only checks something, and a rollback has nothing to undo."
    )
    idempotent: bool = Field(
        default=False,
        description='Whether running it twice does no harm; permits `on_unknown = "rerun"` for this step.',
    )


class Outputs(BaseModel):
    """What became of `run`: empty, with status 0, where there was nothing to do."""

    stdout: str = Field(description="What it printed, without the newlines at the end.")
    stderr: str = Field(description="What it printed as errors, without the newlines at the end.")
    exit_status: int = Field(description="Its exit status.")
    truncated: bool = Field(description="Whether `stdout` or `stderr` is only the beginning.")


@hookimpl
def params() -> type[BaseModel]:
    """The schema."""
    return Params


@hookimpl
def outputs() -> type[BaseModel]:
    """What it gives."""
    return Outputs


@hookimpl
def plan(ctx: Context, params: Params) -> Preview:
    """Is there anything to do? Asks the target only if a parameter says how to know."""
    if params.creates or params.removes or params.unless:
        found = Script(
            files=("base", "command"),
            call="nothing_to_do",
            values={name: getattr(params, name) for name in ("creates", "removes", "unless", "cwd")},
            env=params.env,
        ).look(ctx)
        if found.error:
            return Preview.fail(found.error)
        if found["because"]:
            return Preview.unchanged(found["because"], outputs=_outputs(CommandResult(exit_status=0)))
    if not params.changes:
        return Preview.change(f"check: {_short(params.run)}")
    return Preview.change(
        f"run: {_short(params.run)}", reversible=params.undo is not None, why="" if params.undo else "no `undo`"
    )


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict[str, Any]:  # noqa: ARG001 - the hook's
    """Run it."""
    given = ctx.secret(params.input.name) if isinstance(params.input, Secret) else params.input
    result = ctx.run(params.run, input=given, env=revealed(ctx, params.env), cwd=params.cwd)
    return _outputs(result)


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: Mapping[str, Any] | None) -> None:  # noqa: ARG001 - the hook's
    """Run the undo."""
    if not params.changes:
        return
    if params.undo is None:
        raise TaskFailed(f"cannot be undone, there is no `undo`: {_short(params.run)}")
    ctx.run(params.undo, env=revealed(ctx, params.env), cwd=params.cwd)


def _outputs(result: CommandResult) -> dict[str, Any]:
    stdout, stderr = _fit(result.stdout), _fit(result.stderr)
    return {
        "stdout": stdout.rstrip("\n"),
        "stderr": stderr.rstrip("\n"),
        "exit_status": result.exit_status,
        "truncated": result.truncated or (stdout, stderr) != (result.stdout, result.stderr),
    }


def _fit(text: str) -> str:
    """The beginning of a text, short enough for the outputs."""
    while (size := len(json.dumps(text))) > _LONGEST:
        text = text[: len(text) * _LONGEST // size]
    return text


def _short(command: str) -> str:
    line = " ".join(command.split())
    return line if len(line) <= _SUMMARY else f"{line[: _SUMMARY - 1]}…"
