"""Programs for the clients of MySQL and MariaDB: no transaction holds a script, so each statement is recorded.

`pending` is committed before a statement and `position` after it. Whoever finds `pending` set knows that the statement
was begun and not that it ended; an error that the server reported takes it back.
"""

# ruff: noqa: S608 - the only names put in are checked ones, the only texts hexadecimal literals

from collections.abc import Iterable, Sequence
from math import ceil

from opsflow_tasks.databases.history import APPLIED, COLUMNS, UNDOING, History, Row
from opsflow_tasks.databases.programs import CHANGED, LOCKED, REFUSED, TEXTS, Program, Programs, at
from opsflow_tasks.databases.scripts import Script
from opsflow_tasks.databases.sql import MYSQL

_LOCK = "CONCAT('opsflow:', MD5(DATABASE()))"
_TYPES = {"version": "BIGINT", "checksum": "CHAR(64)", "state": "VARCHAR(8)"}


class MysqlPrograms(Programs):
    """Writes them."""

    dialect = MYSQL
    options = "--comments --binary-mode"

    def queries(self) -> dict[str, str]:
        """See `Programs`."""
        cells = ", ".join(f"HEX({name})" if name in TEXTS else name for name in COLUMNS)
        return {
            "exists": f"SELECT CONCAT(COALESCE(GROUP_CONCAT(IF(TABLE_NAME = '{self.mark}', 'mark', 'history')"
            f" SEPARATOR ' '), ''), IF(IS_USED_LOCK({_LOCK}) IS NULL, '', ' busy')) FROM information_schema.TABLES"
            f" WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ('{self.table}', '{self.mark}')",
            "rows": f"SELECT CONCAT_WS(',', {cells}) FROM {self._table} ORDER BY version",
            "marked": f"SELECT CONCAT('mark ', HEX(CONCAT(run_id, ' ', node))) FROM `{self.mark}`",
        }

    def undo_text(self, version: int) -> str:
        """See `Programs`."""
        return f"SELECT HEX(undo_sql) FROM {self._table} WHERE version = {version}"

    def apply(self, script: Script, seen: History, row: Row) -> Program:
        """See `Programs`."""
        fresh = seen.row(row.version) is None
        body = [f"INSERT INTO {self._table} {self.inserted(row, script.undo)}"] if fresh else []
        for number, statement in enumerate(script.statements[row.position :], row.position + 1):
            body += self._recorded(row, number, statement, f"position = {number}")
        for number, query in enumerate(script.verify, 1):
            body += [
                at(f"verify {number}"),
                f"SET @opsflow_value = (\n{query}\n)",
                *_unless(
                    "@opsflow_value IS NOT NULL AND CAST(@opsflow_value AS CHAR) NOT REGEXP '^-?0*[.]?0*$'", REFUSED
                ),
            ]
        body.append(
            f"UPDATE {self._table} SET state = '{APPLIED}', applied_at = {self.literal(row.applied_at)}"
            f" WHERE version = {row.version}"
        )
        return self._locked(row, [self._created(), *self._as_seen(seen, row), *body])

    def undo(self, row: Row, statements: Sequence[str], offset: int, seen: History) -> Program:
        """See `Programs`."""
        body = [f"UPDATE {self._table} SET state = '{UNDOING}', undone = {offset} WHERE version = {row.version}"]
        for number, statement in enumerate(statements[offset:], offset + 1):
            body += self._recorded(row, number, statement, f"undone = {number}")
        body.append(f"DELETE FROM {self._table} WHERE version = {row.version}")
        return self._locked(row, [*self._as_seen(seen, row), *body])

    def wait(self, seen: History) -> Program:
        """See `Programs`."""
        absent = (
            "(SELECT COUNT(*) = 0 FROM information_schema.TABLES"
            f" WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{self.table}')"
        )
        same = self._as_seen(seen, seen.open) if seen.exists else _unless(absent, CHANGED)
        return Program(text=_program([*self._lock(), *same]))

    def forget(self) -> Program:
        """See `Programs`."""
        drop = f"SET @opsflow_do = IF((SELECT COUNT(*) FROM {self._table}) = 0, 'DROP TABLE {self._table}', 'DO 0')"
        return Program(text=_program([*self._lock(), drop, *_DO]))

    def marking(self, run_id: str, node: str) -> str:
        """Statements that lock the database and mark it as being restored."""
        created = (
            f"CREATE TABLE IF NOT EXISTS `{self.mark}` (run_id {_TEXT} NOT NULL, node {_TEXT} NOT NULL) ENGINE=InnoDB"
        )
        values = f"({self.literal(run_id)}, {self.literal(node)})"
        marked = [f"DELETE FROM `{self.mark}`", f"INSERT INTO `{self.mark}` (run_id, node) VALUES {values}"]
        return ";\n".join([*self._lock(), created, *marked, ""])

    def unmarking(self) -> str:
        """The statement that takes the mark away."""
        return f"DROP TABLE `{self.mark}`;"

    def literal(self, text: str) -> str:
        """See `Programs`. The introducer keeps it comparable with columns of any collation."""
        return f"_utf8mb4 0x{text.encode().hex()}" if text else "''"

    @property
    def _table(self) -> str:
        return f"`{self.table}`"

    def _locked(self, row: Row, body: Iterable[str]) -> Program:
        took_back = f"UPDATE {self._table} SET pending = 0 WHERE version = {row.version}"
        return Program(text=_program([*self._lock(), *body]), failed=took_back)

    def _lock(self) -> list[str]:
        seconds = max(ceil(self.lock_seconds), 1)
        return [
            "SET autocommit = 1",
            # The same patience for tables that others use: the default is a day or a year.
            f"SET SESSION lock_wait_timeout = {seconds}",
            f"SET @opsflow_lock = GET_LOCK({_LOCK}, {seconds})",
            *_unless("COALESCE(@opsflow_lock, 0) = 1", LOCKED),
        ]

    def _as_seen(self, seen: History, row: Row | None) -> list[str]:
        there = row and seen.row(row.version)
        same = f"(SELECT COUNT(*) = {len(seen.rows)} AND COALESCE(MAX(version), 0) = {seen.newest} FROM {self._table})"
        if there is not None:
            progress = f"{there.position}, {there.pending}, {there.undone}"
            same += (
                f" AND (SELECT COUNT(*) = 1 FROM {self._table} WHERE version = {there.version}"
                f" AND state = '{there.state}' AND (position, pending, undone) = ({progress}))"
            )
        return _unless(same, CHANGED)

    def _recorded(self, row: Row, number: int, statement: str, done: str) -> list[str]:
        update = f"UPDATE {self._table} SET"
        where = f"WHERE version = {row.version}"
        return [
            f"{update} pending = {number} {where}",
            at(str(number)),
            statement,
            f"{update} {done}, pending = 0 {where}",
        ]

    def _created(self) -> str:
        columns = ", ".join(f"{n} {_TYPES.get(n, _TEXT if n in TEXTS else 'INT')} NOT NULL" for n in COLUMNS)
        return (
            f"CREATE TABLE IF NOT EXISTS {self._table} ({columns}, undo_sql LONGTEXT, PRIMARY KEY (version))"
            " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )


_TEXT = "VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_DO = ("PREPARE opsflow_do FROM @opsflow_do", "EXECUTE opsflow_do")


def _unless(condition: str, error: str) -> list[str]:
    """Statements that end the session with an error that quotes `error` unless the condition holds.

    The client's language has no conditions, but a prepared text that is no SQL is an error wherever this runs.
    """
    return [f"SET @opsflow_do = IF({condition}, 'DO 0', '{error}')", *_DO]


def _program(statements: Sequence[str]) -> str:
    text = "\n".join(statements)
    delimiter = next(d for d in (f"$o{n}$" for n in range(len(text) + 1)) if d not in text)
    # On a line of its own: a statement may end in a comment.
    return f"DELIMITER {delimiter}\n" + "".join(f"{s}\n{delimiter}\n" for s in statements)
