"""The history table of one database: read, and run programs against."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from opsflow import Context, TaskFailed
from opsflow_tasks.databases.history import History, parse
from opsflow_tasks.databases.mysql import MysqlPrograms
from opsflow_tasks.databases.params import Database
from opsflow_tasks.databases.postgresql import PostgresqlPrograms
from opsflow_tasks.databases.programs import AT, CHANGED, REFUSED, Program, Programs
from opsflow_tasks.databases.shell import Values, act, look, reason, written
from opsflow_tasks.databases.sqlite import SqlitePrograms
from opsflow_tasks.databases.verdicts import Verdicts

_PROGRAMS: Mapping[str, Callable[[str, float], Programs]] = {
    "sqlite": SqlitePrograms,
    "mysql": MysqlPrograms,
    "postgresql": PostgresqlPrograms,
}
_ERROR_PLACE = re.compile(r"(?<=Error|error|rror:) near line \d+| at line \d+(?=: )")


class LedgerError(TaskFailed):
    """The history cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A program that did not come to its end.

    Attributes:
        place: Where it was: a statement's number, `verify N`, or empty: before the first.
        why: What the client said.
        refused: Whether a verify query was not satisfied.
    """

    place: str
    why: str
    refused: bool


class Ledger:
    """Reads the history and runs programs.

    Args:
        ctx: Where.
        database: The database.
        table: Name of the history table.
        lock_timeout: Seconds to wait for others.
        backup: Path of the backup that may be restored, beside which it is kept what the database holds, so that the
            writes of others are told from those of programs; None: that is not wanted.
    """

    def __init__(
        self, ctx: Context, database: Database, table: str, lock_timeout: float, *, backup: str | None
    ) -> None:
        self._backup = backup
        self._ctx = ctx
        self._database = database
        self._lock_timeout = lock_timeout
        self.programs: Programs = _PROGRAMS[database.engine](table, lock_timeout)

    @property
    def name(self) -> str:
        """The database's name."""
        return self._database.database

    def amended(self, seen: History, words: Verdicts) -> History:
        """The history once an operator's word is in it, unless somebody else has changed it since it was read.

        Raises:
            LedgerError: it cannot be changed.
        """
        program = self.programs.amend(seen, changed=words.changed, added=words.added, gone=words.gone)
        with suppress(StateChanged):
            if failed := self.run(program, words.told):
                raise LedgerError(failed.why)
        return self.settled()

    def read(self) -> History:
        """The history as it is now.

        Whether somebody holds the lock is asked before the rows are: who took it in between is not seen, but the script
        that it began is. So a script that seems to be left counts only when a second look finds the same.

        Raises:
            LedgerError: the database cannot be asked.
        """
        history = self._look()
        while history.open and not history.busy:
            before, history = history, self._look()
            if history == before:
                break
        return history

    def _look(self) -> History:
        values = {"backup": self._backup or "", **self.programs.queries()}
        result = look(self._ctx, self._database, "history", values)
        if not result.ok:
            raise LedgerError(reason(result))
        if result.truncated:
            raise LedgerError(f"the table {self.programs.table} is too large to be read")
        try:
            return parse(result.stdout)
        except ValueError:
            raise LedgerError(f"the table {self.programs.table} is not one that opsflow made") from None

    def settled(self, *, sure: bool = False) -> History:
        """The history when nobody is in the middle of a script.

        Args:
            sure: Look under the lock, even if nothing tells of somebody: what SQLite has not committed cannot be seen.

        Raises:
            TaskFailed: somebody still was after the time to wait for the lock, or the database cannot be asked.
        """
        history = self.read()
        while sure or (history.open and history.busy):
            try:
                failed = self.run(self.programs.wait(history), "wait for another migration", changes=False)
            except StateChanged:
                failed = None
            else:
                sure = False
            if failed:
                raise LedgerError(failed.why)
            history = self.read()
        return history

    def undo_text(self, version: int) -> str | None:
        """The text that undoes a version, as it was stored; None if there is none.

        Raises:
            LedgerError: the database cannot be asked.
        """
        query = self.programs.undo_text(version)
        result = look(self._ctx, self._database, "ask", {"question": query})
        if not result.ok or result.truncated:
            raise LedgerError(reason(result))
        text = result.stdout.strip()
        return None if text in {"", "NULL"} else bytes.fromhex(text).decode()

    def run(self, program: Program, what: str, *, changes: bool = True) -> Failed | None:
        """Run a program as one operation; None: it came to its end.

        Raises:
            TaskFailed: somebody else held the lock for too long, or the time of the operation was over.
            StateChanged: somebody else changed the history since it was read; nothing was done.
        """
        values: Values = {
            "bytes": len(program.text.encode()),
            "failed": program.failed,
            "program_options": self.programs.options,
            "lock_ms": round(self._lock_timeout * 1000),
            "backup": (changes and self._backup) or "",
            "history": self.programs.table,
        }
        result = act(self._ctx, self._database, "program", values, what=what, given=program.text)
        if found := written(result.stdout):
            self._ctx.log(f"written to since {self._backup} was made, which will not be restored by itself: {found}")
        if result.ok:
            return None
        place = next((line.removeprefix(AT).strip() for line in result.stdout.splitlines() if line.startswith(AT)), "")
        if CHANGED in result.stderr:
            raise StateChanged(f"cannot {what}: somebody else migrated the database meanwhile")
        if not place and self.programs.busy in result.stderr:
            raise TaskFailed(
                f"cannot {what}: {self.programs.others} held the lock of {self._database.database} for more than"
                f" {self._lock_timeout:g} s; nothing was done"
            )
        return Failed(place=place, why=_ERROR_PLACE.sub("", reason(result)), refused=REFUSED in result.stderr)


class StateChanged(TaskFailed):
    """The history was not as it was read."""
