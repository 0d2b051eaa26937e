"""Wait until somebody approves (`opsflow approve RUN`, or at the terminal)."""

from pydantic import BaseModel, ConfigDict, Field

from opsflow import Context, Preview, hookimpl

gate = True


class Params(BaseModel):
    """What is asked."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(min_length=1, description="What somebody has to look at, or to decide, before it goes on.")


class Outputs(BaseModel):
    """Who said so."""

    by: str = Field(description="Who approved.")
    at: str = Field(description="When: RFC 3339, UTC.")
    why: str = Field(description="What they said to it; may be empty.")


@hookimpl
def params() -> type[BaseModel]:
    """The schema."""
    return Params


@hookimpl
def outputs() -> type[BaseModel]:
    """What it gives."""
    return Outputs


@hookimpl
def plan(ctx: Context, params: Params) -> Preview:  # noqa: ARG001 - the hook's
    """Nothing can be known beforehand: it is somebody's word that counts."""
    return Preview.change(params.message)
