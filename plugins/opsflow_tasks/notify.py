"""Tell people: by mail, chat, pager (apprise), by a webhook, or by a command of your own."""

import json
import shlex
import sys
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from opsflow import CommandFailed, Context, Duration, Preview, Secret, TaskFailed, hookimpl

_PROGRAM = f"{shlex.quote(sys.executable)} -P -m opsflow_tasks._notifying"
_SUMMARY = 60
_MARGIN = 30.0
"""Seconds beyond `timeout` for the program to start and to end."""

Url = str | Secret


class Params(BaseModel):
    """A message, and who gets it. It is sent from the control machine."""

    model_config = ConfigDict(extra="forbid")

    message: str = Field(min_length=1, description="What they are told.")
    title: str | None = Field(None, description="Its subject, where there is such a thing.")
    level: Literal["info", "success", "warning", "failure"] = Field(
        "info", description="What sort of news it is; many services show it by a colour or a sign."
    )
    to: Url | list[Url] = Field(
        default_factory=list,
        description="URLs as apprise knows them, one for each service: `mailtos://...`, `slack://...`, `ntfy://...`."
        " Needs the library apprise: `pip install 'opsflow[notify]'`. They hold tokens: give references,"
        " `secret('env:NAME')`.",
    )
    webhook: Url | None = Field(
        None,
        description="URL that gets a POST with JSON: `title`, `message`, `level`, `run`, `step`, `host`. Any 2xx will"
        " do.",
    )
    headers: dict[str, str | Secret] = Field(
        default_factory=dict, description="Headers for `webhook`, an `Authorization` for example."
    )
    command: str | None = Field(
        None,
        description="Command that gets the message as its standard input: `mail -s 'maintenance' ops@example.com`.",
    )
    reverted: str | None = Field(None, description="What they are told if the step is rolled back; by default nothing.")
    required: bool = Field(
        default=False,
        description="Whether the step fails if somebody could not be told. By default that is only logged: no message"
        " is worth a rollback.",
    )
    timeout: Duration = Field(30.0, gt=0, description="How long it may take, each of `to`, `webhook` and `command`.")

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not (self.to or self.webhook or self.command):
            raise ValueError("nobody is told: give `to`, `webhook` or `command`")
        if self.headers and not self.webhook:
            raise ValueError("`headers` need `webhook`")
        return self

    @property
    def urls(self) -> list[Url]:
        """`to` as a list."""
        return self.to if isinstance(self.to, list) else [self.to]


class Outputs(BaseModel):
    """Who was told."""

    sent: list[str] = Field(description="Those that the message was sent to, without what is secret in their URLs.")
    failed: dict[str, str] = Field(description="Those that it could not be sent to, each with the reason.")


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
    """Can it be sent from here, and are these URLs that somebody understands? Nothing is sent."""
    line = " ".join((params.title or params.message).split())
    summary = f"tell: {line}" if len(line) <= _SUMMARY else f"tell: {line[: _SUMMARY - 1]}…"
    if params.urls or params.webhook:
        order = json.dumps(_addresses(ctx, params))
        looked = ctx.probe(f"{_PROGRAM} check", env={"OPSFLOW_NOTIFY": order})
        if not looked.ok:
            why = _last(looked.stderr)
            return Preview.fail(f"it is sent from the control machine: leave out `hosts` ({why})")
        if problems := json.loads(looked.stdout):
            return Preview.fail("; ".join(problems))
    return Preview.change(summary)


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict[str, Any]:  # noqa: ARG001 - the hook's
    """Send it to all, whoever of them cannot be reached."""
    sent, failed = _tell(ctx, params, params.message)
    if failed and params.required:
        raise TaskFailed("not everybody was told: " + _listed(failed))
    return {"sent": sent, "failed": failed}


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: Mapping[str, Any] | None) -> None:  # noqa: ARG001 - the hook's
    """What was said cannot be taken back, but something can be said to it."""
    if params.reverted:
        _tell(ctx, params, params.reverted)


def _tell(ctx: Context, params: Params, message: str) -> tuple[list[str], dict[str, str]]:
    """Who was told; who was not, and why."""
    sent: list[str] = []
    failed: dict[str, str] = {}
    if params.urls or params.webhook:
        news = {"title": params.title or "", "message": message, "level": params.level}
        origin = {"run": ctx.run_id, "step": ctx.step, "host": ctx.host}
        order = {**_addresses(ctx, params), "news": news, "origin": origin, "timeout": params.timeout}
        limit = params.timeout * (len(params.urls) + 1) + _MARGIN
        try:
            result = ctx.run(f"{_PROGRAM} send", input=json.dumps(order), check=False, timeout=limit)
            answer = json.loads(result.stdout) if result.ok else {"failed": {"everybody": _last(result.stderr)}}
        except CommandFailed as error:
            answer = {"failed": {"everybody": error.hint or "it took too long"}}
        sent += answer.get("sent", [])
        failed |= answer["failed"]
    if params.command:
        try:
            ctx.run(params.command, input=f"{message}\n", timeout=params.timeout)
            sent.append("command")
        except CommandFailed as error:
            failed["command"] = error.message
    if failed:
        ctx.log("not told: " + _listed(failed))
    return sent, failed


def _addresses(ctx: Context, params: Params) -> dict[str, Any]:
    def revealed(value: Url) -> str:
        return ctx.secret(value.name) if isinstance(value, Secret) else value

    return {
        "to": [revealed(url) for url in params.urls],
        "webhook": revealed(params.webhook) if params.webhook else None,
        "headers": {name: revealed(value) for name, value in params.headers.items()},
    }


def _listed(failed: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in failed.items())


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]
