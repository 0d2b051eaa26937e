"""The statements of the one writer of a run. Each function is the work of one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy import Connection, Update, bindparam, func, insert, or_, select, update

from opsflow.errors import JournalConflict
from opsflow.journal import keeping, lease, planning, requests, rows
from opsflow.journal.batch import OPEN, Batch
from opsflow.journal.columns import DatabaseTime, pack, unpack
from opsflow.journal.keeping import Kept
from opsflow.journal.reader import key_of
from opsflow.journal.tables import attempts, nodes, owners, printed, rollbacks, runs
from opsflow.model import LOCALHOST, NodeRecord, RequestRecord, RunRecord


@dataclass(slots=True, kw_only=True)
class Held:
    """A run that this process writes.

    Attributes:
        numbers: What its names stand for in the tables.
        token: Proof of ownership.
        epoch: Number of the ownership, from 1.
        serial: Number of commits so far.
        printed: Number of rows of output so far.
        streams: How the output of its attempts stands.
        beat: When it was last said that the writer lives (`time.monotonic`).
        heard: When it was last looked what others ask for.
    """

    numbers: rows.Numbers
    token: str
    epoch: int = 1
    serial: int = 0
    printed: int = 0
    streams: dict[str, dict[str, Kept]] = field(default_factory=dict)
    beat: float = 0.0
    heard: float = 0.0


def _update(table: Any, key: Sequence[str], values: Sequence[str]) -> Update:
    # Columns by name, parameters by the same name with `b_` before it.
    query = update(table).where(*(table.c[name] == bindparam(f"b_{name}") for name in key))
    return query.values({name: bindparam(f"b_{name}", type_=table.c[name].type) for name in values})


_FENCE = (
    update(owners)
    .where(owners.c.run == bindparam("b_run"), owners.c.token == bindparam("b_token"))
    .values(serial=bindparam("b_serial") + 1, beat=DatabaseTime())
    .where(owners.c.serial == bindparam("b_serial"))
)
_OWNER_BY_ID = (
    select(owners.c.run, owners.c.token)
    .join_from(owners, runs, owners.c.run == runs.c.key)
    .where(runs.c.id == bindparam("b_id"))
)
_BEAT = (
    update(owners)
    .where(owners.c.run == bindparam("b_run"), owners.c.token == bindparam("b_token"))
    .values(beat=DatabaseTime())
)
_RUN = (
    update(runs)
    .where(runs.c.key == bindparam("b_run"), runs.c.state == bindparam("b_before"))
    .values(state=bindparam("b_after"), finished=bindparam("b_finished"), exit_code=bindparam("b_exit_code"))
)
_NODE = (
    update(nodes)
    .where(nodes.c.run == bindparam("b_run"), nodes.c.n == bindparam("b_n"), nodes.c.state == bindparam("b_before"))
    .values(
        state=bindparam("b_after"),
        outputs=bindparam("b_outputs", type_=nodes.c.outputs.type),
        error=bindparam("b_error", type_=nodes.c.error.type),
    )
)
_ENDED = _update(
    attempts, ("run", "node", "phase", "n"), ("state", "finished", "exit_status", "outputs", "error")
).where(or_(*(attempts.c.state == state for state in OPEN)))
# An incomplete rollback may be gone on with, and ends again.
_ROLLED = _update(rollbacks, ("run", "id"), ("finished", "complete")).where(
    or_(rollbacks.c.complete.is_(None), rollbacks.c.complete.is_(False))
)


def begin(
    connection: Connection,
    run: RunRecord,
    plan: Mapping[str, Any],
    new: Sequence[NodeRecord],
    hosts: Sequence[str],
    token: str,
) -> Held:
    """Write a new run. An integrity error: a host is held.

    Raises:
        JournalConflict: there is a run of that id.
    """
    places = {node.id: n for n, node in enumerate(new)}
    known = connection.execute(_OWNER_BY_ID, {"b_id": run.id}).first()
    if known is not None:
        if known.token != token:
            raise JournalConflict(f"there is a run {run.id} already")
        # A lost COMMIT that did arrive.
        return Held(numbers=rows.Numbers(run_id=run.id, run=known.run, places=places), token=token)
    row = {column.name: getattr(run, column.name) for column in fields(RunRecord)} | {"hosts": pack(list(hosts))}
    inserted = connection.execute(insert(runs), row).inserted_primary_key
    assert inserted is not None
    key = int(inserted[0])
    lease.own(connection, key, token, run.operator)
    lease.hold(connection, key, hosts)
    planning.write(connection, key, plan)
    if new:
        connection.execute(insert(nodes), rows.new_nodes(key, new))
    return Held(numbers=rows.Numbers(run_id=run.id, run=key, places=places), token=token)


def resume(connection: Connection, run_id: str, operator: str, token: str, *, hold: bool) -> Held:
    """Take a run over, and hold its hosts again. Integrity error: one of them is held by another run."""
    key = key_of(connection, run_id)
    lease.take(connection, key, token, operator)
    if hold:
        lease.hold(connection, key, hosts_of(connection, key))
    places = {row.id: row.n for row in connection.execute(select(nodes.c.id, nodes.c.n).where(nodes.c.run == key))}
    last = connection.scalar(select(func.max(printed.c.n)).where(printed.c.run == key))
    owner = connection.execute(select(owners.c.epoch, owners.c.serial).where(owners.c.run == key)).one()
    return Held(
        numbers=rows.Numbers(run_id=run_id, run=key, places=places),
        token=token,
        epoch=owner.epoch,
        serial=owner.serial,
        printed=int(last or 0),
        streams=keeping.read(connection, run_id, key),
    )


def hosts_of(connection: Connection, run: int) -> list[str]:
    """The hosts that a run holds while it is open."""
    packed = connection.scalar(select(runs.c.hosts).where(runs.c.key == run))
    return [host for host in unpack(packed or pack([])) if host != LOCALHOST]


def commit(connection: Connection, held: Held, batch: Batch, output: Sequence[rows.Row], *, again: bool) -> None:
    """Write one commit.

    Args:
        connection: In a transaction.
        held: The run.
        batch: What changed.
        output: Rows of output.
        again: This commit was tried before, and the connection was lost: it may have arrived.

    Raises:
        JournalConflict: the run is lost, or something is not in the state that it was changed from.
    """
    numbers = held.numbers
    if _fenced(connection, held, again=again):
        return
    if batch.replaced is not None:
        planning.replace_plan(connection, numbers, batch.replaced)
    if batch.run is not None:
        change = batch.run
        names = ("before", "after", "finished", "exit_code")
        row = {"b_run": numbers.run, **{f"b_{name}": getattr(change, name) for name in names}}
        _all(connection, _RUN, [row], f"run {numbers.run_id} is not {change.before}")
        if change.frees:
            lease.release(connection, numbers.run)
    _all(
        connection,
        _NODE,
        rows.changed_nodes(numbers, batch.nodes.values()),
        _not_as_believed("node", [f"{change.node} ({change.before})" for change in batch.nodes.values()]),
    )
    if batch.begun:
        connection.execute(insert(attempts), rows.new_attempts(numbers, batch.begun.values()))
    ended = rows.ended_attempts(numbers, batch.ended.values())
    _all(connection, _ENDED, ended, _not_as_believed("attempt", list(batch.ended)))
    if batch.rollbacks:
        connection.execute(insert(rollbacks), rows.new_rollbacks(numbers.run, batch.rollbacks.values()))
    rolled = rows.ended_rollbacks(numbers.run, batch.rolled.values())
    _all(connection, _ROLLED, rolled, _not_as_believed("rollback", list(batch.rolled)))
    requests.apply(connection, numbers.run, batch.applied)
    if output:
        connection.execute(insert(printed), output)


def hear(connection: Connection, held: Held, *, beat: bool) -> list[RequestRecord]:
    """What others ask the writer for; with `beat` also say that it lives. `JournalConflict`: it lost the run."""
    row = {"b_run": held.numbers.run, "b_token": held.token}
    if beat and connection.execute(_BEAT, row).rowcount != 1:
        raise _lost(held)
    return requests.waiting(connection, held.numbers.run_id, held.numbers.run, held.token)


def leave(connection: Connection, held: Held, *, release_hosts: bool) -> None:
    """Stop being the writer; nothing happens if another one took over."""
    query = select(owners.c.token).where(owners.c.run == held.numbers.run).with_for_update()
    if connection.scalar(query) != held.token:
        return
    lease.disown(connection, held.numbers.run)
    if release_hosts:
        lease.release(connection, held.numbers.run)


def _fenced(connection: Connection, held: Held, *, again: bool) -> bool:
    # True: this very commit is in already.
    row = {"b_run": held.numbers.run, "b_token": held.token, "b_serial": held.serial}
    if connection.execute(_FENCE, row).rowcount == 1:
        return False
    owner = connection.execute(select(owners.c.token, owners.c.serial).where(owners.c.run == held.numbers.run)).one()
    if again and owner.token == held.token and owner.serial == held.serial + 1:
        return True
    raise _lost(held)


def _lost(held: Held) -> JournalConflict:
    return JournalConflict(
        f"another process took run {held.numbers.run_id} over", hint=f"opsflow show {held.numbers.run_id}"
    )


def _all(connection: Connection, query: Update, changed: list[rows.Row], otherwise: str) -> None:
    if changed and connection.execute(query, changed).rowcount != len(changed):
        raise JournalConflict(otherwise)


def _not_as_believed(kind: str, names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"not in the state it was believed in: {'one of ' if len(names) > 1 else ''}{kind} {shown}"
