"""The journal over SQL: see `opsflow.ports.Journal` for what its methods promise."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Self

from sqlalchemy import Connection, Engine

from opsflow.errors import JournalConflict, JournalError
from opsflow.journal import keeping, lease, planning, printout, reader, requests, rows, upgrade, writer
from opsflow.journal.batch import Batch, collect
from opsflow.journal.database import Database
from opsflow.model import (
    Asked,
    Change,
    LaterPlan,
    NodeRecord,
    Printed,
    RequestRecord,
    RollbackRecord,
    RunRecord,
    RunState,
)

DEFAULT_URL = "sqlite:///.opsflow/journal.db"

_BEAT_SECONDS = 10.0
_HEAR_SECONDS = 1.0


class SqlJournal:
    """Implements `opsflow.ports.Journal`. Writes from one thread; reads from any."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: dict[str, writer.Held] = {}

    @classmethod
    def open(cls, url: str = DEFAULT_URL) -> Self:
        """Open a journal, creating or upgrading its tables where needed.

        Args:
            url: `sqlite:///PATH`, `mysql://...`, `mariadb://...` or `postgresql://...`.

        Raises:
            JournalUnavailable: not reachable, not writable, of an earlier version on a server, or without its driver.
            JournalTooNew: written by a newer opsflow.
        """
        return cls(upgrade.opened(url))

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine, for measuring."""
        return self._database.engine

    def begin(self, run: RunRecord, plan: Mapping[str, Any], nodes: Sequence[NodeRecord], hosts: Sequence[str]) -> None:
        """Write a new run and hold its hosts. `JournalConflict`: there is a run of that id."""
        token = lease.new_token()
        work = partial(writer.begin, run=run, plan=plan, new=nodes, hosts=hosts, token=token)
        self._held[run.id] = self._hold(work, run.id, lambda _: hosts)

    def resume(self, run_id: str, operator: str, *, hold: bool = True) -> None:
        """Become the writer of a run that has none, and hold its hosts again; without `hold` only those it holds."""
        token = lease.new_token()
        work = partial(writer.resume, run_id=run_id, operator=operator, token=token, hold=hold)
        self._held[run_id] = self._hold(work, run_id, lambda c: writer.hosts_of(c, reader.key_of(c, run_id)))

    def epoch(self, run_id: str) -> int:
        """How often the run has changed hands, from 1; for its writer, also one that has lost it, its own number."""
        if held := self._held.get(run_id):
            return held.epoch
        return self._database.read(lambda c: lease.epoch(c, reader.key_of(c, run_id)))

    def commit(self, run_id: str, changes: Sequence[Change]) -> None:
        """Apply all changes or none, durably, in a number of statements that does not depend on theirs."""
        held = self._writer(run_id)
        batch = collect(changes)
        before, held.numbers = held.numbers, planning.joined(held.numbers, batch.replaced)
        try:
            self._keep(held, batch)
        except BaseException:
            held.numbers = before
            raise

    def _keep(self, held: writer.Held, batch: Batch) -> None:
        kept = keeping.Keeping.of(batch, held.numbers, held.streams)
        for n, row in enumerate(kept.rows, held.printed + 1):
            row["n"] = n
        unkept = batch.output and not kept.rows and batch == Batch(output=batch.output)
        if not unkept:
            self._write(held, batch, kept.rows)
        held.printed += len(kept.rows)
        held.streams |= kept.streams
        for attempt in kept.over:
            held.streams.pop(attempt, None)

    def _write(self, held: writer.Held, batch: Batch, output: Sequence[rows.Row]) -> None:
        again = False

        def work(connection: Connection) -> None:
            nonlocal again
            tried, again = again, True
            writer.commit(connection, held, batch, output, again=tried)

        try:
            self._database.write(work)
        except JournalConflict:
            if batch.replaced is not None:  # a host that it wants may be held
                wanted = batch.replaced.hosts
                self._database.read(lambda c: lease.refuse_held(c, held.numbers.run_id, wanted))
            raise
        held.serial += 1
        held.beat = time.monotonic()

    def heartbeat(self, run_id: str) -> Sequence[RequestRecord]:
        """Every 10 seconds say that the writer is alive; every second look what others ask it for."""
        held = self._writer(run_id)
        beat = time.monotonic() - held.beat >= _BEAT_SECONDS
        if not beat and time.monotonic() - held.heard < _HEAR_SECONDS:
            return ()
        found = (self._database.write if beat else self._database.read)(partial(writer.hear, held=held, beat=beat))
        held.heard = time.monotonic()
        held.beat = held.heard if beat else held.beat
        return found

    def ask(self, run_id: str, what: Asked, data: Mapping[str, Any], operator: str) -> int | None:
        """Ask the process that drives a run for something; the request's number. None: nobody does."""
        work = partial(requests.ask, run_id=run_id, what=what, data=data, operator=operator)
        return self._database.write(work)

    def driven(self, run_id: str) -> bool:
        """Whether a living process drives a run."""
        return self._database.read(lambda c: lease.living_epoch(c, reader.key_of(c, run_id))) is not None

    def requests(self, run_id: str) -> Sequence[RequestRecord]:
        """All that was ever asked of a run, oldest first."""
        return self._database.read(partial(requests.of_run, run_id=run_id))

    def leave(self, run_id: str, *, release_hosts: bool) -> None:
        """Stop being the writer; nothing happens if this process is not, or no longer."""
        held = self._held.pop(run_id, None)
        if held is not None:
            self._database.write(partial(writer.leave, held=held, release_hosts=release_hosts))

    def abandon(self, run_id: str) -> None:
        """Give up an open run's hold on its hosts, fencing whatever writer it had."""
        self._database.write(lambda c: lease.abandon(c, reader.key_of(c, run_id)))

    def find(self, prefix: str | None) -> RunRecord:
        """The run whose id (or whose id's part behind the dash) begins so; None: the newest."""
        return self._database.read(partial(reader.find, prefix=prefix))

    def plan(self, run_id: str, number: int | None = None) -> Mapping[str, Any]:
        """A stored plan; None: the newest."""
        stored: Mapping[str, Any] = self._database.read(partial(planning.read, run_id=run_id, number=number))
        return stored

    def later_plans(self, run_id: str) -> Sequence[LaterPlan]:
        """The plans that took the place of the first, in order."""
        return self._database.read(partial(planning.later, run_id=run_id))

    def nodes(self, run_id: str) -> Sequence[NodeRecord]:
        """All nodes with their attempts, in the plan's order."""
        return self._database.read(partial(reader.nodes_of, run_id=run_id))

    def rollbacks(self, run_id: str) -> Sequence[RollbackRecord]:
        """All frozen rollback plans, oldest first."""
        return self._database.read(partial(reader.rollbacks_of, run_id=run_id))

    def runs(self, *, limit: int = 50, states: Sequence[RunState] = ()) -> Sequence[RunRecord]:
        """Runs, newest first."""
        return self._database.read(partial(reader.runs_newest_first, limit=limit, states=states))

    def later_changes(self, run_id: str, hosts: Sequence[str]) -> Sequence[str]:
        """Ids of other runs that began an attempt on any of the hosts after this run had begun."""
        return self._database.read(partial(reader.later_changes, run_id=run_id, hosts=hosts))

    def printed(self, run_id: str, attempt: str) -> Mapping[str, int]:
        """How far the journal has taken each stream of an open attempt of a run that this process writes."""
        return keeping.places(self._writer(run_id).streams.get(attempt, {}))

    def output(self, run_id: str, *, after: int = 0, step: str = "", host: str = "") -> Iterable[Printed]:
        """What was printed, in order, fetched page by page."""
        return printout.forwards(self._database, run_id, after_n=after, step=step, host=host)

    def output_backwards(self, run_id: str, *, step: str = "", host: str = "") -> Iterable[Printed]:
        """The same, the newest first."""
        return printout.backwards(self._database, run_id, step=step, host=host)

    def places(self, run_id: str) -> Sequence[tuple[str, str]]:
        """Step and host of each node, in the plan's order."""
        return self._database.read(partial(printout.places, run_id=run_id))

    def close(self) -> None:
        """Let the database go, and stop being the writer of any run; their hosts stay held."""
        for run_id in list(self._held):
            with suppress(JournalError):
                self.leave(run_id, release_hosts=False)
        self._database.close()

    def _writer(self, run_id: str) -> writer.Held:
        held = self._held.get(run_id)
        if held is None:
            raise JournalConflict(f"this process is not the writer of run {run_id}")
        return held

    def _hold(
        self,
        work: Callable[[Connection], writer.Held],
        run_id: str,
        hosts: Callable[[Connection], Sequence[str]],
    ) -> writer.Held:
        # The hosts' names are a unique key: on a conflict somebody was there first. Who, a new transaction tells.
        once_more = True
        while True:
            try:
                held = self._database.write(work)
                break
            except JournalConflict:
                once_more = once_more and self._database.write(lambda c: lease.free_ended(c, hosts(c)))
                if not once_more:
                    self._database.read(lambda c: lease.refuse_held(c, run_id, hosts(c)))
                    raise
        held.beat = held.heard = time.monotonic()
        return held
