"""The steps of an attempt: operations by number, and what was read between them; how a hook is called again.

A hook that was interrupted is called again with the same arguments. Its operations are asked for under the same
numbers, so that what has happened answers with its result; what it read is answered from what was stored with them.
Past the last operation on record everything is live again. Workflows of Temporal and DBOS are replayed in the same way;
here the record is on the target itself.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import takewhile
from typing import Any

from opsflow.errors import Diverged, TransferFailed
from opsflow.model import CommandResult, Job, JobKind, Operation, Phase, Recorded

_UNSIGNED = "-"
"""The hash of an operation of which the target knows only that it began: its record did not get to the disk."""
_KEPT = 32 * 1024
"""An answer that is longer is stored as its hash: in a replay it is asked for again and compared."""


class Trail:
    """The trail of one job; for a job that is not recorded it gives no operations and keeps nothing.

    Args:
        job: Whose hook is called.
        recorded: In a replay: the operations on record.
    """

    def __init__(self, job: Job, recorded: Sequence[Recorded] = ()) -> None:
        self._job = job
        self._recorded = list(takewhile(lambda one: one.digest != _UNSIGNED, recorded))
        self._unsigned = len(recorded) > len(self._recorded)
        self._number = 0
        self._reads: list[tuple[str, str, Any]] = []
        self._before = self._reads
        self._answers = self._next_answers()

    @property
    def replaying(self) -> bool:
        """Whether the next operation is on record."""
        return self._number < len(self._recorded)

    @property
    def behind(self) -> bool:
        """Whether operations are on record that were not asked for."""
        return self.replaying or (self._unsigned and self._number == len(self._recorded))

    def operation(self, *what: object) -> Operation | None:
        """The next operation, which is `what` (JSON-able, secrets masked).

        Raises:
            Diverged: something else is on record in its place.
        """
        if not self._job.record:
            return None
        digest = _digest(what)
        if self.replaying:
            if self._answers:
                raise self._diverged(f"read {self._answers[0][0]!r} before operation {self._number + 1}", what)
            if self._recorded[self._number].digest != digest:
                raise self._diverged(f"began another operation {self._number + 1}", what)
        reads = json.dumps(self._reads, separators=(",", ":")) if self._reads else ""
        self._number += 1
        self._before, self._reads = self._reads, []
        self._answers = self._next_answers()
        job = self._job
        return Operation(
            run=job.run_id,
            epoch=job.epoch,
            attempt=job.record,
            number=self._number,
            digest=digest,
            reads=reads,
            place=job.machine if job.replay else "",
            delivery=job.delivery,
        )

    def withdraw(self) -> None:
        """The last operation has certainly not begun: the next one takes its place."""
        if self._job.record:
            self._number -= 1
            self._reads = self._before
            self._answers = []

    def read(self, kind: str, what: object, look: Callable[[], Any]) -> Any:
        """The answer of a read (JSON-able), from the record or else from `look`.

        Raises:
            Diverged: something else was read in its place.
            TransferFailed: it could not be read; that is an answer too.
        """
        if not self._job.record:
            return look()
        digest = _digest((kind, what))
        found = None
        if self.replaying:
            if not self._answers or tuple(self._answers[0][:2]) != (kind, digest):
                raise self._diverged(f"did not read at this place before operation {self._number + 1}", (kind, what))
            found = self._answers.pop(0)
        failed, value = None, None
        try:
            value = _answer(found[2] if found else {}, look)
            kept: dict[str, Any] = {"value": value}
        except TransferFailed as error:
            failed, kept = error, {"failed": error.message, "hint": error.hint}
        if len(json.dumps(value)) > _KEPT:
            kept = {"hash": _digest(value)}
        if found is not None and found[2] != kept:
            raise self._diverged(f"read something else before operation {self._number + 1}", (kind, what))
        self._reads.append((kind, digest, kept))
        if failed:
            raise failed
        return value

    def end(self) -> None:
        """The hook has returned. Raises `Diverged` if operations on record were not asked for."""
        if self.behind:
            raise self._diverged(f"went on with operation {self._number + 1}", ("the end of the hook",))

    def _next_answers(self) -> list[Any]:
        if not self.replaying:
            return []
        reads = self._recorded[self._number].reads
        return list(json.loads(reads)) if reads else []

    def _diverged(self, before: str, now: tuple[object, ...]) -> Diverged:
        job = self._job
        what = " ".join(str(part) for part in now[:2])
        return Diverged(
            f"the task {job.task} is not deterministic: called again for {job.record}, it comes to {what!s:.200}; "
            f"the first time it {before}"
        )


def _answer(kept: Mapping[str, Any], look: Callable[[], Any]) -> Any:
    """What was kept of a read; what `look` sees, if that was only its hash or nothing."""
    if "failed" in kept:
        raise TransferFailed(kept["failed"], hint=kept["hint"])
    return kept["value"] if "value" in kept else look()


def _digest(what: object) -> str:
    return hashlib.sha256(json.dumps(what, default=str).encode()).hexdigest()[:32]


def result_data(result: CommandResult) -> dict[str, Any]:
    """A result as JSON."""
    return asdict(result)


def packed(content: bytes) -> str:
    """Bytes as JSON."""
    return base64.b64encode(content).decode()


def unpacked(text: str) -> bytes:
    """What `packed` gave."""
    return base64.b64decode(text)


def any_operation(job: Job) -> Operation:
    """Names a job's attempt, to ask for its record."""
    return Operation(
        run=job.run_id,
        epoch=job.epoch,
        attempt=job.record,
        number=1,
        digest="",
        place=job.machine,
        delivery=job.delivery,
    )


def booted_since(job: Job, machine: str) -> bool:
    """Whether the host, of which this is known now, was booted since the job's intent was written."""
    return bool(json.loads(job.machine)["boot"] != json.loads(machine)["boot"])


def before_revert(job: Job) -> list[Operation]:
    """Names the attempts that must have ended before a revert begins: what it undoes, and all reverts before it.

    All of them: the last one may not have reached the host, and so not have waited for those before.
    """
    if not job.record:
        return []
    this = replace(any_operation(job), delivery=1)
    found = [replace(this, attempt=f"{job.run_id}/{job.node}/{Phase.EXECUTE}/{job.attempt}")]
    before, _, number = job.record.rpartition("/")
    return found + [replace(this, attempt=f"{before}/{n}") for n in range(int(number) - 1, 0, -1)]


def must_end(job: Job) -> list[Operation]:
    """Names the attempts that a job waits for, whatever comes of them."""
    if job.kind is JobKind.REVERT:
        return before_revert(job)
    return _before_look(job) if job.kind in {JobKind.PREPARE, JobKind.SETTLE} else []


def _before_look(job: Job) -> list[Operation]:
    """Names the attempt that must have ended before it is seen what it did, or before another one begins."""
    last = job.attempt if job.kind is JobKind.SETTLE else job.attempt - 1
    if not job.epoch or not last:
        return []
    return [replace(any_operation(job), attempt=f"{job.run_id}/{job.node}/{Phase.EXECUTE}/{last}", delivery=1)]
