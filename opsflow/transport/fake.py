"""A host that exists only in memory, for tests and rehearsals."""

import hashlib
import json
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from opsflow.errors import Diverged, HostsHeld, Interrupted, TransferFailed, Unreachable
from opsflow.model import CommandResult, Recorded
from opsflow.model import Operation as Recordable
from opsflow.ports import OutputSink
from opsflow.transport.scripts import last_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a fake host was asked to do.

    Attributes:
        kind: `run`, `put`, `get` or `tail`.
        subject: The command, or the file's path.
        input: Standard input, or the file's content.
        env: Variables added to the environment.
        cwd: Directory asked for.
        timeout: Seconds allowed.
    """

    kind: str
    subject: str
    input: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    timeout: float | None = None


Answer = CommandResult | str | Callable[[Operation], CommandResult | str]
"""How a command ends: a result, what it prints before it ends with 0, or a function that says."""


class FakeTransport:
    """A host with files in a dictionary and commands that are functions.

    Args:
        files: What is there, by path. The fake works on this very dictionary.
        commands: Pairs of a regular expression and an answer; the first that is found in a command answers it. A
            command without an answer ends with 127.
        name: How messages name the host.

    Attributes:
        operations: All that was asked for, in order.
        modes: The modes of files that were put.
        forgotten: Attempts that it was told to forget; it keeps them all the same.
        unreachable: Set it, and every operation raises `Unreachable`.
        boot: Set it to something else, and the host has been booted.
    """

    def __init__(
        self,
        *,
        files: dict[str, bytes] | None = None,
        commands: Iterable[tuple[str, Answer]] = (),
        name: str = "fake",
    ) -> None:
        self.files = files if files is not None else {}
        self.modes: dict[str, int] = {}
        self.operations: list[Operation] = []
        self.unreachable = False
        self.boot = "-"
        self.forgotten: list[str] = []
        self._commands = [(re.compile(pattern, re.DOTALL), answer) for pattern, answer in commands]
        self._name = name
        self._lock = threading.RLock()
        self._interruptions: dict[int, bool] = {}
        self._records: dict[str, tuple[Recordable, CommandResult]] = {}
        self._claimed = ("", 0)
        self._fenced: set[str] = set()
        self._base_id = secrets.token_hex(8)

    def interrupt(self, number: int, *, after_effect: bool = False) -> None:
        """Lose the link at the operation of that number, counted from 1: before it had its effect, or after."""
        self._interruptions[number] = after_effect

    def run(
        self,
        command: str,
        *,
        input: bytes | BinaryIO | None = None,  # noqa: A002 - the contract's word
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        sink: OutputSink | None = None,
        op: Recordable | None = None,
    ) -> CommandResult:
        """Let the first fitting command answer. See `ports.Transport.run`."""
        if "\0" in command:
            raise ValueError("a command cannot hold a NUL character")
        given = input if isinstance(input, bytes) else input.read() if input else b""
        asked = Operation(kind="run", subject=command, input=given, env=env or {}, cwd=cwd, timeout=timeout)
        with self._lock:
            result = self._recorded(op)
            if result is None:
                lost_after = self._begin(asked)
                result = self._answer(asked)
                self._keep(op, result)
                if lost_after:
                    raise self._interrupted()
        for stream, text in (("stdout", result.stdout), ("stderr", result.stderr)):
            if sink and text:
                sink(stream, text)
        return result

    def put(
        self, source: BinaryIO, path: str, *, mode: int = 0o600, digest: str = "", op: Recordable | None = None
    ) -> str:
        """Keep the content. See `ports.Transport.put`."""
        content = source.read()
        if digest not in {"", hashlib.sha256(content).hexdigest()}:
            raise TransferFailed(f"cannot write {path} on {self._name}: what arrived is not what was sent")
        with self._lock:
            if self._recorded(op) is not None:
                return hashlib.sha256(content).hexdigest()
            lost_after = self._begin(Operation(kind="put", subject=path, input=content))
            self.files[path] = content
            self.modes[path] = mode
            self._keep(op, CommandResult(exit_status=0))
            if lost_after:
                raise self._interrupted()
        return hashlib.sha256(content).hexdigest()

    def get(self, path: str) -> bytes:
        """The content kept. See `ports.Transport.get`."""
        with self._lock:
            if self._begin(Operation(kind="get", subject=path)):
                raise self._interrupted()
            if path not in self.files:
                raise TransferFailed(f"cannot read {path} on {self._name}: No such file or directory")
            return self.files[path]

    def fetch(self, path: str, into: BinaryIO, *, check: Callable[[], None] = lambda: None) -> str:
        """The content kept. See `ports.Transport.fetch`."""
        content = self.get(path)
        check()
        into.write(content)
        return hashlib.sha256(content).hexdigest()

    def tail(self, path: str, lines: int) -> Sequence[str]:
        """The last lines of a content kept. See `ports.Transport.tail`."""
        with self._lock:
            if self._begin(Operation(kind="tail", subject=path)):
                raise self._interrupted()
            return last_lines(self.files.get(path, b"").decode(errors="replace"), lines)

    def identity(self) -> str:
        """The name, as if it were a machine's."""
        self.reach()
        return f"fake - {self._name}"

    def reach(self) -> None:
        """Fail if it is unreachable. See `ports.Transport.reach`."""
        if self.unreachable:
            raise Unreachable(f"cannot reach {self._name}: it was told to be unreachable")

    def claim(self, run: str, epoch: int) -> str:
        """Claim the host. See `ports.Transport.claim`."""
        self.reach()
        with self._lock:
            if self._claimed[0] == run and epoch < self._claimed[1]:
                raise Interrupted(f"{self._name}: a later session has taken over run {run}")
            if self._claimed[0] not in {run, ""}:
                raise HostsHeld(f"{self._name} is at work for run {self._claimed[0]}", holders={})
            self._claimed = (run, epoch)
        return json.dumps({"base_id": self._base_id, "boot": self.boot, "machine": self._name, "uid": "-", "base": "-"})

    def record(self, op: Recordable) -> Sequence[Recorded]:
        """What an attempt has on record. See `ports.Transport.record`."""
        found: list[Recorded] = []
        with self._lock:
            while kept := self._records.get(replace(op, number=len(found) + 1).id):
                found.append(Recorded(digest=kept[0].digest, reads=kept[0].reads))
        return found

    def fence(self, op: Recordable) -> None:
        """Let nothing more of an attempt start. See `ports.Transport.fence`."""
        self.reach()
        with self._lock:
            self._fenced.add(op.attempt)

    def cancel(self, op: Recordable) -> None:
        """End an attempt. See `ports.Transport.cancel`; a command of the fake is over before anybody can ask."""
        self.fence(op)

    def forget(self, attempts: Sequence[str]) -> None:
        """Outcomes are durable. See `ports.Transport.forget`."""
        self.forgotten += attempts

    def release(self) -> None:
        """The run is over. See `ports.Transport.release`."""
        with self._lock:
            self._claimed = ("", 0)
            self._records.clear()

    def close(self) -> None:
        """Nothing is open."""

    def _recorded(self, op: Recordable | None) -> CommandResult | None:
        """How an operation ended that was begun before."""
        if op is None:
            return None
        if self._claimed[0] == op.run and op.epoch < self._claimed[1]:
            raise Interrupted(f"{self._name}: another session has taken over")
        if op.attempt in self._fenced:
            raise Interrupted(f"{self._name}: the attempt was ended")
        kept = self._records.get(op.id)
        if kept is not None and kept[0].digest != op.digest:
            raise Diverged("the operation at this place of the attempt was another one")
        return kept[1] if kept is not None else None

    def _keep(self, op: Recordable | None, result: CommandResult) -> None:
        if op is not None:
            self._records[op.id] = (op, result)

    def _begin(self, operation: Operation) -> bool:
        """Record an operation; whether the link is to be lost after it."""
        self.reach()
        self.operations.append(operation)
        lost = self._interruptions.pop(len(self.operations), None)
        if lost is False:
            raise self._interrupted()
        return bool(lost)

    def _answer(self, asked: Operation) -> CommandResult:
        for pattern, answer in self._commands:
            if pattern.search(asked.subject):
                given = answer(asked) if callable(answer) else answer
                return CommandResult(exit_status=0, stdout=given) if isinstance(given, str) else given
        return CommandResult(exit_status=127, stderr=f"{self._name}: no answer to {asked.subject}\n")

    def _interrupted(self) -> Interrupted:
        return Interrupted(f"the connection to {self._name} was lost")
