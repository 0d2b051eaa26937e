"""Stop a server: drain it, ask it to end, wait until its process is gone and its port is closed."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from opsflow import Context, Duration, Preview, hookimpl
from opsflow_tasks._balancer import taken_in, taken_out
from opsflow_tasks._service import GONE, RUNNING, Service, describe, pid
from opsflow_tasks._target import hundredths

idempotent = True  # the target looks before it acts: what is stopped stays stopped


class Params(Service):
    """Stop a server, and start it again if that is reverted."""

    timeout: Duration = Field(
        30.0, description="How long it may take from being asked to stop until its process is gone and `port` closed."
    )
    kill: bool = Field(
        default=False,
        description="Whether the process group may be killed (SIGKILL) when that time is over; and whether it may have"
        " been killed by its manager, when the manager's own time for it was over.",
    )
    stay_down: Duration = Field(
        1.0, description="How long it must stay down to count as stopped: what restarts it may take a moment."
    )
    drain: Duration = Field(
        0.0,
        description="How long connections get to end by themselves, once `haproxy` and `drain_command` keep new ones"
        " away and before the server is stopped. It is over as soon as HAProxy has no session left there; without it,"
        " as soon as nobody is connected to `port`.",
    )
    drain_command: str | None = Field(
        None, description="Command that keeps new traffic away; run first. If it fails the server is not stopped."
    )
    start_timeout: Duration = Field(60.0, description="How long the revert waits until the server is healthy.")


class Outputs(BaseModel):
    """The server that does not run any more."""

    service: str = Field(description="Its name.")
    running: bool = Field(description="Always false.")


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
    """Does it run, and who listens on the port?"""
    found = params.script("look").look(ctx)
    if found.error:
        return Preview.fail(found.error)
    if found["state"] in GONE:
        if found["listener"]:
            return Preview.fail(
                f"{params.service} is {found['state']}, but port {params.port} is open: {found['listener']} listens"
            )
        if found["state"] == "failed" and found["manager"] == "systemd":
            before = {"running": False, "manager": "systemd"}
            return Preview.change(f"reset {params.service}: it is failed ({found['result']})", before=before)
        return Preview.unchanged(f"{params.service} is {found['state']}", outputs=_outputs(params))
    if not params.stoppable:
        return Preview.fail(f"{params.service} runs, and there is no `stop` command")
    return Preview.change(
        f"stop {params.service}{describe(found, params.port)}",
        before={
            "running": found["state"] in RUNNING,
            "pid": pid(found),
            "manager": found["manager"],
            "balancer": found["balancer"].split(),
        },
        reversible=params.startable,
        why="" if params.startable else "how to start it is not known: no `start` or `command`",
    )


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict[str, Any]:
    """Drain, stop, confirm: one script, so that it ends as one thing even if the link is lost."""
    script = params.script(
        "stop",
        seconds=params.drain_timeout + params.drain + 2 * params.timeout + params.stay_down,
        manager=preview.before.get("manager"),
        confirm=params.listener == "server",
        kill=params.kill,
        timeout=hundredths(params.timeout),
        stay_down=hundredths(params.stay_down),
        drain=hundredths(params.drain),
        drain_command=params.drain_command,
        balance=taken_out(preview.before.get("balancer", ())),
    )
    script.act(ctx, f"stop {params.service}")
    return _outputs(params)


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: Mapping[str, Any] | None) -> None:  # noqa: ARG001 - the hook's
    """Start it if it ran before and does not run now; wait until it is healthy; undrain."""
    if not preview.before.get("running"):
        return
    balance = taken_in(preview.before.get("balancer", ()), ready=True)
    params.bring_up(preview.before, params.start_timeout, balance).act(ctx, f"start {params.service} again")


def _outputs(params: Params) -> dict[str, Any]:
    # Nothing that is known only while it still runs: a later look has to give the same.
    return {"service": params.service, "running": False}
