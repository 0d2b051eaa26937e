"""Wait until a port, a web server, a file or a command says that it can go on."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from opsflow import Context, Duration, Preview, Secret, hookimpl
from opsflow_tasks._checks import Checks
from opsflow_tasks._target import Script, hundredths

idempotent = True  # it only looks


class Params(Checks):
    """Wait until all that is given holds, seen from the target. Nothing is changed there."""

    model_config = ConfigDict(extra="forbid")

    port: int | None = Field(
        None, ge=1, le=65535, description="TCP port that has to be open: on the target itself, or at `host`."
    )
    host: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._:%-]+$",
        description="Name or IP address of another machine: the target tries to connect to `port` there, with perl,"
        " python3, bash, socat or nc, whichever it has.",
    )
    file: str | None = Field(
        None,
        min_length=1,
        description="Path that has to be there. May begin with `~/`; a relative one begins in the login directory.",
    )
    contains: str | None = Field(
        None, pattern=r"^[^\r\n]+$", description="Text that has to be in a line of `file`, which may still be growing."
    )
    absent: bool = Field(
        default=False,
        description="`true`: the port has to be closed, and the file has to be gone (or without the text).",
    )
    cwd: str | None = Field(None, description="Directory in which `check` runs; by default the login directory.")
    env: dict[str, str | Secret] = Field(default_factory=dict, description="Environment of `check`.")
    timeout: Duration = Field(300.0, description="How long it may take; after that the step fails.")
    every: Duration = Field(1.0, gt=0, description="How long to wait from one look to the next.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.host and not self.port:
            raise ValueError("`host` needs `port`")
        if self.host and self.address:
            raise ValueError("`address` is one of the target itself: give it or `host`, not both")
        if self.contains and not self.file:
            raise ValueError("`contains` needs `file`")
        if not (self.port or self.http or self.file or self.check):
            raise ValueError("nothing to wait for: give `port`, `http`, `file` or `check`")
        if self.absent and (self.http or self.check or self.banner):
            raise ValueError(
                "`absent` is for `port` and `file`; let `check` be a command that says it the other way round"
            )
        return self

    @property
    def peer(self) -> str:
        """Whom the target connects to."""
        return self.host or super().peer

    def script(self, call: str, seconds: float = 0.0) -> Script:
        """A script that looks once (`look`), or until the time is over (`wait_until_met`)."""
        return Script(
            files=("base", "ports", "talk", "checks", "wait"),
            call=call,
            values={
                **self.checked,
                "host": self.host,
                "file": self.file,
                "contains": self.contains,
                "absent": self.absent,
                "cwd": self.cwd,
                "timeout": hundredths(self.timeout),
                "log": None,
                "manager": None,
            },
            env=self.env,
            seconds=seconds + self.seconds,
        )


class Outputs(BaseModel):
    """It gives nothing: it only waits."""


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
    """Is it so already?"""
    found = params.script("look").look(ctx)
    if found.error:
        return Preview.fail(found.error)
    if not found["unmet"]:
        return Preview.unchanged("it is so already")
    return Preview.change(f"wait for it, {params.timeout:g} s at most: {found['unmet']}")


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> None:  # noqa: ARG001 - the hook's
    """Look until it is so: on the target, so that it costs one round trip and goes on without its controller."""
    params.script("wait_until_met", params.timeout).act(ctx, "go on")


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: Mapping[str, Any] | None) -> None:
    """Nothing was changed."""
