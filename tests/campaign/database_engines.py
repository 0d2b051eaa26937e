"""A game's database on each engine: made, asked for all that it holds, and looked through for what should not be there."""

import hashlib
import os
import sqlite3
import subprocess
import time
from abc import ABC, abstractmethod
from contextlib import closing

from opsflow.testing.postgresql import PrivatePostgreSQL

HISTORY = "opsflow_migrations"
GAME = "game"
_QUIET_WITHIN = 60.0


class Database(ABC):
    """The game's database.

    Attributes:
        engine: The parameter of tasks.
        where: Parameters of tasks that name it, as TOML.
    """

    engine: str
    where: str

    @abstractmethod
    def reset(self, sql):
        """Make it anew from this SQL."""

    @abstractmethod
    def run(self, sql):
        """Run statements; what they say."""

    @abstractmethod
    def content(self):
        """All that is in it, the history of migrations left out: rows as counts and hashes, definitions as text."""

    @abstractmethod
    def history(self):
        """Rows of the history as (version, state, position, pending); None: there is no such table."""

    @abstractmethod
    def left(self):
        """What is left of opsflow's work: databases, tables, sessions, locks."""


class Sqlite(Database):
    """A file on the host."""

    engine = "sqlite"
    where = 'engine = "sqlite", database = "game.db"'

    def __init__(self, home):
        self._path = home / "game.db"

    def reset(self, sql):
        """See `Database`."""
        self._path.unlink(missing_ok=True)
        self.run(sql)

    def run(self, sql):
        """See `Database`."""
        with closing(sqlite3.connect(self._path)) as connection:
            connection.executescript(sql)
            connection.commit()

    def content(self):
        """See `Database`."""
        with closing(sqlite3.connect(self._path)) as connection:
            listed = "SELECT type, name, sql FROM sqlite_master WHERE tbl_name <> ? ORDER BY type, name"
            shapes = connection.execute(listed, (HISTORY,)).fetchall()
            return {"shapes": shapes, **{name: _rows(connection, name) for kind, name, _ in shapes if kind == "table"}}

    def history(self):
        """See `Database`."""
        with closing(sqlite3.connect(self._path)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (HISTORY,)).fetchall():
                return None
            return connection.execute(_history_query()).fetchall()

    def left(self):
        """See `Database`."""
        with closing(sqlite3.connect(self._path, timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                return [str(error)]
            return (
                [] if connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)] else ["a damaged database"]
            )


class Server(Database):
    """A database of a private server, whose password is a secret."""

    def __init__(self, server, password):
        password.touch(mode=0o600)
        password.write_text(server.password)
        self._server = server
        secret = f"{{{{ secret('file:{password}') }}}}"
        given = f'host = "127.0.0.1", port = {server.port}, user = "{server.user}", password = "{secret}"'
        self.where = f'engine = "{self.engine}", database = "{GAME}", connection = {{ {given} }}'
        self._environment = os.environ | {
            "MYSQL_PWD": server.password,
            "PGPASSWORD": server.password,
            "PATH": PrivatePostgreSQL.places(),
        }
        self._options = ["--host=127.0.0.1", f"--port={server.port}"]

    def reset(self, sql):
        """See `Database`."""
        self._server.create(GAME)
        self.run(sql)

    def run(self, sql):
        """See `Database`."""
        return self._server.execute(sql, database=GAME)

    def _lines(self, sql):
        return [tuple(line.split("\t")) for line in self.run(sql).splitlines()]

    def content(self):
        """See `Database`."""
        tables = [name for (name,) in self._lines(self.tables) if not name.startswith(HISTORY)]
        done = subprocess.run(self.shapes(), env=self._environment, capture_output=True, text=True, check=True)
        shapes = [line for line in done.stdout.splitlines() if not line.startswith(("--", "\\"))]
        return {"shapes": shapes, **{name: self._lines(self.rows(name)) for name in tables}}

    def history(self):
        """See `Database`."""
        if (HISTORY,) not in self._lines(self.tables):
            return None
        return [tuple(int(c) if c.isdigit() else c for c in row) for row in self._lines(_history_query())]

    def left(self):
        """See `Database`."""
        ends = time.monotonic() + _QUIET_WITHIN
        # A server may see a little later than others that a client is gone, these here included.
        while (others := self._lines(self.sessions)) != [("0",)] and time.monotonic() < ends:
            time.sleep(0.05)
        sessions = [] if others == [("0",)] else ["sessions"]
        return sessions + [name for (name,) in self._lines(self.strays) if name]


class Mysql(Server):
    """MariaDB."""

    engine = "mysql"
    tables = (
        f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{GAME}' AND table_type = 'BASE TABLE'"
    )
    sessions = "SELECT COUNT(*) FROM information_schema.processlist WHERE id <> CONNECTION_ID()"
    strays = (
        "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'opsflow%' UNION ALL SELECT table_name"
        f" FROM information_schema.tables WHERE table_schema = '{GAME}' AND table_name LIKE '{HISTORY}\\_%'"
        " UNION ALL SELECT 'lock' FROM (SELECT 1) one WHERE IS_USED_LOCK(CONCAT('opsflow:', MD5(DATABASE()))) IS NOT NULL"
    )

    def run(self, sql):
        """See `Database`. By the tasks' own way: routines remember character set and account of who made them."""
        options = [*self._options, f"--user={self._server.user}", "--default-character-set=utf8mb4"]
        command = ["mariadb", "--no-defaults", *options, "--batch", "--skip-column-names", GAME]
        return subprocess.run(
            command, env=self._environment, input=sql, capture_output=True, text=True, check=True
        ).stdout

    def shapes(self):
        """What says all definitions."""
        options = [
            "--no-data",
            "--routines",
            "--events",
            "--triggers",
            "--skip-comments",
            f"--ignore-table={GAME}.{HISTORY}",
        ]
        return ["mariadb-dump", "--no-defaults", *self._options, f"--user={self._server.user}", *options, GAME]

    def rows(self, table):
        """The query of a table's count and hash."""
        columns = f"SELECT column_name FROM information_schema.columns WHERE table_schema = '{GAME}' AND table_name = '{table}'"
        quoted = ", ".join(f"QUOTE(`{name}`)" for (name,) in self._lines(f"{columns} ORDER BY ordinal_position"))
        number = f"CAST(CONV(LEFT(MD5(CONCAT_WS(',', {quoted})), 15), 16, 10) AS UNSIGNED)"
        return f"SELECT COUNT(*), SUM({number}), BIT_XOR({number}) FROM `{table}`"


class Postgresql(Server):
    """PostgreSQL."""

    engine = "postgresql"
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    strays = (
        "SELECT datname FROM pg_database WHERE datname LIKE 'opsflow%' UNION ALL SELECT 'lock' FROM pg_locks WHERE"
        f" locktype = 'advisory' UNION ALL SELECT tablename FROM pg_tables WHERE tablename LIKE '{HISTORY}\\_%'"
    )

    def shapes(self):
        """What says all definitions."""
        options = ["--schema-only", f"--exclude-table={HISTORY}"]
        return ["pg_dump", *self._options, f"--username={self._server.user}", *options, GAME]

    def rows(self, table):
        """The query of a table's count and hash."""
        number = "('x' || left(md5(t::text), 15))::bit(60)::bigint"
        return f'SELECT count(*), sum({number}), bit_xor({number}) FROM "{table}" t'


def _history_query():
    return f"SELECT version, state, position, pending FROM {HISTORY} ORDER BY version"


def _rows(connection, table):
    found, count = hashlib.sha256(), 0
    for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY rowid'):
        found.update(repr(row).encode())
        count += 1
    return [(count, found.hexdigest())]
