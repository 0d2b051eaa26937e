"""What `stop_server` and `start_server` have in common: which service, and how it is run."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from opsflow import Duration, Secret
from opsflow_tasks._balancer import Haproxy
from opsflow_tasks._checks import Checks
from opsflow_tasks._target import Answer, Script, Value, hundredths

Manager = Literal["auto", "systemd", "supervisor", "pidfile", "commands"]
_CONTROL = {"systemd": "systemctl", "supervisor": "supervisorctl"}
_MANAGED = frozenset({*_CONTROL, "auto"})
RUNNING = frozenset({"running", "starting"})
GONE = frozenset({"stopped", "failed"})


class Service(Checks):
    """A service on a target. Paths may begin with `~/`; relative ones begin in the login directory."""

    model_config = ConfigDict(extra="forbid")

    service: str = Field(
        pattern=r"^[A-Za-z0-9@:._+\\/-]+$", description="Its name: the unit of systemd, the program of supervisor."
    )
    manager: Manager = Field(
        "auto",
        description="Who runs it. `auto`: `pidfile` if `pidfile` is given, else `commands` if `start`, `stop` or"
        " `status` is; else the target is asked: `systemd` if it has such a unit, `supervisor` if it has such a"
        " program.",
    )
    control: str | None = Field(
        None,
        description="How the manager is called, e.g. `sudo -n systemctl` or `supervisorctl -c /srv/supervisord.conf`;"
        " by default `systemctl` or `supervisorctl`.",
    )
    pidfile: str | None = Field(
        None,
        description="File that holds the server's process id. A file whose process is gone, or is another one by now,"
        " is stale: the server is stopped.",
    )
    process: str | None = Field(
        None,
        description="With `pidfile`: text that the process's command line must contain, so that a stale file of a"
        " server that was started by others is seen to be stale.",
    )
    command: str | None = Field(
        None,
        description="With `pidfile`: the server program, in the foreground. It is started in a session of its own,"
        " its output goes to `log`, and the pidfile is written for it. It replaces the shell (`exec`): write"
        " `env NAME=value program` rather than `NAME=value program`.",
    )
    start: str | None = Field(
        None, description="Command that starts the server and ends; with `pidfile` the server writes the file itself."
    )
    stop: str | None = Field(
        None, description="Command that stops the server; with `pidfile` and without it the process gets SIGTERM."
    )
    status: str | None = Field(
        None,
        description="With `commands`: ends with 0 while the server runs, and changes nothing. Without it the server"
        " runs while `port` is open.",
    )
    cwd: str | None = Field(None, description="Directory in which the commands run; by default the login directory.")
    env: dict[str, str | Secret] = Field(
        default_factory=dict, description="Environment of the commands and of the server they start."
    )
    log: str | None = Field(
        None,
        description="The server's log: the last lines of a start that fails are shown (systemd: of the unit's journal)."
        " With `command` its output is appended to it; without `log` it is lost.",
    )
    listener: Literal["server", "anybody"] = Field(
        "server",
        description="Whose `port` is. `anybody`: something else passes on what comes to it, a container's proxy for"
        " example; then nothing follows from who listens there, nor from its being open when the server is stopped.",
    )
    haproxy: Haproxy | None = Field(
        None,
        description="Takes the server out of HAProxy (`drain`) before it is stopped, and in again once it is healthy;"
        " what was out before stays out when that is reverted.",
    )
    drained: str | None = Field(
        None,
        description="Command that ends with 0 while the server is drained, and changes nothing. Without it a healthy"
        " server counts as undrained.",
    )
    undrain_command: str | None = Field(
        None,
        description="Command that lets traffic in again; run once the server is healthy. `stop_server` runs it when it"
        " is reverted.",
    )
    drain_timeout: Duration = Field(
        60.0, description="How long a drain or undrain command may take, and HAProxy until it has taken the server in."
    )
    stay_up: Duration = Field(
        2.0, description="How long a started server must stay healthy, as the same process, to count as started."
    )

    @property
    def by(self) -> str:
        """The manager; `auto`: only the target can tell."""
        if self.manager != "auto":
            return self.manager
        if self.pidfile:
            return "pidfile"
        if self.start or self.stop or self.status:
            return "commands"
        if self.control:
            return "supervisor" if "supervisorctl" in self.control else "systemd"
        return "auto"

    @property
    def startable(self) -> bool:
        """Whether it is known how to start it."""
        return self.by in _MANAGED or bool(self.start or (self.by == "pidfile" and self.command))

    @property
    def stoppable(self) -> bool:
        """Whether it is known how to stop it."""
        return self.by != "commands" or bool(self.stop)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.by == "pidfile" and not self.pidfile:
            raise ValueError('`manager = "pidfile"` needs `pidfile`')
        if self.by == "commands" and not (self.status or self.port):
            raise ValueError("own commands need `status` or `port`, to know whether the server runs")
        if self.command and self.by != "pidfile":
            raise ValueError("`command` needs `pidfile`")
        if self.command and self.start:
            raise ValueError("give `command` (in the foreground) or `start` (which ends), not both")
        return self

    def script(self, call: str, *, seconds: float = 0.0, manager: str | None = None, **values: Value) -> Script:
        """A script over this service.

        Args:
            call: `look`, `examine`, `stop` or `start`.
            seconds: What its own deadlines add up to.
            manager: Who runs it, as a look has found out.
            values: Replace what follows from the parameters.
        """
        own = {name: getattr(self, name) for name in _TEXTS}
        given: dict[str, Value] = {
            **dict.fromkeys(_OTHERS),
            **own,
            **self.checked,
            **(self.haproxy.values if self.haproxy else {}),
            "manager": manager or self.by,
            "anybody": self.listener == "anybody",
            "control": self.control or _CONTROL.get(manager or self.by),
            "drain_timeout": hundredths(self.drain_timeout),
            "stay_up": hundredths(self.stay_up),
        }
        return Script(
            files=(*_FILES, *(("stop",) if call == "stop" else ("writable", "start"))),
            call=call,
            values={**given, **values},
            env=self.env,
            seconds=seconds + self.seconds,
        )

    def bring_up(self, before: Mapping[str, Any], timeout: float, balance: str) -> Script:
        """The script that starts it, waits until it is healthy, and lets traffic in.

        Args:
            before: What was there, of the preview.
            timeout: Seconds until it must be healthy.
            balance: A word for each server at each balancer.
        """
        return self.script(
            "start",
            seconds=2 * timeout + self.stay_up + self.drain_timeout,
            manager=before.get("manager"),
            timeout=hundredths(timeout),
            undrain=self.undrain_command,
            balance=balance,
        )


_FILES = ("base", "log", "ports", "talk", "checks", "balancer", "service")
_TEXTS = ("service", "pidfile", "process", "command", "start", "stop", "status", "cwd", "log", "drained")
_OTHERS = ("undrain", "drain_command", "confirm", "kill", "stay_down", "sockets", "servers", "balance")


def describe(answer: Answer, port: int | None) -> str:
    """` (pid 4711, port 7000)`, as far as it is known."""
    known = [f"pid {answer['pid']}"] if pid(answer) else []
    if port:
        known.append(f"port {port}")
    return f" ({', '.join(known)})" if known else ""


def pid(answer: Answer) -> int | None:
    """The server's process id; None: not known, or there is none."""
    return int(answer["pid"] or 0) or None
