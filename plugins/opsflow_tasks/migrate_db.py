"""Migrate a database by versioned scripts, each with an undo: applied once, recorded, and undone in reverse order."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from opsflow import Context, Duration, LocalPath, Preview, TaskFailed, hookimpl
from opsflow_tasks.databases.history import APPLIED, APPLYING, History, Row
from opsflow_tasks.databases.ledger import Failed, Ledger, LedgerError, StateChanged
from opsflow_tasks.databases.params import Database, Plain
from opsflow_tasks.databases.restoring import restore, unusable
from opsflow_tasks.databases.scripts import Script, ScriptError, load
from opsflow_tasks.databases.undoing import Undo, by_hand, undo_of

idempotent = True

_LONGEST_DIFF = 64 * 1024


class Params(Database):
    """Migrate a database to a version."""

    scripts: LocalPath = Field(
        description="Directory of the control machine with `0001_name.sql`, and beside it `0001_name.undo.sql` and"
        " `0001_name.verify.sql` (queries of one value that must not be NULL, 0 or empty afterwards)."
    )
    to: int | None = Field(None, ge=1, description="Version to migrate to; None: the newest.")
    table: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,47}$")] = Field(
        "opsflow_migrations", description="Table of the database in which the history is kept."
    )
    restore_from: Plain | None = Field(
        None, description="Path on the target of a backup that `backup_db` made: `{{ outputs.backup.path }}`."
    )
    allow_restore: bool = Field(
        default=False,
        description="Whether a revert may restore that backup where a script has no undo. What was written to the"
        " database since the backup is lost then.",
    )
    lock_timeout: Duration = Field(30.0, description="How long to wait for another migration of the same database.")

    @property
    def restorable(self) -> bool:
        """Whether a revert may restore a backup."""
        return self.allow_restore and self.restore_from is not None


@hookimpl
def params() -> type[Params]:
    """The schema."""
    return Params


@hookimpl
def plan(ctx: Context, params: Params) -> Preview:
    """Which scripts are not applied yet, and does the history agree with the others?"""
    ledger = _ledger(ctx, params)
    try:
        scripts = load(params.scripts, ledger.programs.dialect)
        history = ledger.read()
    except (ScriptError, LedgerError) as error:
        return Preview.fail(f"cannot migrate {params.database}: {error}")
    target = scripts[-1].version if params.to is None else params.to
    if trouble := history.drift(scripts) or _unfit(ctx, history, scripts, target):
        return Preview.fail(f"cannot migrate {params.database}: {trouble}")
    pending = [s for s in scripts if s.version <= target and not _applied(history, s)]
    if not pending:
        return Preview.unchanged(f"{params.database} is at version {history.version}", outputs=history.outputs(ctx))
    stuck = [script.name for script in pending if script.undo is None]
    why = f"no undo script: {', '.join(stuck)}" if stuck else ""
    if stuck and params.restorable:
        why = unusable(ctx, params, str(params.restore_from))
    names = ", ".join(script.name for script in pending)
    return Preview.change(
        f"migrate {params.database} {history.version} → {target} ({names})",
        before={
            "version": history.version,
            "history": history.exists,
            "attempt": ctx.attempt,
            "scripts": {script.name: script.checksum for script in pending},
        },
        diff=_diff(pending),
        reversible=not why,
        why=why,
    )


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict[str, object]:
    """Apply the scripts, one operation each. What another one applied meanwhile is not applied again."""
    ledger = _ledger(ctx, params)
    try:
        known = {script.name: script for script in load(params.scripts, ledger.programs.dialect)}
        history = ledger.settled()
    except (ScriptError, LedgerError) as error:
        raise TaskFailed(f"cannot migrate {params.database}: {error}") from error
    wanted: Mapping[str, str] = preview.before["scripts"]
    for done, (name, checksum) in enumerate(wanted.items()):
        script = known.get(name)
        if script is None or script.checksum != checksum:
            raise TaskFailed(f"{name}.sql is not what it was when the migration was planned")
        history = _apply(ctx, params, ledger, script, history, preview)
        ctx.progress(done + 1, len(wanted))
    return history.outputs(ctx)


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: Mapping[str, Any] | None) -> None:
    """Undo what this attempt applied, newest first; or restore the backup, if that is allowed."""
    ledger = _ledger(ctx, params)
    while True:
        with suppress(StateChanged):
            _revert(ctx, params, ledger, preview, finished=outputs is not None)
            return


def _ledger(ctx: Context, params: Params) -> Ledger:
    return Ledger(ctx, params, params.table, params.lock_timeout)


def _applied(history: History, script: Script) -> bool:
    row = history.row(script.version)
    return row is not None and row.state == APPLIED


def _unfit(ctx: Context, history: History, scripts: Sequence[Script], target: int) -> str:
    """Why the database cannot be migrated as it is; empty if it can."""
    if target not in {script.version for script in scripts}:
        return f"there is no script of version {target}"
    if history.version > target:
        return f"it is at version {history.version}, beyond {target}; only a rollback goes back"
    # Somebody in the middle of a script is waited for when it comes to that.
    return "" if history.busy else _left(ctx, history)


def _left(ctx: Context, history: History) -> str:
    """What was left half done, if this node cannot go on with it; empty if there is nothing of the kind."""
    if history.restoring:
        return f"the restore that {history.restoring} began is not finished: finish that run's rollback"
    left = history.open
    # What an earlier attempt of this node left between two statements can be gone on with.
    if left is None or (left.state == APPLYING and not left.pending and left.by(ctx)):
        return ""
    return (
        f"{left.name} was left half done by run {left.run_id} ({left.state}, {left.position} of {left.statements}"
        f" statements): finish that run's rollback"
    )


def _apply(ctx: Context, params: Params, ledger: Ledger, script: Script, history: History, preview: Preview) -> History:
    """Apply one script unless it is; the history after that."""
    while not _applied(history, script):
        row = _row(ctx, script, history, preview)
        if trouble := _conflict(ctx, history, script, row):
            raise TaskFailed(f"cannot migrate {params.database}: {trouble}")
        try:
            failed = ledger.run(ledger.programs.apply(script, history, row), f"apply {script.name}.sql")
        except StateChanged:
            history = ledger.settled()
            continue
        if failed:
            raise TaskFailed(_told(script, failed, atomic=ledger.programs.atomic(script.statements)))
        applied = replace(row, state=APPLIED, position=row.statements)
        others = [r for r in history.rows if r.version != row.version]
        history = History(exists=True, rows=tuple(sorted((*others, applied), key=lambda r: r.version)))
        ctx.log(f"applied {script.name}")
    return history


def _conflict(ctx: Context, history: History, script: Script, row: Row) -> str:
    """Why a script cannot be applied now; empty if it can."""
    if row.checksum != script.checksum:
        return f"{row.name} was begun by run {row.run_id} with another text"
    if history.version > script.version:
        return f"{script.name}.sql is out of order: version {history.version} was applied meanwhile"
    return _left(ctx, history)


def _row(ctx: Context, script: Script, history: History, preview: Preview) -> Row:
    """The row of a script that is about to be applied."""
    now = f"{ctx.now():%Y-%m-%dT%H:%M:%SZ}"
    begun = history.row(script.version)
    if begun:
        return replace(begun, applied_at=now)
    return Row(
        version=script.version,
        name=script.name,
        checksum=script.checksum,
        state=APPLYING,
        statements=len(script.statements),
        position=0,
        pending=0,
        undone=0,
        applied_at=now,
        run_id=ctx.run_id,
        node=ctx.node,
        attempt=preview.before["attempt"],
    )


def _told(script: Script, failed: Failed, *, atomic: bool) -> str:
    """The message about a script that failed."""
    if failed.place.startswith("verify"):
        where = f"{script.name}.verify.sql, statement {failed.place.removeprefix('verify ')}"
    else:
        total = len(script.statements)
        where = f"{script.name}.sql, statement {failed.place} of {total}" if failed.place else f"{script.name}.sql"
    why = "the value is NULL, 0 or empty" if failed.refused else failed.why
    left = "nothing of the script was applied" if atomic else "what was before it is applied"
    return f"{where}: {why} ({left})"


def _undo(params: Params, ledger: Ledger, undo: Undo, history: History) -> History:
    """Undo one row; the history after that."""
    row = undo.row
    program = ledger.programs.undo(row, undo.statements, undo.offset, history)
    failed = ledger.run(program, f"undo {row.name}")
    if failed:
        where = f", statement {failed.place} of {len(undo.statements)}" if failed.place else ""
        raise TaskFailed(f"{row.name}.undo.sql (as stored in {params.database}){where}: {failed.why}")
    return replace(history, rows=tuple(r for r in history.rows if r.version != row.version))


def _revert(ctx: Context, params: Params, ledger: Ledger, preview: Preview, *, finished: bool) -> None:
    """Revert once; `StateChanged` if somebody else was at work meanwhile."""
    # A script whose link was lost may still run.
    history = ledger.settled(sure=not finished)
    if history.restoring:
        if history.restoring != f"{ctx.run_id} {ctx.node}" or not params.restorable:
            raise TaskFailed(f"the restore of {params.database} that {history.restoring} began is not finished")
        restore(ctx, params, str(params.restore_from), ledger.programs)
        return
    mine = [row for row in reversed(history.rows) if row.by(ctx, preview.before["attempt"])]
    if mine and history.newest != mine[0].version:
        newer = history.rows[-1]
        raise TaskFailed(f"{mine[0].name} cannot be undone: {newer.name} was applied after it by run {newer.run_id}")
    undos = [_undo_of(ledger, row) for row in mine]
    if any(undo.trouble for undo in undos):
        if not params.restorable:
            raise _by_hand(ctx, params, undos)
        restore(ctx, params, str(params.restore_from), ledger.programs)
        return
    for undo in undos:
        history = _undo(params, ledger, undo, history)
    if history.exists and not history.rows and not preview.before["history"]:
        _forget(ledger)


def _undo_of(ledger: Ledger, row: Row) -> Undo:
    try:
        return undo_of(row, ledger.undo_text(row.version), ledger.programs.dialect)
    except ScriptError as error:
        return Undo(row=row, trouble=f"its stored undo script cannot be used: {error}")


def _forget(ledger: Ledger) -> None:
    """Drop the empty history table, unless somebody uses it by now."""
    try:
        failed = ledger.run(ledger.programs.forget(), f"drop {ledger.programs.table}")
    except StateChanged:
        return
    if failed:
        raise TaskFailed(f"cannot drop {ledger.programs.table}: {failed.why}")


def _by_hand(ctx: Context, params: Params, undos: Sequence[Undo]) -> TaskFailed:
    troubles = "; ".join(undo.trouble for undo in undos if undo.trouble)
    steps = by_hand(undos, params.table, ctx.run_id)
    restore = (
        f"\nor restore {params.restore_from} by hand, which loses what was written since" if params.restore_from else ""
    )
    return TaskFailed(f"{params.database} cannot be undone: {troubles}", hint=f"by hand:\n{steps}{restore}")


def _diff(scripts: Sequence[Script]) -> str:
    text = "".join(f"-- {script.name}.sql\n{script.text.rstrip()}\n" for script in scripts)
    return text if len(text) <= _LONGEST_DIFF else f"{text[:_LONGEST_DIFF]}\n-- and so on: the scripts are long\n"
