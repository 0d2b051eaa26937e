"""Programs for the sqlite3 shell: a script and its history are one transaction."""

# ruff: noqa: S608 - the only names put in are checked ones, the only texts hexadecimal literals

from collections.abc import Sequence
from dataclasses import replace

from opsflow_tasks.databases.dialects import SQLITE
from opsflow_tasks.databases.history import APPLIED, COLUMNS, History, Row
from opsflow_tasks.databases.programs import CHANGED, REFUSED, TEXTS, Program, Programs, at
from opsflow_tasks.databases.scripts import Script

_GUARD = (
    "CREATE TEMP TABLE opsflow_guard ("
    f"state INTEGER CONSTRAINT {CHANGED} CHECK (state), verified INTEGER CONSTRAINT {REFUSED} CHECK (verified))"
)

_BEGAN = "CREATE TEMP TABLE opsflow_began AS SELECT julianday('now') AS at"


class SqlitePrograms(Programs):
    """Writes them."""

    dialect = SQLITE
    options = ""
    busy = "database is locked"
    others = "somebody else"

    def atomic(self, statements: Sequence[str]) -> bool:
        """See `Programs`."""
        del statements
        return True

    def queries(self) -> dict[str, str]:
        """See `Programs`. A restore is atomic here: there is no mark."""
        cells = " || ',' || ".join(f"hex({name})" if name in TEXTS else name for name in COLUMNS)
        return {
            "exists": f"SELECT 'history' FROM sqlite_master WHERE type = 'table' AND name = '{self.table}'",
            "rows": f"SELECT {cells} FROM {self._table} ORDER BY version",
            "marked": "",
        }

    def undo_text(self, version: int) -> str:
        """See `Programs`."""
        return f"SELECT hex(undo_sql) FROM {self._table} WHERE version = {version}"

    def apply(self, script: Script, seen: History, row: Row) -> Program:
        """See `Programs`."""
        done = replace(row, state=APPLIED, position=row.statements)
        body = [self._as_seen(seen)]
        for number, statement in enumerate(script.statements, 1):
            body += [at(str(number)), statement]
        for number, query in enumerate(script.verify, 1):
            body += [
                at(f"verify {number}"),
                f"INSERT INTO temp.opsflow_guard (verified) SELECT COALESCE((\n{query}\n) NOT IN (0, '', '0'), 0)",
            ]
        body += [f"INSERT INTO {self._table} {self.inserted(done, script.undo)}", self._timed(row)]
        return self._transaction(self._created(), *body)

    def undo(self, row: Row, statements: Sequence[str], offset: int, seen: History) -> Program:
        """See `Programs`. Nothing is ever half applied here: `offset` is 0."""
        body = [self._as_seen(seen)]
        for number, statement in enumerate(statements[offset:], offset + 1):
            body += [at(str(number)), statement]
        return self._transaction(*body, f"DELETE FROM {self._table} WHERE version = {row.version}")

    def amend(
        self, seen: History, *, changed: Sequence[Row], added: Sequence[tuple[Row, str | None]], gone: Sequence[Row]
    ) -> Program:
        """See `Programs`."""
        return self._transaction(self._created(), self._as_seen(seen), *self._amendments(changed, added, gone))

    def wait(self, seen: History) -> Program:
        """See `Programs`."""
        absent = f"SELECT COUNT(*) = 0 FROM sqlite_master WHERE type = 'table' AND name = '{self.table}'"
        same = self._as_seen(seen) if seen.exists else f"INSERT INTO temp.opsflow_guard (state) {absent}"
        return self._transaction(same)

    def forget(self) -> Program:
        """See `Programs`."""
        empty = f"INSERT INTO temp.opsflow_guard (state) SELECT COUNT(*) = 0 FROM {self._table}"
        return self._transaction(empty, f"DROP TABLE {self._table}")

    def literal(self, text: str) -> str:
        """See `Programs`."""
        return f"CAST(x'{text.encode().hex()}' AS TEXT)"

    @property
    def _table(self) -> str:
        return f'main."{self.table}"'

    def _elapsed(self) -> str:
        return "CAST(ROUND((julianday('now') - (SELECT at FROM temp.opsflow_began)) * 86400000) AS INTEGER)"

    def _transaction(self, *body: str) -> Program:
        # Each delimiter on a line of its own: a statement may end in a comment.
        return Program(text="".join(f"{s}\n;\n" for s in (_GUARD, _BEGAN, "BEGIN IMMEDIATE", *body, "COMMIT")))

    def _as_seen(self, seen: History) -> str:
        return (
            f"INSERT INTO temp.opsflow_guard (state) SELECT COUNT(*) = {len(seen.rows)}"
            f" AND COALESCE(MAX(version), 0) = {seen.newest} FROM {self._table}"
        )

    def _created(self) -> str:
        columns = ", ".join(f"{name} {'TEXT' if name in TEXTS else 'INTEGER'} NOT NULL" for name in COLUMNS[1:])
        return (
            f"CREATE TABLE IF NOT EXISTS {self._table} (version INTEGER NOT NULL PRIMARY KEY, {columns}, undo_sql TEXT,"
            " milliseconds INTEGER NOT NULL DEFAULT 0)"
        )
