"""Scripts applied, one operation each, and recorded as whose they are."""

from dataclasses import replace

from opsflow import Context, TaskFailed
from opsflow_tasks.databases.history import APPLIED, APPLYING, History, Row, fresh
from opsflow_tasks.databases.ledger import Failed, Ledger, StateChanged
from opsflow_tasks.databases.scripts import Script


def applied(history: History, script: Script) -> bool:
    """Whether a script is applied."""
    row = history.row(script.version)
    return row is not None and row.state == APPLIED


def left(ctx: Context, history: History) -> str:
    """What was left half done, if this node cannot go on with it; empty if there is nothing of the kind."""
    if history.restoring:
        return f"the restore that {history.restoring} began is not finished: finish that run's rollback"
    row = history.open
    # What an earlier attempt of this node left between two statements can be gone on with.
    if row is None or (row.state == APPLYING and not row.pending and row.by(ctx)):
        return ""
    if row.run_id == ctx.run_id:
        return f"{row.name} was left half done by {row.node} of this run ({row.progress}): its revert undoes that"
    return (
        f"{row.name} was left half done by run {row.run_id} ({row.progress}): finish that run's"
        f' rollback, or look what of it is there and say so: mark = {{ {row.version} = "applied" }}, "absent", or the'
        " number of statements that took effect"
    )


def apply(ctx: Context, ledger: Ledger, script: Script, history: History, attempt: int) -> History:
    """Apply one script unless somebody else has meanwhile; the history after that.

    Args:
        ctx: Where.
        ledger: On which database.
        script: What.
        history: As it was read.
        attempt: The attempt whose script it is, and which will undo it.

    Raises:
        TaskFailed: it is not applied, or not wholly.
    """
    while not applied(history, script):
        row = _row(ctx, script, history, attempt)
        if trouble := _conflict(ctx, history, script, row):
            raise TaskFailed(f"cannot migrate {ledger.name}: {trouble}")
        try:
            failed = ledger.run(ledger.programs.apply(script, history, row), f"apply {script.name}")
        except StateChanged:
            history = ledger.settled()
            continue
        if failed:
            raise TaskFailed(_told(script, failed, atomic=ledger.programs.atomic(script.statements)))
        history = history.having(replace(row, state=APPLIED, position=row.statements))
        ctx.log(f"applied {script.name}")
    return history


def _conflict(ctx: Context, history: History, script: Script, row: Row) -> str:
    """Why a script cannot be applied now; empty if it can."""
    if row.checksum != script.checksum:
        return f"{row.name} was begun by run {row.run_id} with another text"
    if history.version > script.version:
        return f"{script.file} is out of order: version {history.version} was applied meanwhile"
    return left(ctx, history)


def _row(ctx: Context, script: Script, history: History, attempt: int) -> Row:
    """The row of a script that is about to be applied."""
    begun = history.row(script.version)
    now = f"{ctx.now():%Y-%m-%dT%H:%M:%SZ}"
    return replace(begun, applied_at=now) if begun else fresh(script, ctx.run_id, ctx.node, attempt, now)


def _told(script: Script, failed: Failed, *, atomic: bool) -> str:
    """The message about a script that failed."""
    if failed.place.startswith("verify"):
        where = f"{script.name}.verify.sql, statement {failed.place.removeprefix('verify ')}"
    else:
        total = len(script.statements)
        where = f"{script.file}, statement {failed.place} of {total}" if failed.place else script.file
    why = "the value is NULL, 0 or empty" if failed.refused else failed.why
    if not atomic and failed.place == "1":
        return f"{where}: {why}"
    kept = "nothing of the script was applied" if atomic else "what was before it is applied"
    return f"{where}: {why} ({kept})"
