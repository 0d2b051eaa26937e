"""A control process: the real engine over the real journal, its jobs in strands."""

import random
from collections.abc import Callable

from greenlet import getcurrent
from sim_clocks import POLL, writer_of
from sim_timeline import SHORTEST, Killed, Life, Strand, Timeline

from opsflow.engine.work import Worker
from opsflow.model import Job, Message, Outcome

WIDTH = 5
STUCK = 6
"""So often an engine may hear nothing, with nothing at work and nothing to wait for."""


class Control(Life):
    """One process on a control machine.

    Attributes:
        writer: How it shows itself to others.
        epoch: Of its ownership of the run; 0: it has none.
        trespassed: Told that it wrote although another one had taken over.
    """

    def __init__(
        self, timeline: Timeline, pid: int, machine: str, trespassed: Callable[["Control"], None] = lambda _: None
    ) -> None:
        super().__init__(f"process {pid} on {machine}", machine)
        self.writer = writer_of(machine, pid)
        self.epoch = 0
        self._trespassed, self._timeline = trespassed, timeline
        timeline.lives[pid] = self

    def stalls(self, seconds: float) -> None:
        self.stalled = self._timeline.now + seconds

    def wrote(self, epoch: int) -> None:
        """What it changed in the database is durable; `epoch`: that of the run's owner."""
        if self.epoch and epoch > self.epoch:
            self._trespassed(self)


class Hands:
    """An executor: each job in a strand of its own, `WIDTH` at a time."""

    def __init__(self, worker: Worker, life: Control, timeline: Timeline, dice: random.Random) -> None:
        self._worker, self._life, self._timeline, self._dice = worker, life, timeline, dice
        self._engine: Strand = getcurrent()
        self._found: list[Message] = []
        self._running = 0
        self._nothing = self._spins = 0

    @property
    def free(self) -> int:
        return WIDTH - self._running

    def submit(self, job: Job) -> None:
        self._running += 1
        self._timeline.begin(self._life, lambda: self._worker(job, self._emit), self._dice.random() * 0.01)

    def cancel(self, job: Job) -> None:
        self._timeline.begin(self._life, lambda: self._worker.cancel(job))

    def messages(self, timeout: float) -> list[Message]:
        self._life.boundary("between two steps")
        self._timeline.rest(self._life)
        if not self._found:
            self._count_nothing(timeout)
            self._timeline.wait(timeout)
        found, self._found = self._found, []
        self._running -= sum(isinstance(message, Outcome) for message in found)
        return found

    def wake(self) -> None:
        """Let the engine look at once."""
        self._timeline.wake(self._engine)

    def close(self) -> None:
        pass

    def _emit(self, message: Message) -> None:
        if self._life.dead:
            raise Killed
        self._found.append(message)
        if len(self._found) == 1:
            self._timeline.wake(self._engine)

    def _count_nothing(self, timeout: float) -> None:
        idle = not self._running and timeout >= POLL
        self._nothing = self._nothing + 1 if idle else 0
        self._spins = self._spins + 1 if timeout <= SHORTEST else 0
        assert self._nothing < STUCK, "the engine waits for nothing"
        assert self._spins < STUCK, "the engine does not wait for what it waits for"
