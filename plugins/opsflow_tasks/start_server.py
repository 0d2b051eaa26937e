"""Start a server and make sure that it is healthy and stays up."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, Field, model_validator

from opsflow import Context, Duration, Preview, hookimpl
from opsflow_tasks._balancer import as_before, taken_in
from opsflow_tasks._service import GONE, RUNNING, Service, describe, pid
from opsflow_tasks._target import Answer, hundredths

_STOP_SECONDS = 30.0
_STAY_DOWN_SECONDS = 1.0

idempotent = True  # the target looks before it acts: what runs is only waited for


class Params(Service):
    """Start a server and wait until it is healthy; stop it if that is reverted."""

    timeout: Duration = Field(60.0, description="How long it may take until the server is healthy.")

    @model_validator(mode="after")
    def _start_known(self) -> Self:
        if not self.startable:
            raise ValueError("how to start the server is not known: give `start`, or `command` with `pidfile`")
        return self


class Outputs(BaseModel):
    """The server that runs now."""

    service: str = Field(description="Its name.")
    running: bool = Field(description="Always true.")
    pid: int | None = Field(description="Its process id; null: not known.")
    port: int | None = Field(description="The port that was waited for; null: none.")


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
    """Does it run, and is it healthy?"""
    found = params.script("examine", timeout=hundredths(params.timeout)).look(ctx)
    if found.error:
        return Preview.fail(found.error)
    name, running = params.service, found["state"] in RUNNING
    balancer = found["balancer"].split()
    before = {"running": running, "manager": found["manager"], "balancer": balancer}
    if running and found["unhealthy"]:
        return Preview.change(f"wait until {name} is healthy: {found['unhealthy']}", before=before)
    if running and (taken_in(balancer, ready=False) or (found["drained"] and params.undrain_command)):
        return Preview.change(f"undrain {name}{describe(found, params.port)}", before=before)
    if running:
        return Preview.unchanged(f"{name} is healthy{describe(found, params.port)}", outputs=_outputs(params, found))
    taken = found["state"] in GONE and found["listener"] and not found["lent"]
    if taken or found["closed"]:
        return Preview.fail(f"port {params.port} is taken: {found['listener']} listens" if taken else found["closed"])
    return Preview.change(
        f"start {name}{describe(found, params.port)}",
        before=before,
        reversible=params.stoppable,
        why="" if params.stoppable else "how to stop it is not known: no `stop`",
    )


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict[str, Any]:
    """Start, watch, undrain: one script, whose polling costs no round trips."""
    balance = taken_in(preview.before.get("balancer", ()), ready=False)
    script = params.bring_up(preview.before, params.timeout, balance)
    return _outputs(params, script.act(ctx, f"start {params.service}"))


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: Mapping[str, Any] | None) -> None:  # noqa: ARG001 - the hook's
    """Take out what was out. Stop it if it did not run: it is this attempt's own process, so it may be killed."""
    running, balance = preview.before.get("running"), as_before(preview.before.get("balancer", ()))
    if running and not balance:
        return
    script = params.script(
        "balance" if running else "stop",
        balance=balance,
        seconds=2 * _STOP_SECONDS,
        manager=preview.before.get("manager"),
        kill=params.by != "commands",
        timeout=hundredths(_STOP_SECONDS),
        stay_down=hundredths(_STAY_DOWN_SECONDS),
        drain=0,
    )
    script.act(ctx, f"drain {params.service}" if running else f"stop {params.service}")


def _outputs(params: Params, answer: Answer) -> dict[str, Any]:
    return {"service": params.service, "running": True, "pid": pid(answer), "port": params.port}
