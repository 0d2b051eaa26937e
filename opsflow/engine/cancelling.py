"""Ending jobs before their time: the wish, on its way to the thread that works on the job, and to the job's host."""

import threading
from collections.abc import Callable

from opsflow.engine.trail import any_operation, before_revert, must_end
from opsflow.errors import Cancelled, Interrupted, OpsflowError
from opsflow.model import Job, Operation, Phase
from opsflow.ports import Transport

_AGAIN = 1.0
_TRIES = 120
"""How often, a second apart, a host that does not answer is asked to end what runs of a job that is at work."""

_Key = tuple[str, ...]


class Cancellation:
    """The wish that one job ends."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._confirmed = threading.Event()
        self._over = threading.Event()

    def want(self) -> None:
        """Wish it."""
        self._wanted.set()

    def check(self) -> None:
        """Raise `Cancelled` if it is wished."""
        if self._wanted.is_set():
            raise Cancelled("the attempt was cancelled")

    def sleep(self, seconds: float) -> None:
        """Wait. Raises `Cancelled` as soon as it is wished."""
        self._wanted.wait(seconds)
        self.check()

    def confirm(self) -> None:
        """The job's host says that nothing of it runs any more, and that nothing will."""
        self._confirmed.set()

    def confirmed(self, seconds: float) -> bool:
        """Whether the host has said so, or, if it is wished, does within that time."""
        return self._wanted.is_set() and self._confirmed.wait(seconds)

    def end(self) -> None:
        """The job has ended."""
        self._over.set()

    def ended(self, seconds: float) -> bool:
        """Whether the job has ended, or ends within that time."""
        return self._over.wait(seconds)


class Cancellations:
    """Of all jobs that one process works on. For many threads: a job's, the engine's, those that cancel."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[_Key, Cancellation] = {}

    def of(self, job: Job) -> Cancellation:
        """The job's own; asked for first by whoever comes first, the thread that works on it or one that cancels it."""
        with self._lock:
            return self._found.setdefault(_key(job), Cancellation())

    def forget(self, job: Job) -> None:
        """The job has ended."""
        with self._lock:
            found = self._found.pop(_key(job), None)
        if found:
            found.end()

    def cancel(self, job: Job, transport: Callable[[], Transport]) -> None:
        """End a job: its hook goes no further, and what of it runs on its host is ended, once the host answers."""
        cancellation = self.of(job)
        cancellation.want()
        for _ in range(_TRIES if _operations(job) else 0):
            try:
                end_operations(job, transport())
            except (OpsflowError, Interrupted):
                if cancellation.ended(_AGAIN):
                    return
            else:
                cancellation.confirm()
                return


def end_operations(job: Job, transport: Transport) -> None:
    """End what runs on a host of a job's attempt, and for a revert of what it waits for. Raises as `Transport` does."""
    for operation in _operations(job):
        transport.cancel(operation)


def _operations(job: Job) -> list[Operation]:
    if not job.record:
        return must_end(job)
    reverts = job.record.split("/")[-2] == Phase.REVERT
    return [any_operation(job), *(before_revert(job) if reverts else ())]


def _key(job: Job) -> _Key:
    return job.kind, job.node, job.record, str(job.attempt)
