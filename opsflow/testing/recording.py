"""A host that keeps a record of operations, as targets do, and whose link is lost where it is told to."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from opsflow.errors import Diverged, Interrupted
from opsflow.model import CommandResult, Operation, Recorded
from opsflow.ports import OutputSink, Transport


class RecordingTransport:
    """Does operations on another transport, each at most once: one that is asked for again answers as it did before.

    Args:
        host: Where they are done.
    """

    def __init__(self, host: Transport) -> None:
        self._host = host
        self._kept: dict[str, tuple[Operation, Any]] = {}
        self._lose: tuple[int, bool] = (0, False)
        self.get, self.fetch, self.tail = host.get, host.fetch, host.tail
        self.identity, self.reach = host.identity, host.reach

    @property
    def count(self) -> int:
        """How many operations were done."""
        return len(self._kept)

    def lose_at(self, number: int, *, done: bool) -> None:
        """Lose the link once, at the operation of that number, from 1: before it is done, or before its answer."""
        self._lose = (number, done)

    def run(
        self,
        command: str,
        *,
        input: bytes | BinaryIO | None = None,  # noqa: A002 - the contract's word
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        sink: OutputSink | None = None,
        op: Operation | None = None,
    ) -> CommandResult:
        """Run a command. See `ports.Transport.run`."""
        result: CommandResult = self._once(
            op, lambda: self._host.run(command, input=input, timeout=timeout, env=env, cwd=cwd, sink=sink)
        )
        return result

    def put(
        self, source: BinaryIO, path: str, *, mode: int = 0o600, digest: str = "", op: Operation | None = None
    ) -> str:
        """Write a file. See `ports.Transport.put`."""
        return str(self._once(op, lambda: self._host.put(source, path, mode=mode, digest=digest)))

    def claim(self, run: str, epoch: int) -> str:  # noqa: ARG002 - the port's
        """Whoever asks has it. See `ports.Transport.claim`."""
        return json.dumps(dict.fromkeys(("base_id", "boot", "machine", "uid", "base"), "-"))

    def record(self, op: Operation) -> Sequence[Recorded]:
        """What an attempt has on record. See `ports.Transport.record`."""
        found: list[Recorded] = []
        while kept := self._kept.get(replace(op, number=len(found) + 1).id):
            found.append(Recorded(digest=kept[0].digest, reads=kept[0].reads))
        return found

    def fence(self, op: Operation) -> None:
        """Nothing runs but what is waited for. See `ports.Transport.fence`."""

    def cancel(self, op: Operation) -> None:
        """The same. See `ports.Transport.cancel`."""

    def forget(self, attempts: Sequence[str]) -> None:
        """Keep it all. See `ports.Transport.forget`."""

    def release(self) -> None:
        """Keep it all. See `ports.Transport.release`."""

    def close(self) -> None:
        """Close the host. See `ports.Transport.close`."""
        self._host.close()

    def _once(self, op: Operation | None, do: Callable[[], Any]) -> Any:
        if op is None:  # a read
            return do()
        kept = self._kept.get(op.id)
        if kept and kept[0].digest != op.digest:
            raise Diverged("the operation at this place of the attempt was another one")
        if kept:
            return kept[1]
        number, done = self._lose
        lost = number == self.count + 1
        if not lost or done:
            self._kept[op.id] = (op, do())
        if lost:
            self._lose = (0, False)
            raise Interrupted("the link was lost, as it was told to")
        return self._kept[op.id][1]
