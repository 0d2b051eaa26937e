"""A host that exists only in memory, for tests and rehearsals."""

import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from opsflow.errors import Interrupted, TransferFailed, Unreachable
from opsflow.model import CommandResult
from opsflow.ports import OutputSink


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What a fake host was asked to do.

    Attributes:
        kind: `run`, `put` or `get`.
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
        unreachable: Set it, and every operation raises `Unreachable`.
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
        self._commands = [(re.compile(pattern, re.DOTALL), answer) for pattern, answer in commands]
        self._name = name
        self._lock = threading.RLock()
        self._interruptions: dict[int, bool] = {}

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
    ) -> CommandResult:
        """Let the first fitting command answer. See `ports.Transport.run`."""
        if "\0" in command:
            raise ValueError("a command cannot hold a NUL character")
        given = input if isinstance(input, bytes) else input.read() if input else b""
        asked = Operation(kind="run", subject=command, input=given, env=env or {}, cwd=cwd, timeout=timeout)
        with self._lock:
            lost_after = self._begin(asked)
            result = self._answer(asked)
            if lost_after:
                raise self._interrupted()
        for stream, text in (("stdout", result.stdout), ("stderr", result.stderr)):
            if sink and text:
                sink(stream, text)
        return result

    def put(self, source: BinaryIO, path: str, *, mode: int = 0o600) -> str:
        """Keep the content. See `ports.Transport.put`."""
        content = source.read()
        with self._lock:
            lost_after = self._begin(Operation(kind="put", subject=path, input=content))
            self.files[path] = content
            self.modes[path] = mode
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

    def identity(self) -> str:
        """The name, as if it were a machine's."""
        if self.unreachable:
            raise Unreachable(f"cannot reach {self._name}: it was told to be unreachable")
        return f"fake - {self._name}"

    def close(self) -> None:
        """Nothing is open."""

    def _begin(self, operation: Operation) -> bool:
        """Record an operation; whether the link is to be lost after it."""
        if self.unreachable:
            raise Unreachable(f"cannot reach {self._name}: it was told to be unreachable")
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
