"""Put a file on the target: one of the control machine, or a text of the playbook."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, model_validator

from opsflow import Context, LocalPath, Preview, Secret, TaskFailed, hookimpl
from opsflow_tasks._content import Content
from opsflow_tasks._file import FileOutputs, FileParams, place_file, plan_file, restore_file

idempotent = True  # a file is only ever put in place whole, and not again if it is there


class Params(FileParams):
    """What to put there, and where. What was there is kept beside it, and a rollback puts it back."""

    src: LocalPath | None = Field(None, description="A file of the control machine.")
    content: str | Secret | None = Field(
        None,
        description="Instead of `src`: the text that the file is to hold, or a secret as a whole.",
        json_schema_extra={"contentMediaType": "application/octet-stream"},
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.src is None) == (self.content is None):
            raise ValueError("give either `src` or `content`")
        if self.dest.endswith("/"):
            if self.src is None:
                raise ValueError("`dest` has to name the file: only a `src` brings a name of its own")
            self.dest += Path(self.src).name
        return self


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
    """Is it there, and what would change?"""
    return plan_file(ctx, params, _content)


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict[str, Any]:
    """Put it there."""
    return place_file(ctx, params, preview, _content(ctx, params))


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: Mapping[str, Any] | None) -> None:  # noqa: ARG001 - the hook's
    """Put back what was there."""
    restore_file(ctx, preview, outputs)


def _content(ctx: Context, params: Params) -> Content:
    if params.src is None:
        if isinstance(params.content, Secret):
            return Content.of(ctx.secret(params.content.name).encode(), secret=True)
        return Content.of((params.content or "").encode())
    try:
        return Content.of_file(Path(params.src))
    except IsADirectoryError as error:
        why = f"{error.strerror}: `copy` takes a single file, `deploy_app` takes directories"
        raise TaskFailed(f"cannot read {params.src}: {why}") from error
    except OSError as error:
        raise TaskFailed(f"cannot read {params.src}: {error.strerror}") from error
