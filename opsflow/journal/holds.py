"""Which runs hold hosts, and whether anybody drives them. Each function is one short transaction's work."""

from sqlalchemy import Connection, select

from opsflow.journal import lease
from opsflow.journal.reader import run_columns, run_of
from opsflow.journal.tables import leases, runs
from opsflow.model import Holder


def holders(connection: Connection) -> list[Holder]:
    """All of them, the oldest run first."""
    held: dict[int, list[str]] = {}
    for row in connection.execute(select(leases.c.run, leases.c.host).order_by(leases.c.host)):
        held.setdefault(row.run, []).append(row.host)
    open_runs = runs.c.key.in_(select(leases.c.run))
    records = {row.key: run_of(row) for row in connection.execute(select(runs.c.key, *run_columns).where(open_runs))}
    return [
        Holder(
            run=records[row.run],
            hosts=tuple(held[row.run]),
            operator=row.operator,
            pid=row.pid,
            alive=lease.alive(row),
            left=row.token is None,
            silent=row.age / 1_000_000,
        )
        for row in connection.execute(lease.with_age().where(open_runs).order_by(runs.c.key))
        if row.run in held and row.run in records
    ]
