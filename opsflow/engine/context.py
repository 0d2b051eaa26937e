"""What a task sees of the world: `ports.Context` over one transport, for one job."""

import hashlib
import io
import random
import shlex
import textwrap
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from opsflow.engine.cancelling import Cancellation
from opsflow.engine.fetching import has, received
from opsflow.engine.lent import Earlier, RenderedVars, Tee
from opsflow.engine.link import Link
from opsflow.engine.trail import Trail, any_operation, booted_since, must_end, packed, result_data, unpacked
from opsflow.engine.veiled import failed, fingerprint, masked, shown
from opsflow.errors import TaskFailed, TransferFailed
from opsflow.model import CommandResult, Job, JobKind, Log, Message, Phase, Progress
from opsflow.ports import Renderer, Transport
from opsflow.report.masking import Masker

_SHOWN = 120
"""Characters of a refused command that are told."""
_LOOKING = frozenset({JobKind.PREPARE, JobKind.SETTLE})


class HookContext:
    """The context of one job, used by the thread that made it.

    Args:
        job: Whose hook is called.
        transport: The node's host.
        emit: Takes output, logs and progress, secrets masked.
        secret: Fetches the value of a reference such as `env:NAME`.
        renderer: Renders variables when they are looked at; None: they are plain.
        masker: Learns the secrets that are fetched.
        cancellation: The wish that the job ends.

    Attributes:
        masker: What it knows.
        exit_status: Of the last command.
        booted: In a replay: the host was booted since the attempt began, and what was on record may have been lost.
        link: What goes over it.
    """

    def __init__(
        self,
        job: Job,
        transport: Transport,
        *,
        emit: Callable[[Message], None],
        secret: Callable[[str], str],
        renderer: Renderer | None = None,
        masker: Masker | None = None,
        cancellation: Cancellation | None = None,
    ) -> None:
        self._job = job
        self._transport = transport
        self._emit = emit
        self._secret = secret
        self.masker = masker or Masker()
        self._vars = RenderedVars(job.variables, job.facts, renderer, job.turn)
        self._thread = threading.get_ident()
        self._earlier = Earlier(job.printed)
        self.exit_status: int | None = None
        self._trail = Trail(job, transport.record(any_operation(job)) if job.replay else ())
        self.booted = bool(job.replay) and booted_since(job, transport.claim(job.run_id, job.epoch))
        # Only now: it is no time of the hook's that it takes to reach the record.
        self._ends = None if job.timeout is None else time.monotonic() + job.timeout
        self.link = Link(cancellation or Cancellation(), self._trail.withdraw)

    # Who and where

    @property
    def host(self) -> str:
        """Inventory name of the node's host."""
        return self._job.host

    @property
    def vars(self) -> Mapping[str, Any]:
        """The node's variables, rendered when looked at."""
        return self._vars

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Outputs of earlier steps, by step id; in an included playbook those of its own steps."""
        found: Mapping[str, Any] = self._job.facts.get("outputs", {})
        part = "".join(self._job.step.rpartition("/")[:2])
        return {step.removeprefix(part): of for step, of in found.items() if step.startswith(part)}

    @property
    def project(self) -> Path:
        """Where relative local paths begin."""
        return Path(self._job.directory).absolute()

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self._job.run_id

    @property
    def task(self) -> str:
        """Name of the task."""
        return self._job.task

    @property
    def step(self) -> str:
        """Id of the step."""
        return self._job.step

    @property
    def node(self) -> str:
        """Id of the node."""
        return self._job.node

    @property
    def phase(self) -> Phase | None:
        """`execute` or `revert`; None in `plan`."""
        return None if self._job.kind in _LOOKING else self._job.phase

    @property
    def attempt(self) -> int:
        """Number of the attempt, from 1."""
        return self._job.attempt

    @property
    def deadline(self) -> float | None:
        """Seconds left of the attempt's timeout, not below 0; None: no limit."""
        return None if self._ends is None else max(self._ends - time.monotonic(), 0.0)

    # Operations

    def run(
        self,
        command: str,
        *,
        check: bool = True,
        input: str | bytes | None = None,  # noqa: A002 - the contract's word
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> CommandResult:
        """Operation: run a shell command. See `ports.Context.run`."""
        self._begin(f"run {command!r}")
        self._refuse_secret(command)
        given = input.encode() if isinstance(input, str) else input
        limit = self._limit(timeout)
        what = ("run", command, cwd, shown(env, self.masker), fingerprint(given, self.masker))
        with Tee(self._job, self.masker, self._earlier, self._emit) as sink, self.link.used(acts=True):
            op = self._trail.operation(*what)
            result = self._transport.run(command, input=given, timeout=limit, env=env, cwd=cwd, sink=sink, op=op)
        result = masked(result, self.masker)
        self.exit_status = result.exit_status
        if result.timed_out or (check and not result.ok):
            raise failed(command, result, limit, self.masker)
        return result

    def put(self, source: Path | str, path: str, *, mode: int = 0o600) -> str:
        """Operation: send a local file. See `ports.Context.put`."""
        self._begin(f"put {path!r}")
        local = Path(self.project, source)
        try:
            with local.open("rb") as stream:
                return self._put(stream, path, mode)
        except OSError as error:
            raise TaskFailed(f"cannot read {local}: {error.strerror}") from error

    def write(self, path: str, content: str | bytes, *, mode: int = 0o600) -> str:
        """Operation: write a file. See `ports.Context.write`."""
        self._begin(f"write {path!r}")
        return self._put(io.BytesIO(content.encode() if isinstance(content, str) else content), path, mode)

    # Reads

    def probe(
        self, command: str, *, timeout: float | None = 60.0, env: Mapping[str, str] | None = None
    ) -> CommandResult:
        """Read: run a command that changes nothing."""
        self._refuse_secret(command)

        def look() -> dict[str, Any]:
            return result_data(self._probe(command, timeout, env))

        return CommandResult(**self._look("probe", (command, shown(env, self.masker)), look))

    def get(self, path: str) -> bytes:
        """Read: a file's content."""
        return unpacked(self._look("get", path, lambda: packed(self._got(path))))

    def fetch(self, path: str, destination: Path | str) -> str:
        """Read: copy a file to the controller. See `ports.Context.fetch`."""
        self._begin(f"fetch {path!r}")
        local = Path(self.project, destination)
        came: list[str] = []

        def look() -> str:
            came.append(self._fetched(path, local))
            return came[0]

        digest = str(self._look("fetch", (path, str(destination)), look))
        if not came and not has(local, digest):  # replayed, where the file is not
            with self.link.used():
                if self._fetched(path, local) != digest:
                    raise TransferFailed(f"{path} is no longer what was fetched earlier in the attempt")
        return digest

    def tail(self, path: str, lines: int = 20) -> list[str]:
        """Read: the last lines of a file; empty if there is no such file."""

        def look() -> list[str]:
            self._limit(None)
            return [self.masker.text(line) for line in self._transport.tail(path, lines)]

        return list(self._look("tail", (path, lines), look))

    def wait_until(self, probe: str, *, timeout: float, every: float = 0.5) -> CommandResult:
        """Read: run a probe until it ends with 0 or the time is over; its last result tells which."""
        self._refuse_secret(probe)

        def look() -> dict[str, Any]:
            ends = time.monotonic() + timeout
            while True:
                result = self._probe(probe, max(ends - time.monotonic(), every), None)
                left = ends - time.monotonic()
                if result.ok or left <= 0:
                    return result_data(result)
                self.sleep(min(every, left))

        return CommandResult(**self._look("wait_until", probe, look))

    def now(self) -> datetime:
        """Read: the time, UTC."""
        return datetime.fromisoformat(self._look("now", "", lambda: datetime.now(UTC).isoformat()))

    def random(self) -> float:
        """Read: a random number, 0 <= n < 1."""
        return float(self._look("random", "", random.random))

    # Talk

    def quote(self, value: object) -> str:
        """`value` as one word for the target's shell."""
        return shlex.quote(str(value))

    def sleep(self, seconds: float) -> None:
        """Wait, at most until the attempt's time is over. Raises `TaskFailed` if it is over already."""
        self._check_thread()
        if not self._trail.replaying:  # else that time has passed already
            self.link.sleep(self._limit(seconds) or 0.0)

    def log(self, text: str) -> None:
        """Say something to the operator; journaled."""
        self._check_thread()
        said = Log(job=self._job, text=self.masker.text(text))
        if self._earlier.rest("log", said.line):
            self._emit(said)

    def progress(self, done: float, total: float) -> None:
        """Say how far the work is."""
        self._check_thread()
        self._emit(Progress(job=self._job, done=done, total=total))

    def secret(self, name: str) -> str:
        """The value of a reference; from now on masked everywhere."""
        self._check_thread()
        value = self._secret(name)
        self.masker.add(value)
        return value

    def render(
        self,
        text: str,
        name: str,
        variables: Mapping[str, Any] | None = None,
        *,
        secret: Callable[[str], str] | None = None,
    ) -> str:
        """A template file's text, rendered. See `ports.Context.render`."""
        self._check_thread()
        return self._vars.document(text, name, variables or {}, secret or self.secret)

    # Inside

    @property
    def behind(self) -> bool:
        """Whether something is on record that the hook, called again, has not come to."""
        return self._trail.behind

    def fence(self) -> bool:
        """What the job may not meet at work has ended and goes no further. Whether there was such a thing."""
        awaited = must_end(self._job)
        with self.link.used():
            for operation in awaited:
                self._transport.fence(operation)
        return bool(awaited)

    def end(self) -> None:
        """The hook has returned. Raises `Diverged` if it did less than the first time."""
        self._trail.end()

    def _put(self, stream: BinaryIO, path: str, mode: int) -> str:
        self._limit(None)
        digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        stream.seek(0)
        try:
            with self.link.used(acts=True):
                op = self._trail.operation("put", path, mode, digest)
                return self._transport.put(stream, path, mode=mode, digest=digest, op=op)
        except TransferFailed as error:
            raise TransferFailed(self.masker.text(error.message), hint=error.hint) from error

    def _probe(self, command: str, timeout: float | None, env: Mapping[str, str] | None) -> CommandResult:
        return masked(self._transport.run(command, timeout=self._limit(timeout), env=env), self.masker)

    def _got(self, path: str) -> bytes:
        self._limit(None)
        return self._transport.get(path)

    def _fetched(self, path: str, local: Path) -> str:
        def check() -> None:
            self.link.check()
            self._limit(None)

        check()
        return received(local, lambda stream: self._transport.fetch(path, stream, check=check))

    def _look(self, kind: str, what: object, look: Callable[[], Any]) -> Any:
        self._check_thread()
        with self.link.used():
            return self._trail.read(kind, what, look)

    def _begin(self, what: str) -> None:
        self._check_thread()
        if self.phase is None:
            raise TaskFailed(f"the task's plan hook may only look, but calls ctx.{self.masker.text(what)}")

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise RuntimeError("a context belongs to the thread that its hook is called in")

    def _refuse_secret(self, command: str) -> None:
        if self.masker.reveals(command):
            line = next(filter(self.masker.reveals, command.splitlines()), command)
            raise TaskFailed(
                f"a secret stands in a command: {textwrap.shorten(self.masker.text(line), _SHOWN)}",
                hint="pass it with input= or env=; command lines are visible to everybody on the target",
            )

    def _limit(self, timeout: float | None) -> float | None:
        left = self.deadline
        if left is None:
            return timeout
        if left <= 0:
            raise TaskFailed(f"timed out after {self._job.timeout:g} s")
        return left if timeout is None else min(timeout, left)
