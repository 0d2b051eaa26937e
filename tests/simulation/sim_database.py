"""The journal's database: SQLite in memory behind the journal's own code, with COMMITs that fail, or seem to."""

import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent
from sim_timeline import Strand, Timeline
from sqlalchemy import Connection, event

from opsflow.journal.database import Database
from opsflow.journal.upgrade import upgrade


class _Lasting(sqlite3.Connection):
    """A connection that whoever lost it finds again: what is in memory must not go with it."""

    def close(self) -> None:
        if self.in_transaction:
            self.rollback()


class _Broken(sqlite3.OperationalError):
    """The connection to the database was lost."""


class Ledger(Database):
    """One database for all seeds that a process plays; each begins with it empty.

    Attributes:
        raw: The connection beneath, for witnesses.
        loses: How many COMMITs are lost, half of them after they have happened.
        gone: Until when it cannot be reached.
        ahead: Seconds by which its clock is wrong.
        audit: Looks at what was committed, and says whether the run was altered.
    """

    def __init__(self) -> None:
        self.raw = sqlite3.connect(":memory:", factory=_Lasting, check_same_thread=False)
        super().__init__("sqlite://")
        event.listen(self.engine, "do_connect", lambda *_: self.raw)
        event.listen(self.engine, "begin", self._begin)
        dialect = self.engine.dialect
        commit, is_disconnect = dialect.do_commit, dialect.is_disconnect
        dialect.do_commit = lambda connection: self._commit(connection, commit)
        dialect.is_disconnect = lambda error, *more: isinstance(error, _Broken) or is_disconnect(error, *more)
        self.timeline: Timeline | None = None
        self.write(upgrade)
        self._empty = self.raw.serialize()

    def begin_anew(self, timeline: Timeline, dice: random.Random, tally: Counter[str]) -> None:
        """Be as empty as at first."""
        self.raw.deserialize(self._empty)
        self.raw.create_function("julianday", 1, self._days)
        self.timeline, self.dice, self.tally, self.audit = timeline, dice, tally, lambda: False
        self.loses = self.gone = self.ahead = 0.0

    @property
    def epoch(self) -> int:
        """How often the run has changed hands; 0: there is none."""
        return self.raw.execute("SELECT max(epoch) FROM owners").fetchone()[0] or 0

    def calm(self) -> None:
        """From now on it can be relied on."""
        self.loses = self.gone = self.ahead = 0.0

    def close(self) -> None:
        """It outlives who uses it."""

    def _run(self, work: Callable[[Connection], Any], *, write: bool) -> Any:
        strand = getcurrent()
        if isinstance(strand, Strand):
            self.timeline.rest(strand.life)
        return super()._run(work, write=write)

    def _days(self, _now: str) -> float:
        assert self.timeline is not None
        return 2460000.5 + (self.timeline.now + self.ahead) / 86400

    def _begin(self, _connection: Any) -> None:
        if self.timeline and self.timeline.now < self.gone:
            self.tally["database away"] += 1
            raise _Broken("the database is away")
        self._rows = self.raw.total_changes

    def _commit(self, connection: Any, commit: Any) -> None:
        strand = getcurrent()
        if not isinstance(strand, Strand):
            commit(connection)
            return
        strand.life.boundary("before a COMMIT")
        lost = bool(self.loses) and self.dice.random() < self.loses
        if lost and self.dice.random() < 0.5:
            self.tally["COMMIT that did not happen"] += 1
            raise _Broken("the connection was lost before the COMMIT")
        wrote = self.raw.total_changes > self._rows
        commit(connection)
        if wrote and self.audit():
            strand.life.wrote(self.epoch)
        if lost:
            self.tally["COMMIT that happened, and was reported as failed"] += 1
            raise _Broken("the connection was lost after the COMMIT")
        strand.life.boundary("after a COMMIT")
