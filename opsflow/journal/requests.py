"""What operators ask of whoever writes a run. Each function is the work of one transaction.

A request is for the writer that the run has at that moment; one that takes the run over later has not been asked.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from opsflow.errors import JournalConflict
from opsflow.journal import lease
from opsflow.journal.columns import DatabaseTime
from opsflow.journal.reader import key_of
from opsflow.journal.tables import owners, requests
from opsflow.model import Asked, RequestApplied, RequestRecord

_APPLIED = (
    update(requests)
    .where(requests.c.run == bindparam("b_run"), requests.c.key == bindparam("b_key"), requests.c.applied.is_(None))
    .values(applied=DatabaseTime(), answer=bindparam("b_answer", type_=requests.c.answer.type))
)
# With the owner, so that one row comes even if nobody asks for anything: it proves that the run is still ours.
_WAITING = (
    select(owners.c.token, requests)
    .select_from(owners)
    .outerjoin(
        requests,
        (requests.c.run == owners.c.run) & (requests.c.epoch == owners.c.epoch) & requests.c.applied.is_(None),
    )
    .where(owners.c.run == bindparam("b_run"))
    .order_by(requests.c.key)
)


def ask(connection: Connection, run_id: str, what: Asked, data: Mapping[str, Any], operator: str) -> int | None:
    """Ask the run's writer for something; the request's number. None: nobody drives the run."""
    run = key_of(connection, run_id)
    epoch = lease.living_epoch(connection, run)
    if epoch is None:
        return None
    row = {"run": run, "epoch": epoch, "what": what, "operator": operator, "data": dict(data)}
    # The same once more is the same: an operator in a hurry, or a lost COMMIT that did arrive.
    same = [requests.c[name] == value for name, value in row.items()]
    known = connection.scalar(select(requests.c.key).where(*same, requests.c.applied.is_(None)))
    if known is not None:
        return int(known)
    inserted = connection.execute(insert(requests).values(**row, at=DatabaseTime())).inserted_primary_key
    assert inserted is not None
    return int(inserted[0])


def waiting(connection: Connection, run_id: str, run: int, token: str) -> list[RequestRecord]:
    """What the run's writer was asked for and has not taken up, oldest first.

    Raises:
        JournalConflict: that is not the one with this token any more.
    """
    rows = connection.execute(_WAITING, {"b_run": run}).all()
    if not rows or rows[0].token != token:
        raise JournalConflict(f"another process took run {run_id} over", hint=f"opsflow show {run_id}")
    return [_request(row, run_id) for row in rows if row.key is not None]


def apply(connection: Connection, run: int, applied: Iterable[RequestApplied]) -> None:
    """Write down what came of requests. Raises `JournalConflict` if one was answered already."""
    rows = [{"b_run": run, "b_key": change.id, "b_answer": dict(change.answer)} for change in applied]
    if rows and connection.execute(_APPLIED, rows).rowcount != len(rows):
        raise JournalConflict("a request was answered already")


def of_run(connection: Connection, run_id: str) -> list[RequestRecord]:
    """All that was ever asked of a run, oldest first."""
    query = select(requests).where(requests.c.run == key_of(connection, run_id)).order_by(requests.c.key)
    return [_request(row, run_id) for row in connection.execute(query)]


def _request(row: Row[Any], run_id: str) -> RequestRecord:
    return RequestRecord(
        id=row.key,
        run_id=run_id,
        what=row.what,
        operator=row.operator,
        at=row.at,
        data=row.data,
        applied=row.applied,
        answer=row.answer or {},
    )
