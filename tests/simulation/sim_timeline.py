"""Virtual time, and who waits in it: one event after another, in an order that only the seed decides."""

import heapq
from collections.abc import Callable
from itertools import count

from greenlet import getcurrent, greenlet

SHORTEST = 1e-6
"""Seconds that a wait takes at least: a shorter one might not move the clock."""


class Killed(BaseException):
    """The process that this belongs to is gone."""


class Life:
    """A process of the control side.

    Attributes:
        name: For messages.
        machine: The machine that it is on.
        dead: It is gone, and everything in it.
        stalled: Until when it does not get to do anything.
        boundaries: How many more journal and message boundaries it lives to see; None: it does not die of that.
        ended: At which kind of boundary it died.
        nap: At which boundary from now it falls asleep, and for how many seconds.
    """

    def __init__(self, name: str, machine: str) -> None:
        self.name, self.machine = name, machine
        self.dead = False
        self.stalled = 0.0
        self.boundaries: int | None = None
        self.ended = ""
        self.nap = (0, 0.0)

    def boundary(self, where: str) -> None:
        """A message or a commit is about to go, or has just arrived: a process may die here, or fall asleep."""
        if self.dead:
            raise Killed
        if self.boundaries is not None:
            self.boundaries -= 1
            if self.boundaries <= 0:
                self.dead, self.ended = True, where
                raise Killed
        left, seconds = self.nap
        if left:
            self.nap = (left - 1, seconds)
            if left == 1:
                self.stalls(seconds)

    def stalls(self, seconds: float) -> None:
        """Get nothing done for so long."""
        raise NotImplementedError


class Strand(greenlet):
    """Something that happens in a process, and may wait."""

    def __init__(self, work: Callable[[], None], life: Life, hub: greenlet) -> None:
        super().__init__(self._live, hub)
        self.work, self.life = work, life
        self.turn = 0  # of waiting; what wakes it for an earlier one comes too late

    def _live(self) -> None:
        try:
            self.work()
        except Killed:
            self.life.dead = True


class Timeline:
    """Lets strands and actions have their turns.

    Attributes:
        now: Seconds since the beginning.
        lives: The processes that there are or were, by number.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.lives: dict[int, Life] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._hub = getcurrent()
        self._strands: list[Strand] = []

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let something happen later."""
        heapq.heappush(self._heap, (self.now + seconds, next(self._numbers), action))

    def begin(self, life: Life, work: Callable[[], None], after: float = 0.0) -> Strand:
        """Let a strand of a process begin."""
        strand = Strand(work, life, self._hub)
        self._strands.append(strand)
        self.after(after, lambda: self._wake(strand, 0))
        return strand

    def wait(self, seconds: float) -> None:
        """Let the calling strand wait, until then or until it is woken."""
        strand = getcurrent()
        turn = strand.turn = strand.turn + 1
        self.after(max(seconds, SHORTEST), lambda: self._wake(strand, turn))
        self._hub.switch()

    def rest(self, life: Life) -> None:
        """Let the calling strand wait for as long as its process sleeps."""
        if life.stalled > self.now:
            self.wait(0.0)

    def wake(self, strand: Strand) -> None:
        """Let a strand that waits go on, a moment from now."""
        turn = strand.turn
        self.after(0.0, lambda: self._wake(strand, turn))

    def run(self, over: Callable[[], bool], limit: int) -> bool:
        """Let everything happen until it is over, nothing is left to happen, or there were too many events."""
        for _ in range(limit):
            if over() or not self._heap:
                return True
            self.now, _, action = heapq.heappop(self._heap)
            action()
        return False

    def end(self) -> None:
        """End all strands."""
        for strand in self._strands:
            if not strand.dead:
                strand.life.dead = True
                if strand:
                    strand.throw(Killed)

    def _wake(self, strand: Strand, turn: int) -> None:
        if strand.dead or strand.turn != turn:
            return
        life = strand.life
        if life.dead:
            strand.turn += 1
            if strand:  # it has begun
                strand.throw(Killed)
        elif life.stalled > self.now:
            self.after(min(life.stalled - self.now, 30.0), lambda: self._wake(strand, turn))
        else:
            strand.turn += 1
            strand.switch()
