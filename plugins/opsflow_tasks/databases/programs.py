"""The SQL programs in which scripts are run: under a lock, on the state that was read, with what was done recorded."""

# ruff: noqa: S608 - the only names put in are checked ones, the only texts literals that the engine has quoted

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from opsflow_tasks.databases.dialects import Dialect
from opsflow_tasks.databases.history import COLUMNS, History, Row
from opsflow_tasks.databases.scripts import Script

TEXTS = frozenset({"name", "checksum", "state", "applied_at", "run_id", "node"})
LOCKED = "opsflow_somebody_else_holds_the_lock"
CHANGED = "opsflow_the_state_changed"
REFUSED = "opsflow_verify_refused"
AT = "opsflow-at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What the client gets.

    Attributes:
        text: The SQL.
        failed: SQL for after an error that the server reported, whose statement therefore had no effect.
    """

    text: str
    failed: str = ""


class Programs(ABC):
    """Writes the programs of one engine.

    Args:
        table: Name of the history table; letters, digits and underscores.
        lock_seconds: How long to wait for the lock.
    """

    dialect: Dialect
    options: str
    """Of the client, for programs."""
    busy: str
    """What the client says, before a script's first statement, when somebody else held the lock for too long."""
    others = "another migration"
    """Who may hold that lock."""

    def __init__(self, table: str, lock_seconds: float) -> None:
        self.table = table
        self.lock_seconds = lock_seconds

    @property
    def mark(self) -> str:
        """Table that is there while a backup is restored."""
        return f"{self.table}_restoring"

    @property
    @abstractmethod
    def _table(self) -> str:
        """Quoted name of the history table in a program."""

    @property
    def _asked(self) -> str:
        """The same in a query that is no part of a program."""
        return self._table

    @abstractmethod
    def atomic(self, statements: Sequence[str]) -> bool:
        """Whether a script of these statements takes effect as a whole or not at all."""

    @abstractmethod
    def queries(self) -> dict[str, str]:
        """What `history.sh` asks: `exists`, `rows`, `marked`."""

    @abstractmethod
    def undo_text(self, version: int) -> str:
        """Query of the undo text of a version, in hexadecimal."""

    @abstractmethod
    def apply(self, script: Script, seen: History, row: Row) -> Program:
        """Apply a script; `row` is its row of the history as of now, or as it is to be."""

    @abstractmethod
    def undo(self, row: Row, statements: Sequence[str], offset: int, seen: History) -> Program:
        """Undo a script by the statements from `offset` on, and take its row away."""

    @abstractmethod
    def amend(
        self, seen: History, *, changed: Sequence[Row], added: Sequence[tuple[Row, str | None]], gone: Sequence[Row]
    ) -> Program:
        """Change rows of the history, add some with their undo texts, take some away; all or nothing."""

    @abstractmethod
    def wait(self, seen: History) -> Program:
        """Do nothing but take the lock, and see whether the history is what it was."""

    @abstractmethod
    def forget(self) -> Program:
        """Drop the history table if it is empty."""

    @abstractmethod
    def literal(self, text: str) -> str:
        """A text as SQL, whatever is in it."""

    def restoring(self, run_id: str, node: str) -> dict[str, str]:
        """Shell variables that the engine's restore expects."""
        del run_id, node
        return {}

    @abstractmethod
    def _elapsed(self) -> str:
        """Milliseconds since the program began."""

    def _timed(self, row: Row) -> str:
        """Statement that records how long a script took; of one that was gone on with, how long the rest did."""
        return f"UPDATE {self._table} SET milliseconds = {self._elapsed()} WHERE version = {row.version}"

    def _amendments(
        self, changed: Sequence[Row], added: Sequence[tuple[Row, str | None]], gone: Sequence[Row]
    ) -> list[str]:
        return [
            *(f"DELETE FROM {self._table} WHERE version = {row.version}" for row in gone),
            *(f"UPDATE {self._table} SET {self._cells(row)} WHERE version = {row.version}" for row in changed),
            *(f"INSERT INTO {self._table} {self.inserted(row, undo)}" for row, undo in added),
        ]

    def _cells(self, row: Row) -> str:
        return ", ".join(f"{name} = {value}" for name, value in zip(COLUMNS, self._values(row), strict=True))

    def _values(self, row: Row) -> list[str]:
        cells = (getattr(row, name) for name in COLUMNS)
        return [self.literal(cell) if isinstance(cell, str) else str(cell) for cell in cells]

    def inserted(self, row: Row, undo: str | None) -> str:
        """Columns and values of a new row."""
        values = self._values(row)
        values.append("NULL" if undo is None else self.literal(undo))
        return f"({', '.join(COLUMNS)}, undo_sql) VALUES ({', '.join(values)})"


def at(place: str) -> str:
    """A statement that says how far the program is."""
    return f"SELECT '{AT} {place}'"
