"""Start a server and make sure that it is healthy and stays up."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, Field, model_validator

from opsflow import Context, Duration, Preview, hookimpl
from opsflow_tasks._service import GONE, RUNNING, Service, describe, pid
from opsflow_tasks._target import Answer, Script, hundredths

_STOP_SECONDS = 30.0
_STAY_DOWN_SECONDS = 1.0

idempotent = True  # the target looks before it acts: what runs is only waited for


class Params(Service):
    """Start a server and wait until it is healthy; stop it if that is reverted."""

    timeout: Duration = Field(60.0, description="How long it may take until the server is healthy.")
    undrain_command: str | None = Field(
        None, description="Command that lets traffic in again; run once the server is healthy."
    )

    @model_validator(mode="after")
    def _start_known(self) -> Self:
        if not self.startable:
            raise ValueError("how to start the server is not known: give `start`, or `command` with `pidfile`")
        return self

    def health(self, call: str, *, seconds: float = 0.0, manager: str | None = None, undrain: bool = False) -> Script:
        """A script that knows when the server is healthy."""
        return self.script(
            call,
            seconds=seconds,
            manager=manager,
            timeout=hundredths(self.timeout),
            undrain=self.undrain_command if undrain else None,
        )


@hookimpl
def params() -> type[BaseModel]:
    """The schema."""
    return Params


@hookimpl
def plan(ctx: Context, params: Params) -> Preview:
    """Does it run, and is it healthy?"""
    found = params.health("examine").look(ctx)
    if found.error:
        return Preview.fail(found.error)
    name, running = params.service, found["state"] in RUNNING
    before = {"running": running, "manager": found["manager"]}
    if running and found["unhealthy"]:
        return Preview.change(f"wait until {name} is healthy: {found['unhealthy']}", before=before)
    if running and found["drained"] and params.undrain_command:
        return Preview.change(f"undrain {name}{describe(found, params.port)}", before=before)
    if running:
        return Preview.unchanged(f"{name} is healthy{describe(found, params.port)}", outputs=_outputs(params, found))
    if found["state"] in GONE and found["listener"] and not found["lent"]:
        return Preview.fail(f"port {params.port} is taken: {found['listener']} listens")
    return Preview.change(
        f"start {name}{describe(found, params.port)}",
        before=before,
        reversible=params.stoppable,
        why="" if params.stoppable else "how to stop it is not known: no `stop`",
    )


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict[str, Any]:
    """Start, watch, undrain: one script, whose polling costs no round trips."""
    seconds = 2 * params.timeout + params.stay_up + params.drain_timeout
    script = params.health("start", seconds=seconds, manager=preview.before.get("manager"), undrain=True)
    answer = script.act(ctx, f"start {params.service}")
    return _outputs(params, answer)


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: Mapping[str, Any] | None) -> None:  # noqa: ARG001 - the hook's
    """Stop it if it did not run before. It is this attempt's own process, so it may be killed."""
    if preview.before.get("running"):
        return
    script = params.script(
        "stop",
        seconds=2 * _STOP_SECONDS,
        manager=preview.before.get("manager"),
        kill=params.by != "commands",
        timeout=hundredths(_STOP_SECONDS),
        stay_down=hundredths(_STAY_DOWN_SECONDS),
        drain=0,
    )
    script.act(ctx, f"stop {params.service}")


def _outputs(params: Params, answer: Answer) -> dict[str, Any]:
    return {"service": params.service, "running": True, "pid": pid(answer), "port": params.port}
