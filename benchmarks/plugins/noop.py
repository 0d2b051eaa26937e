"""Nothing, so that the engine alone is measured."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from opsflow import Context, Preview, hookimpl


@hookimpl
def execute(ctx: Context, params: BaseModel, preview: Preview) -> None:
    """Do nothing."""


@hookimpl
def revert(ctx: Context, params: BaseModel, preview: Preview, outputs: Mapping[str, Any] | None) -> None:
    """Undo nothing."""
