"""Migrate a database by versioned scripts, each with an undo: applied once, recorded, and undone in reverse order."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field

from opsflow import Context, Duration, LocalPath, Preview, TaskFailed, hookimpl
from opsflow_tasks.databases.applying import applied, apply, left
from opsflow_tasks.databases.history import History
from opsflow_tasks.databases.ledger import Ledger, LedgerError
from opsflow_tasks.databases.params import Database, Plain
from opsflow_tasks.databases.restoring import unusable
from opsflow_tasks.databases.reverting import Reverting
from opsflow_tasks.databases.scripts import Script, ScriptError, load
from opsflow_tasks.databases.verdicts import Mark, verdicts

idempotent = True

_LONGEST_DIFF = 64 * 1024


class Params(Database):
    """Migrate a database to a version."""

    scripts: LocalPath = Field(
        description="Directory of the control machine with `0001_name.sql`, and beside it `0001_name.undo.sql` and"
        " `0001_name.verify.sql` (queries of one value that must not be NULL, 0 or empty afterwards). Or, as other"
        " tools have them, `V1__name.sql` and `U1__name.sql`, or `1_name.up.sql` and `1_name.down.sql`."
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
        description="Whether a revert may restore that backup where a script has no undo. If anybody has written to the"
        " database since the backup, it stops instead, and says what to do.",
    )
    allow_irreversible: bool = Field(
        default=False,
        description="Whether scripts may be applied that have no undo, though no backup may be restored in its place.",
    )
    mark: dict[int, Mark] = Field(
        default_factory=dict,
        description="What you have seen of scripts that were left half done, or that somebody else has applied, by"
        " version: `applied`, `absent`, or the number of statements that took effect. What is recorded as applied, and"
        " what the same run has begun, is left alone.",
    )
    repair: bool = Field(
        default=False,
        description="Whether the history is to follow the directory: an applied script that was edited counts as it is"
        " now, one that is no more there is forgotten. Nothing is run for it, and the stored undo stays.",
    )
    lock_timeout: Duration = Field(30.0, description="How long to wait for another migration of the same database.")

    @property
    def restorable(self) -> bool:
        """Whether a revert may restore a backup."""
        return self.allow_restore and self.restore_from is not None


class Outputs(BaseModel):
    """What the database is at."""

    version: int = Field(description="The newest version that is applied; 0: none is.")
    applied: list[int] = Field(description="The versions that this run has applied, in order.")


@hookimpl
def params() -> type[Params]:
    """The schema."""
    return Params


@hookimpl
def outputs() -> type[BaseModel]:
    """What it gives."""
    return Outputs


@hookimpl
def plan(ctx: Context, params: Params) -> Preview:
    """Which scripts are not applied yet, and does the history agree with the others?"""
    ledger = _ledger(ctx, params)
    try:
        scripts = load(params.scripts, ledger.programs.dialect)
        history = ledger.read()
        words = verdicts(ctx, history, scripts, params.mark, repair=params.repair)
    except (ScriptError, LedgerError) as error:
        return Preview.fail(f"cannot migrate {params.database}: {error}")
    existed, history = history.exists, words.on(history)
    target = scripts[-1].version if params.to is None else params.to
    if trouble := history.drift(scripts) or _unfit(ctx, history, scripts, target):
        return Preview.fail(f"cannot migrate {params.database}: {trouble}")
    pending = [s for s in scripts if s.version <= target and not applied(history, s)]
    if not pending and not words:
        return Preview.unchanged(f"{params.database} is at version {history.version}", outputs=history.outputs(ctx))
    why = _irreversible(ctx, params, pending)
    if why and not params.allow_irreversible:
        return Preview.fail(
            f"cannot migrate {params.database}: {why}; to apply it nevertheless say allow_irreversible = true"
        )
    return Preview.change(
        _summary(params, history.version, target, pending, words.told),
        before={
            "version": history.version,
            "history": existed,
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
        scripts = load(params.scripts, ledger.programs.dialect)
        history = ledger.settled()
        while words := verdicts(ctx, history, scripts, params.mark, repair=params.repair):
            history = ledger.amended(history, words)
    except (ScriptError, LedgerError) as error:
        raise TaskFailed(f"cannot migrate {params.database}: {error}") from error
    known = {script.name: script for script in scripts}
    wanted: Mapping[str, str] = preview.before["scripts"]
    for done, (name, checksum) in enumerate(wanted.items()):
        script = known.get(name)
        if script is None or script.checksum != checksum:
            raise TaskFailed(f"{name} is not what it was when the migration was planned")
        history = apply(ctx, ledger, script, history, preview.before["attempt"])
        ctx.progress(done + 1, len(wanted))
    return history.outputs(ctx)


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: Mapping[str, Any] | None) -> None:
    """Undo what this attempt applied, newest first; or restore the backup, if that is allowed."""
    reverting = Reverting(
        ctx=ctx,
        database=params,
        ledger=_ledger(ctx, params),
        before=preview.before,
        backup=params.restore_from,
        restorable=params.restorable,
    )
    reverting.run(finished=outputs is not None)


def _ledger(ctx: Context, params: Params) -> Ledger:
    backup = params.restore_from if params.restorable else None
    return Ledger(ctx, params, params.table, params.lock_timeout, backup=backup)


def _unfit(ctx: Context, history: History, scripts: Sequence[Script], target: int) -> str:
    """Why the database cannot be migrated as it is; empty if it can."""
    if target not in {script.version for script in scripts}:
        return f"there is no script of version {target}"
    if history.version > target:
        return f"it is at version {history.version}, beyond {target}; only a rollback goes back"
    # Somebody in the middle of a script is waited for when it comes to that.
    return "" if history.busy else left(ctx, history)


def _irreversible(ctx: Context, params: Params, pending: Sequence[Script]) -> str:
    """Why a revert could not take the scripts back; empty if it could."""
    stuck = [script.name for script in pending if script.undo is None]
    if stuck and params.restorable:
        return unusable(ctx, params, str(params.restore_from))
    return f"no undo script: {', '.join(stuck)}" if stuck else ""


def _summary(params: Params, version: int, target: int, pending: Sequence[Script], told: str) -> str:
    names = ", ".join(script.name for script in pending)
    migrating = f"migrate {params.database} {version} → {target} ({names})" if pending else ""
    return "; ".join(filter(None, (told, migrating)))


def _diff(scripts: Sequence[Script]) -> str:
    text = "".join(f"-- {script.file}\n{script.text.rstrip()}\n" for script in scripts)
    return text if len(text) <= _LONGEST_DIFF else f"{text[:_LONGEST_DIFF]}\n-- and so on: the scripts are long\n"
