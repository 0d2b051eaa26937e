"""Programs for the clients of MySQL and MariaDB: a change of the schema ends any transaction, so each is recorded."""

# ruff: noqa: S608 - the only names put in are checked ones, the only texts hexadecimal literals

from collections.abc import Sequence
from math import ceil

from opsflow_tasks.databases.dialects import MYSQL
from opsflow_tasks.databases.history import COLUMNS
from opsflow_tasks.databases.programs import LOCKED, TEXTS, Program
from opsflow_tasks.databases.recorded import RecordedPrograms

_LOCK = "CONCAT('opsflow:', MD5(DATABASE()))"
_TYPES = {"version": "BIGINT", "checksum": "CHAR(64)", "state": "VARCHAR(8)"}
_TEXT = "VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_DO = ("PREPARE opsflow_do FROM @opsflow_do", "EXECUTE opsflow_do")


class MysqlPrograms(RecordedPrograms):
    """Writes them."""

    dialect = MYSQL
    options = "--comments --binary-mode"
    busy = LOCKED

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

    def forget(self) -> Program:
        """See `Programs`."""
        drop = f"SET @opsflow_do = IF((SELECT COUNT(*) FROM {self._table}) = 0, 'DROP TABLE {self._table}', 'DO 0')"
        return self._program([*self._lock(), drop, *_DO])

    def restoring(self, run_id: str, node: str) -> dict[str, str]:
        """See `Programs`. What locks the database and marks it as being restored, and takes the mark away."""
        created = (
            f"CREATE TABLE IF NOT EXISTS `{self.mark}` (run_id {_TEXT} NOT NULL, node {_TEXT} NOT NULL) ENGINE=InnoDB"
        )
        values = f"({self.literal(run_id)}, {self.literal(node)})"
        marked = [f"DELETE FROM `{self.mark}`", f"INSERT INTO `{self.mark}` (run_id, node) VALUES {values}"]
        return {
            "mark": self.mark,
            "marking": ";\n".join([*self._lock(), created, *marked, ""]),
            "unmarking": f"DROP TABLE `{self.mark}`;",
        }

    def literal(self, text: str) -> str:
        """See `Programs`. The introducer keeps it comparable with columns of any collation."""
        return f"_utf8mb4 0x{text.encode().hex()}" if text else "''"

    @property
    def _table(self) -> str:
        return f"`{self.table}`"

    def _lock(self) -> list[str]:
        seconds = max(ceil(self.lock_seconds), 1)
        return [
            "SET autocommit = 1",
            "SET @opsflow_began = NOW(6)",
            # The same patience for tables that others use: the default is a day or a year.
            f"SET SESSION lock_wait_timeout = {seconds}",
            f"SET @opsflow_lock = GET_LOCK({_LOCK}, {seconds})",
            *self._unless("COALESCE(@opsflow_lock, 0) = 1", LOCKED),
        ]

    def _elapsed(self) -> str:
        return "TIMESTAMPDIFF(MICROSECOND, @opsflow_began, NOW(6)) DIV 1000"

    def _absent(self) -> str:
        return (
            "(SELECT COUNT(*) = 0 FROM information_schema.TABLES"
            f" WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '{self.table}')"
        )

    def _unless(self, condition: str, error: str) -> list[str]:
        # The client's language has no conditions, but a prepared text that is no SQL is an error wherever this runs.
        return [f"SET @opsflow_do = IF({condition}, 'DO 0', '{error}')", *_DO]

    def _satisfied(self, query: str, error: str) -> list[str]:
        condition = "@opsflow_value IS NOT NULL AND CAST(@opsflow_value AS CHAR) NOT REGEXP '^-?0*[.]?0*$'"
        return [f"SET @opsflow_value = (\n{query}\n)", *self._unless(condition, error)]

    def _created(self) -> str:
        columns = ", ".join(f"{n} {_TYPES.get(n, _TEXT if n in TEXTS else 'INT')} NOT NULL" for n in COLUMNS)
        return (
            f"CREATE TABLE IF NOT EXISTS {self._table} ({columns}, undo_sql LONGTEXT,"
            " milliseconds BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (version))"
            " ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        )

    def _program(self, statements: Sequence[str], *, failed: str = "") -> Program:
        text = "\n".join(statements)
        delimiter = next(d for d in (f"$o{n}$" for n in range(len(text) + 1)) if d not in text)
        # On a line of its own: a statement may end in a comment.
        text = f"DELIMITER {delimiter}\n" + "".join(f"{s}\n{delimiter}\n" for s in statements)
        return Program(text=text, failed=failed)
