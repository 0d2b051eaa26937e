"""Clocks, chance, processes and events of the control side, as the simulation has them."""

import contextlib
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from greenlet import getcurrent
from sim_timeline import Strand, Timeline

from opsflow.engine import cancelling, chatter, context, lanes, loop, rollback, rolling, run
from opsflow.journal import database, lease, store
from opsflow.journal.lease import Writer

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
POLL = 15.0
"""Seconds between two looks of an engine that hears nothing: simulated stops wake it."""


class Clocks:
    """Stands in for `time`; `ahead`: seconds by which the wall clocks of the control machines are wrong."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.ahead = 0.0

    def monotonic(self) -> float:
        return self._timeline.now

    def sleep(self, seconds: float) -> None:
        if isinstance(getcurrent(), Strand):
            self._timeline.wait(seconds)

    def now(self, _zone: Any = None) -> datetime:
        return BEGIN + timedelta(seconds=self._timeline.now + self.ahead)

    def fromisoformat(self, text: str) -> datetime:
        return datetime.fromisoformat(text)


class Event:
    """`threading.Event` for strands."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._set = False
        self._waiting: list[tuple[Strand, int]] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        for strand, turn in self._waiting:
            if strand.turn == turn:
                self._timeline.wake(strand)
        self._waiting.clear()

    def wait(self, seconds: float) -> bool:
        if not self._set:
            strand = getcurrent()
            self._waiting.append((strand, strand.turn + 1))
            self._timeline.wait(seconds)
        return self._set


class _Threading:
    Lock = threading.Lock
    get_ident = staticmethod(threading.get_ident)

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def Event(self) -> Event:
        return Event(self._timeline)


@contextlib.contextmanager
def simulated(clocks: Clocks, timeline: Timeline, dice: random.Random) -> Iterator[None]:
    """Let engine and journal live in simulated time."""
    put: list[tuple[Any, str, Any]] = [
        *((module, "time", clocks) for module in (chatter, context, lanes, loop, rolling, run, database, store)),
        *((module, "datetime", clocks) for module in (context, loop, rollback, rolling, run)),
        *((module, "random", dice) for module in (context, lanes)),
        (cancelling, "threading", _Threading(timeline)),
        (loop, "_POLL", POLL),
        (lease, "this_process", lambda: getcurrent().life.writer),
        (lease, "_start_of", lambda pid: None if timeline.lives[pid].dead else str(pid)),
    ]
    were = [(module, name, getattr(module, name)) for module, name, _ in put]
    for module, name, value in put:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in were:
            setattr(module, name, value)


def writer_of(machine: str, pid: int) -> Writer:
    """How a control process shows itself to others."""
    return Writer(machine=machine, boot="-", pid=pid, pid_started=str(pid))
