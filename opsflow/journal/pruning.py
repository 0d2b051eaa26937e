"""Which runs may be removed from the journal, and how that is done without keeping others waiting.

A run stays as long as anything may need it: it is open (it holds hosts, somebody drives it, or it has none to hold and
is not at its end), or a run before it that stays changed the same hosts. A rollback of that one must find out what
was done to them since.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from sqlalchemy import Connection, delete, func, select

from opsflow.errors import JournalConflict
from opsflow.journal import lease
from opsflow.journal.columns import EPOCH, DatabaseTime, unpack
from opsflow.journal.reader import key_of, run_columns, run_of
from opsflow.journal.tables import leases, metadata, owners, printed, runs
from opsflow.model import LOCALHOST, Kept, Old, RunRecord, RunState

_PIECE = 500
"""Rows of output that are removed in one transaction, 64 KiB each at most."""

_UNDER_WAY = frozenset({RunState.PLANNED, RunState.RUNNING, RunState.SUSPENDED, RunState.ROLLING_BACK})


def old(connection: Connection, age: float, keep: int) -> Old:
    """Look for runs that may be removed.

    Args:
        connection: In a transaction.
        age: Seconds since their end, by the database's clock.
        keep: So many of the newest runs stay in any case.
    """
    now: int = connection.scalar(select(DatabaseTime())) or 0
    before = EPOCH + timedelta(microseconds=now, seconds=-age)
    count = connection.scalar(select(func.count()).select_from(runs)) or 0
    removable: list[RunRecord] = []
    kept: list[Kept] = []
    needed: dict[str, str] = {}  # host → the first run that stays and changed it
    for n, (run, hosts, opened) in enumerate(_runs(connection)):
        young = n >= count - keep or (run.finished or run.started) >= before
        by = next((needed[host] for host in hosts if host in needed), "")
        why = opened or (f"it changed hosts that run {by} changed before it" if by else "")
        if not young and not why:
            removable.append(run)
            continue
        needed |= {host: run.id for host in hosts if host not in needed}
        if not young:
            kept.append(Kept(run=run, why=why))
    return Old(before=before, removable=tuple(removable), kept=tuple(kept))


def take(connection: Connection, run: RunRecord, token: str, operator: str) -> None:
    """Become the writer of a run that is to be removed, so that nobody goes on with it meanwhile.

    Raises:
        HostsHeld: somebody drives it.
        JournalConflict: it is not any more as it was found.
        UnknownRun: it is not there any more.
    """
    key = key_of(connection, run.id)
    lease.take(connection, key, token, operator)
    holds = connection.scalar(select(func.count()).select_from(leases).where(leases.c.run == key))
    if holds or run != run_of(connection.execute(select(*run_columns).where(runs.c.key == key)).one()):
        raise JournalConflict(f"somebody has gone on with run {run.id}", hint="look once more at what is old")


def remove_output(connection: Connection, run_id: str) -> bool:
    """Remove some of what a run printed; whether there is more."""
    key = key_of(connection, run_id)
    of_run = printed.c.run == key
    query = select(printed.c.n).where(of_run).order_by(printed.c.n).offset(_PIECE).limit(1)
    first_left = connection.scalar(query)
    if first_left is None:
        return False
    connection.execute(delete(printed).where(of_run, printed.c.n < first_left))
    return True


def remove(connection: Connection, run_id: str, token: str) -> None:
    """Remove a run at once and whole. Raises `JournalConflict` if another process took it over."""
    key = key_of(connection, run_id)
    if connection.scalar(select(owners.c.token).where(owners.c.run == key).with_for_update()) != token:
        raise JournalConflict(f"another process took run {run_id} over", hint=f"opsflow show {run_id}")
    for table in reversed(metadata.sorted_tables):
        if "run" in table.c:
            connection.execute(delete(table).where(table.c.run == key))
    connection.execute(delete(runs).where(runs.c.key == key))


def _runs(connection: Connection) -> Iterator[tuple[RunRecord, Sequence[str], str]]:
    """All runs, oldest first, with the hosts that they may have changed, and why they are open; empty: they are not."""
    holding = set(connection.scalars(select(leases.c.run).distinct()))
    owned = connection.execute(lease.with_age().where(owners.c.token.is_not(None)))
    driven = {row.run for row in owned if lease.alive(row)}
    for row in connection.execute(select(runs.c.key, runs.c.hosts, *run_columns).order_by(runs.c.key)):
        hosts = [host for host in unpack(row.hosts) if host != LOCALHOST]
        run = run_of(row)
        if row.key in driven:
            why = "somebody drives it"
        elif row.key in holding:
            why = f"it is open, and holds hosts: opsflow unlock {run.id}"
        elif not hosts and run.state in _UNDER_WAY:
            why = f"it is open: opsflow resume {run.id}, or opsflow rollback {run.id}"
        else:
            why = ""
        yield run, hosts, why
