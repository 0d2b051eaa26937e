"""Programs for statements that no transaction holds: what was reached is recorded as it goes.

`pending` is committed before a statement and `position` after it. Whoever finds `pending` set knows that the statement
was begun and not that it ended; an error that the server reported takes it back.
"""

# ruff: noqa: S608 - the only names put in are checked ones, the only texts literals that the engine has quoted

from abc import abstractmethod
from collections.abc import Iterable, Sequence

from opsflow_tasks.databases.history import APPLIED, UNDOING, History, Row
from opsflow_tasks.databases.programs import CHANGED, REFUSED, Program, Programs, at
from opsflow_tasks.databases.scripts import Script


class RecordedPrograms(Programs):
    """Writes them for one engine."""

    def atomic(self, statements: Sequence[str]) -> bool:
        """See `Programs`."""
        del statements
        return False

    def apply(self, script: Script, seen: History, row: Row) -> Program:
        """See `Programs`."""
        fresh = seen.row(row.version) is None
        body = [f"INSERT INTO {self._table} {self.inserted(row, script.undo)}"] if fresh else []
        for number, statement in enumerate(script.statements[row.position :], row.position + 1):
            body += self._recorded(row, number, statement, f"position = {number}")
        body += self._verified(script)
        body.append(
            f"UPDATE {self._table} SET state = '{APPLIED}', applied_at = {self.literal(row.applied_at)}"
            f" WHERE version = {row.version}"
        )
        body.append(self._timed(row))
        return self._locked(row, [self._created(), *self._as_seen(seen, row), *body])

    def undo(self, row: Row, statements: Sequence[str], offset: int, seen: History) -> Program:
        """See `Programs`."""
        body = [f"UPDATE {self._table} SET state = '{UNDOING}', undone = {offset} WHERE version = {row.version}"]
        for number, statement in enumerate(statements[offset:], offset + 1):
            body += self._recorded(row, number, statement, f"undone = {number}")
        body.append(f"DELETE FROM {self._table} WHERE version = {row.version}")
        return self._locked(row, [*self._as_seen(seen, row), *body])

    def amend(
        self, seen: History, *, changed: Sequence[Row], added: Sequence[tuple[Row, str | None]], gone: Sequence[Row]
    ) -> Program:
        """See `Programs`."""
        body = ["START TRANSACTION", *self._amendments(changed, added, gone), "COMMIT"]
        return self._program([*self._lock(), self._created(), *self._as_seen(seen, seen.open), *body])

    def wait(self, seen: History) -> Program:
        """See `Programs`."""
        same = self._as_seen(seen, seen.open) if seen.exists else self._unless(self._absent(), CHANGED)
        return self._program([*self._lock(), *same])

    @abstractmethod
    def _lock(self) -> list[str]:
        """Statements that take the lock for as long as the session lasts."""

    @abstractmethod
    def _absent(self) -> str:
        """Condition: there is no history."""

    @abstractmethod
    def _unless(self, condition: str, error: str) -> list[str]:
        """Statements that end the session with an error that quotes `error` unless the condition holds."""

    @abstractmethod
    def _satisfied(self, query: str, error: str) -> list[str]:
        """The same, unless the value of the query is neither NULL, 0, false nor empty."""

    @abstractmethod
    def _created(self) -> str:
        """Statement that makes the history unless it is there."""

    @abstractmethod
    def _program(self, statements: Sequence[str], *, failed: str = "") -> Program:
        """What the client gets, each statement unharmed."""

    def _script(self, statement: str) -> str:
        """A statement of a script as one of a program."""
        return statement

    def _verified(self, script: Script) -> Iterable[str]:
        for number, query in enumerate(script.verify, 1):
            yield at(f"verify {number}")
            yield from self._satisfied(query, REFUSED)

    def _locked(self, row: Row, body: Iterable[str]) -> Program:
        took_back = f"UPDATE {self._asked} SET pending = 0 WHERE version = {row.version} AND {self._traceless()}"
        return self._program([*self._lock(), *body], failed=took_back)

    def _traceless(self) -> str:
        """Condition: a statement that the server has refused left nothing behind."""
        return "1 = 1"

    def _as_seen(self, seen: History, row: Row | None) -> list[str]:
        there = row and seen.row(row.version)
        same = f"(SELECT COUNT(*) = {len(seen.rows)} AND COALESCE(MAX(version), 0) = {seen.newest} FROM {self._table})"
        if there is not None:
            progress = f"{there.position}, {there.pending}, {there.undone}"
            same += (
                f" AND (SELECT COUNT(*) = 1 FROM {self._table} WHERE version = {there.version}"
                f" AND state = '{there.state}' AND (position, pending, undone) = ({progress}))"
            )
        return self._unless(same, CHANGED)

    def _recorded(self, row: Row, number: int, statement: str, done: str) -> list[str]:
        update = f"UPDATE {self._table} SET"
        where = f"WHERE version = {row.version}"
        return [
            f"{update} pending = {number} {where}",
            at(str(number)),
            self._script(statement),
            f"{update} {done}, pending = 0 {where}",
        ]
