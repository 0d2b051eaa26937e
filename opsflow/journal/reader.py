"""What others want to know of runs. Each function is one short transaction's work."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select

from opsflow.errors import UnknownRun
from opsflow.journal.columns import unpack
from opsflow.journal.ids import TAIL_AT, attempt_id
from opsflow.journal.tables import attempts, nodes, owners, rollbacks, runs
from opsflow.model import AttemptRecord, Failure, NodeRecord, RollbackRecord, RunRecord, RunState, Turn

_AMBIGUOUS = 5

run_columns = tuple(c for c in runs.c if c.name not in ("key", "hosts"))


def key_of(connection: Connection, run_id: str) -> int:
    """The run's number. Raises `UnknownRun`."""
    key = connection.scalar(select(runs.c.key).where(runs.c.id == run_id))
    if key is None:
        raise UnknownRun(f"there is no run {run_id}", hint="opsflow runs")
    return int(key)


def find(connection: Connection, prefix: str | None) -> RunRecord:
    """The run whose id, or whose id's last part, begins so; None: the newest. Raises `UnknownRun`."""
    newest = select(*run_columns).order_by(runs.c.key.desc())
    if prefix is None:
        row = connection.execute(newest.limit(1)).first()
        if row is None:
            raise UnknownRun("there are no runs yet")
        return run_of(row)
    begins = func.substr(runs.c.id, 1, len(prefix)) == prefix
    tail_begins = func.substr(runs.c.id, TAIL_AT + 1, len(prefix)) == prefix
    rows = connection.execute(newest.where(or_(begins, tail_begins)).limit(_AMBIGUOUS)).all() if prefix else []
    if not rows:
        raise UnknownRun(f"no run's id begins with {prefix!r}", hint="opsflow runs")
    if len(rows) == 1:
        return run_of(rows[0])
    exact = connection.execute(newest.where(runs.c.id == prefix)).first()
    if exact is None:
        ids = ", ".join(row.id for row in rows)
        raise UnknownRun(f"several runs' ids begin with {prefix!r}: {ids}", hint="type more of it")
    return run_of(exact)


def runs_newest_first(connection: Connection, limit: int, states: Sequence[RunState]) -> list[RunRecord]:
    """Runs, newest first."""
    query = select(*run_columns).order_by(runs.c.key.desc()).limit(limit)
    if states:
        query = query.where(runs.c.state.in_(states))
    return [run_of(row) for row in connection.execute(query)]


def nodes_of(connection: Connection, run_id: str, part: tuple[int, int] | None = None) -> list[NodeRecord]:
    """All nodes in the plan's order, each with its attempts; or those of some places, from one to before another."""
    run = key_of(connection, run_id)
    query = select(nodes).where(nodes.c.run == run).order_by(nodes.c.n)
    of_attempts = select(attempts).where(attempts.c.run == run).order_by(attempts.c.key)
    if part:
        query = query.where(nodes.c.n >= part[0], nodes.c.n < part[1])
        of_attempts = of_attempts.where(attempts.c.node >= part[0], attempts.c.node < part[1])
    rows = connection.execute(query).all()
    names = {row.n: row.id for row in rows}
    tried: dict[int, list[AttemptRecord]] = {}
    for row in connection.execute(of_attempts):
        tried.setdefault(row.node, []).append(_attempt(row, run_id, names[row.node]))
    return [
        NodeRecord(
            id=row.id,
            step=row.step,
            host=row.host,
            task=row.task,
            state=row.state,
            outputs=row.outputs or {},
            error=_failure(row.error),
            attempts=tuple(tried.get(row.n, ())),
        )
        for row in rows
    ]


def rollbacks_of(connection: Connection, run_id: str) -> list[RollbackRecord]:
    """All rollback plans, oldest first."""
    run = key_of(connection, run_id)
    return [
        RollbackRecord(
            id=row.id,
            run_id=run_id,
            scope=row.scope,
            nodes=tuple(unpack(row.nodes)),
            started=row.started,
            finished=row.finished,
            complete=row.complete,
        )
        for row in connection.execute(select(rollbacks).where(rollbacks.c.run == run).order_by(rollbacks.c.key))
    ]


def later_changes(connection: Connection, run_id: str, hosts: Sequence[str]) -> list[str]:
    """Ids, oldest first, of other runs that began an attempt on one of the hosts after this run had begun.

    That may be an older run, too, if it was resumed later.
    """
    me = connection.execute(select(runs.c.key, runs.c.started).where(runs.c.id == run_id)).first()
    if me is None:
        raise UnknownRun(f"there is no run {run_id}", hint="opsflow runs")
    resumed_later = (runs.c.key < me.key) & (owners.c.epoch > 1) & (attempts.c.started > me.started)
    query = (
        select(runs.c.key, runs.c.id, nodes.c.host, attempts.c.on_host)
        .distinct()
        .select_from(runs)
        .join(attempts, attempts.c.run == runs.c.key)
        .join(nodes, (nodes.c.run == attempts.c.run) & (nodes.c.n == attempts.c.node))
        .join(owners, owners.c.run == runs.c.key)
        .where(or_(runs.c.key > me.key, resumed_later))
        .order_by(runs.c.key)
    )
    wanted = set(hosts)
    return list(dict.fromkeys(row.id for row in connection.execute(query) if {row.host, row.on_host} & wanted))


def run_of(row: Row[Any]) -> RunRecord:
    """The run in a row that has `run_columns`."""
    return RunRecord(**{column.name: getattr(row, column.name) for column in run_columns})


def _attempt(row: Row[Any], run_id: str, node: str) -> AttemptRecord:
    return AttemptRecord(
        id=attempt_id(run_id, node, row.phase, row.n),
        run_id=run_id,
        node=node,
        phase=row.phase,
        n=row.n,
        state=row.state,
        started=row.started,
        finished=row.finished,
        undoes=row.undoes,
        params=row.params,
        preview=row.preview,
        outputs=row.outputs,
        exit_status=row.exit_status,
        error=_failure(row.error),
        machine=row.machine,
        on=row.on_host,
        turn=None if row.turn is None else Turn(**row.turn),
        plan=row.plan,
    )


def _failure(data: Any) -> Failure | None:
    return None if data is None else Failure(**data)
