"""Put a file on the target that is made from a template of the control machine."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from opsflow import Context, LocalPath, Preview, TaskFailed, hookimpl
from opsflow_tasks._content import Content
from opsflow_tasks._file import FileOutputs, FileParams, place_file, plan_file, restore_file

_REFERENCE = "$secret"
"""Only key of a reference to a secret, as `secret()` in a playbook makes it."""

idempotent = True  # a file is only ever put in place whole, and not again if it is there


class Params(FileParams):
    """The template, what it sees, and where the file is to be. What was there is kept, and a rollback puts it back."""

    src: LocalPath = Field(
        description="The template, a UTF-8 file of the control machine. It sees what templates in the playbook see, but"
        " for outputs of other steps; `{{ secret('env:NAME') }}` in it yields the value."
    )
    vars: dict[str, Any] = Field(
        default_factory=dict,
        description="What it sees beside the variables, and before them; the place for outputs of other steps.",
    )


@hookimpl
def params() -> type[BaseModel]:
    """The schema."""
    return Params


@hookimpl
def outputs() -> type[BaseModel]:
    """What it gives."""
    return FileOutputs


@hookimpl
def plan(ctx: Context, params: Params) -> Preview:
    """Render it; is that there, and what would change?"""
    return plan_file(ctx, params, _content)


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict[str, Any]:
    """Render it again, and put it there."""
    return place_file(ctx, params, preview, _content(ctx, params))


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: Mapping[str, Any] | None) -> None:  # noqa: ARG001 - the hook's
    """Put back what was there."""
    restore_file(ctx, preview, outputs)


def _content(ctx: Context, params: Params) -> Content:
    path, fetched = Path(params.src), set[str]()

    def secret(name: str) -> str:
        fetched.add(name)
        return ctx.secret(name)

    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise TaskFailed(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise TaskFailed(f"{path} is not UTF-8") from None
    name = str(path.relative_to(ctx.project)) if path.is_relative_to(ctx.project) else str(path)
    rendered = ctx.render(text, name, _revealed(params.vars, secret), secret=secret)
    return Content.of(rendered.encode(), secret=bool(fetched))


def _revealed(value: Any, secret: Callable[[str], str]) -> Any:
    """A parameter with the values of the secrets in it, at whatever depth their references stand."""
    if isinstance(value, Mapping):
        if set(value) == {_REFERENCE}:
            return secret(str(value[_REFERENCE]))
        return {key: _revealed(item, secret) for key, item in value.items()}
    return [_revealed(item, secret) for item in value] if isinstance(value, list) else value
