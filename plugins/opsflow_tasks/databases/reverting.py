"""What an attempt applied, undone newest first; or the backup restored, if that is allowed."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from opsflow import Context, TaskFailed
from opsflow_tasks.databases.history import History, Row
from opsflow_tasks.databases.ledger import Ledger, StateChanged
from opsflow_tasks.databases.params import Database
from opsflow_tasks.databases.restoring import Written, restore
from opsflow_tasks.databases.scripts import ScriptError
from opsflow_tasks.databases.undoing import Undo, by_hand, finishing, undo_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverting:
    """The revert of one attempt.

    Attributes:
        ctx: Where.
        database: Of which database.
        ledger: Its history.
        before: What the attempt found before it began: `attempt`, `history` (whether there was one).
        backup: Path of a backup; None: there is none.
        restorable: Whether it may be restored.
    """

    ctx: Context
    database: Database
    ledger: Ledger
    before: Mapping[str, Any]
    backup: str | None
    restorable: bool

    def run(self, *, finished: bool) -> None:
        """Revert, however often others are at work meanwhile.

        Args:
            finished: Whether the attempt came to its end; else a script of it may still run.

        Raises:
            TaskFailed: something stays; the message or its hint says what to do.
        """
        while True:
            with suppress(StateChanged):
                self._once(sure=not finished)
                return

    def _once(self, *, sure: bool) -> None:
        ctx, history = self.ctx, self.ledger.settled(sure=sure)
        if history.restoring:
            if history.restoring != f"{ctx.run_id} {ctx.node}" or not self.restorable:
                raise TaskFailed(f"the restore of {self.ledger.name} that {history.restoring} began is not finished")
            self._restore(begun=True)
            return
        undos = [self._undo_of(row) for row in self._rows(history)]
        if any(undo.trouble for undo in undos):
            if not self.restorable:
                raise self._by_hand(undos)
            try:
                self._restore()
            except Written as error:
                raise self._kept(undos, error) from None
            return
        for undo in undos:
            history = self._undo(undo, history)
        if history.exists and not history.rows and not self.before["history"]:
            self._forget()

    def _rows(self, history: History) -> list[Row]:
        """What is to be undone, newest first: from the attempt's oldest script on.

        Where several nodes of a run name one database, their scripts may come in turns; whoever reverts first undoes
        them all, since none can be undone before those that came after it.
        """
        ctx = self.ctx
        oldest = next((row.version for row in history.rows if row.by(ctx, self.before["attempt"])), None)
        rows = [] if oldest is None else [row for row in history.rows if row.version >= oldest]
        for row in rows:
            if row.run_id != ctx.run_id:
                raise TaskFailed(
                    f"{rows[0].name} cannot be undone: {row.name} was applied after it by run {row.run_id}"
                )
            if row.node != ctx.node:
                ctx.log(f"{row.name}, which {row.node} applied to the same database, is undone with it")
        return rows[::-1]

    def _restore(self, *, begun: bool = False) -> None:
        restore(self.ctx, self.database, str(self.backup), self.ledger.programs, begun=begun)

    def _undo_of(self, row: Row) -> Undo:
        try:
            return undo_of(row, self.ledger.undo_text(row.version), self.ledger.programs.dialect)
        except ScriptError as error:
            return Undo(row=row, trouble=f"its stored undo script cannot be used: {error}")

    def _undo(self, undo: Undo, history: History) -> History:
        """Undo one row; the history after that."""
        row = undo.row
        program = self.ledger.programs.undo(row, undo.statements, undo.offset, history)
        failed = self.ledger.run(program, f"undo {row.name}")
        if failed:
            where = f", statement {failed.place} of {len(undo.statements)}" if failed.place else ""
            programs = self.ledger.programs
            raise TaskFailed(
                f"the undo of {row.name} (as stored in {self.ledger.name}){where}: {failed.why}",
                hint=finishing(
                    undo, failed.place, programs.table, self.ctx.run_id, atomic=programs.atomic(undo.statements)
                ),
            )
        return replace(history, rows=tuple(r for r in history.rows if r.version != row.version))

    def _forget(self) -> None:
        """Drop the empty history table, unless somebody uses it by now."""
        table = self.ledger.programs.table
        with suppress(StateChanged):
            if failed := self.ledger.run(self.ledger.programs.forget(), f"drop {table}"):
                raise TaskFailed(f"cannot drop {table}: {failed.why}")

    def _kept(self, undos: Sequence[Undo], error: Written) -> TaskFailed:
        """The refusal to lose what others have written."""
        ctx, backup = self.ctx, str(self.backup)
        return TaskFailed(
            f"{self.ledger.name} is not restored from {backup}: {error.message}",
            hint=f"to restore it nevertheless:\n1. save what you need of what was written since\n2. on {ctx.host}:"
            f" printf %s {ctx.quote(ctx.run_id)} >{ctx.quote(f'{backup}.restore')}\n3. opsflow rollback {ctx.run_id}\n"
            f"or, to keep it, by hand:\n{by_hand(undos, self.ledger.programs.table, ctx.run_id)}",
        )

    def _by_hand(self, undos: Sequence[Undo]) -> TaskFailed:
        troubles = "; ".join(undo.trouble for undo in undos if undo.trouble)
        steps = by_hand(undos, self.ledger.programs.table, self.ctx.run_id)
        restoring = f"\nor restore {self.backup} by hand, which loses what was written since" if self.backup else ""
        return TaskFailed(f"{self.ledger.name} cannot be undone: {troubles}", hint=f"by hand:\n{steps}{restoring}")
