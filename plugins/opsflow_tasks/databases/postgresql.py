r"""Programs for psql: a script and its history are one transaction, unless a statement of it can be in none.

Statements of scripts go through as values (`\gexec`), so that psql finds neither commands nor variables in them. The
schema of the history is kept in a variable from the beginning: a script may set its own `search_path`.
"""

# ruff: noqa: S608 - the only names put in are checked ones, the only texts hexadecimal literals

from collections.abc import Sequence
from dataclasses import replace

from opsflow_tasks.databases.dialects import POSTGRESQL
from opsflow_tasks.databases.history import APPLIED, COLUMNS, History, Row
from opsflow_tasks.databases.programs import TEXTS, Program, at
from opsflow_tasks.databases.recorded import RecordedPrograms
from opsflow_tasks.databases.scripts import Script

_HIGH, _LOW = 0x6F7073, 0x666C6F77
_KEY = _HIGH << 32 | _LOW
"""The advisory lock: "opsflow" as a number. PostgreSQL keeps those of each database apart."""


class PostgresqlPrograms(RecordedPrograms):
    """Writes them."""

    dialect = POSTGRESQL
    options = ""
    busy = "55P03"  # lock_not_available, whatever the server's language

    def atomic(self, statements: Sequence[str]) -> bool:
        """See `Programs`."""
        return not any(self.dialect.alone.match(self.dialect.plain(statement)) for statement in statements)

    def queries(self) -> dict[str, str]:
        """See `Programs`. A restore is one transaction: there is no mark."""
        cells = ", ".join(f"encode(convert_to({name}, 'UTF8'), 'hex')" if name in TEXTS else name for name in COLUMNS)
        return {
            "exists": f"SELECT concat_ws(' ', CASE WHEN to_regclass('{self._asked}') IS NOT NULL THEN 'history' END,"
            " CASE WHEN EXISTS (SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
            f" WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.classid = {_HIGH}"
            f" AND l.objid = {_LOW} AND l.objsubid = 1 AND l.granted) THEN 'busy' END)",
            "rows": f"SELECT concat_ws(',', {cells}) FROM {self._asked} ORDER BY version",
            "marked": "",
        }

    def undo_text(self, version: int) -> str:
        """See `Programs`."""
        return f"SELECT encode(convert_to(undo_sql, 'UTF8'), 'hex') FROM {self._asked} WHERE version = {version}"

    def apply(self, script: Script, seen: History, row: Row) -> Program:
        """See `Programs`."""
        if not self.atomic(script.statements):
            return super().apply(script, seen, row)
        done = replace(row, state=APPLIED, position=row.statements)
        return self._transaction(
            self._created(),
            *self._as_seen(seen, row),
            *self._each(script.statements, 0),
            *self._verified(script),
            "RESET ROLE",
            f"INSERT INTO {self._table} {self.inserted(done, script.undo)}",
            self._timed(row),
        )

    def undo(self, row: Row, statements: Sequence[str], offset: int, seen: History) -> Program:
        """See `Programs`."""
        if not self.atomic(statements):
            return super().undo(row, statements, offset, seen)
        gone = f"DELETE FROM {self._table} WHERE version = {row.version}"
        return self._transaction(*self._as_seen(seen, row), *self._each(statements, offset), "RESET ROLE", gone)

    def forget(self) -> Program:
        """See `Programs`."""
        name = f"quote_ident(:'opsflow_schema') || '.{self._asked}'"
        return self._transaction(f"SELECT 'DROP TABLE ' || {name} WHERE NOT EXISTS (SELECT FROM {self._table}) \\gexec")

    def restoring(self, run_id: str, node: str) -> dict[str, str]:
        """See `Programs`."""
        del run_id, node
        return {"lock_key": str(_KEY)}

    def literal(self, text: str) -> str:
        """See `Programs`."""
        return f"convert_from(decode('{text.encode().hex()}', 'hex'), 'UTF8')"

    @property
    def _table(self) -> str:
        return f':"opsflow_schema".{self._asked}'

    @property
    def _asked(self) -> str:
        return f'"{self.table}"'

    def _each(self, statements: Sequence[str], offset: int) -> list[str]:
        numbered = enumerate(statements[offset:], offset + 1)
        return [line for number, statement in numbered for line in (at(str(number)), self._script(statement))]

    def _transaction(self, *body: str) -> Program:
        # Tables that others use are waited for with the same patience: whoever waits holds up all who come after.
        begun = ("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", f"SET LOCAL lock_timeout = {self._milliseconds}")
        return self._program([*begun, *_locked("pg_advisory_xact_lock"), *body, "COMMIT"])

    def _lock(self) -> list[str]:
        # An index that is made beside the work waits for all that was begun before, which is not what the time is for.
        return [f"SET lock_timeout = {self._milliseconds}", *_locked("pg_advisory_lock"), "RESET lock_timeout"]

    @property
    def _milliseconds(self) -> int:
        return max(round(self.lock_seconds * 1000), 1)

    def _elapsed(self) -> str:
        return "(extract(epoch FROM clock_timestamp() - :'opsflow_began'::timestamptz) * 1000)::bigint"

    def _absent(self) -> str:
        return f"to_regclass('{self._asked}') IS NULL"

    def _unless(self, condition: str, error: str) -> list[str]:
        return [f"SELECT {_zero(condition, error)}"]

    def _satisfied(self, query: str, error: str) -> list[str]:
        condition = f"COALESCE((\n{query}\n)::text, '') !~ '^(false|-?0*[.]?0*)$'"
        return [self._script(f"SELECT {_zero(condition, error)}")]

    def _traceless(self) -> str:
        # An index that could not be made beside the work stays behind, useless.
        return "NOT EXISTS (SELECT FROM pg_index WHERE NOT indisvalid)"

    def _created(self) -> str:
        types = {"version": "BIGINT PRIMARY KEY"}
        columns = ", ".join(f"{n} {types.get(n, 'TEXT' if n in TEXTS else 'INTEGER')} NOT NULL" for n in COLUMNS)
        more = "undo_sql TEXT, milliseconds BIGINT NOT NULL DEFAULT 0"
        return f"CREATE TABLE IF NOT EXISTS {self._table} ({columns}, {more})"

    def _script(self, statement: str) -> str:
        return f"SELECT {self.literal(statement)} \\gexec"

    def _program(self, statements: Sequence[str], *, failed: str = "") -> Program:
        named = (
            "SELECT COALESCE((SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE"
            f" c.oid = to_regclass('{self._asked}')), current_schema(), 'public') AS opsflow_schema,"
            " clock_timestamp() AS opsflow_began \\gset"
        )
        lines = ("SET client_min_messages = warning", named, *statements)
        return Program(text="".join(f"{s}\n" if "\\" in s else f"{s};\n" for s in lines), failed=failed)


def _locked(function: str) -> tuple[str, ...]:
    return "\\set VERBOSITY verbose", f"SELECT {function}({_KEY})", "\\set VERBOSITY default"


def _zero(condition: str, error: str) -> str:
    """A number if the condition holds, else an error that quotes `error`."""
    return f"(CASE WHEN {condition} THEN '0' ELSE '{error}' END)::integer"
