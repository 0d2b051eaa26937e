"""Databases for tests of tasks, the same handful of acts on each: real sqlite3, a real MariaDB server."""

import contextlib
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

from opsflow.errors import Interrupted
from opsflow.model import Action, Phase, Preview
from opsflow.testing import make_context
from opsflow.testing import mariadb as mariadb_server
from opsflow.testing import postgresql as postgresql_server
from opsflow.testing.mariadb import PrivateMariaDB
from opsflow.testing.postgresql import PrivatePostgreSQL
from opsflow.transport.local import LocalTransport

SECRET = "pa'ss \"w\\ord$`x"
ENV = "env:DATABASE_PASSWORD"


class SqliteDatabase:
    """A file whose name is odd."""

    engine = "sqlite"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.name = "odd 'na\"me.db"
        self.path = home / self.name
        self.secrets: dict[str, str] = {}

    def params(self, **more):
        return {"engine": self.engine, "database": self.name, **more}

    def execute(self, sql):
        with sqlite3.connect(self.path, timeout=10) as connection:
            rows = []
            for statement in filter(str.strip, sql.split(";")):
                rows += connection.execute(statement).fetchall()
        connection.close()
        return rows

    def dump(self):
        connection = sqlite3.connect(self.path)
        lines = [line for line in connection.iterdump() if "opsflow_migrations" not in line]
        connection.close()
        return lines

    def tables(self):
        return sorted(row[0] for row in self.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))


class MysqlDatabase:
    """A database whose name is odd, of a private server, by an account whose password is odder."""

    engine = "mysql"

    def __init__(self, server, home: Path) -> None:
        self.server = server
        self.home = home
        self.name = "-o`dd na'me"
        quoted = self.quoted = "`-o``dd na'me`"
        server.execute(f"DROP DATABASE IF EXISTS {quoted}; CREATE DATABASE {quoted} CHARACTER SET utf8mb4")
        self.secrets = {ENV: SECRET}

    def params(self, **more):
        connection = {"host": "127.0.0.1", "port": self.server.port, "user": "odd", "password": {"$secret": ENV}}
        return {"engine": self.engine, "database": self.name, "connection": connection, **more}

    def execute(self, sql, database=None):
        out = self.server.execute(f"SET NAMES utf8mb4; USE {self.quoted if database is None else database};\n{sql}")
        return [tuple(line.split("\t")) for line in out.splitlines()]

    def dump(self, database=None):
        tables = [t for t in self.tables(database) if not t.startswith("opsflow_migrations")]
        found = []
        for table in tables:
            found += self.execute(f"SHOW CREATE TABLE `{table}`", database)
            found += self.execute(f"CHECKSUM TABLE `{table}`", database)[0][1:]
        found += [row[:1] + row[2:3] for row in self.execute("SHOW TRIGGERS", database)]
        name = self.name if database is None else database
        found += self.execute(
            "SELECT ROUTINE_NAME, ROUTINE_DEFINITION FROM information_schema.ROUTINES"
            f" WHERE ROUTINE_SCHEMA = 0x{name.encode().hex()}",
            database,
        )
        return found

    def tables(self, database=None):
        return sorted(row[0] for row in self.execute("SHOW TABLES", database))


class PostgresqlDatabase:
    """A database whose name is odd, of a private server, by an account whose password is odder."""

    engine = "postgresql"

    def __init__(self, server, home: Path) -> None:
        self.server = server
        self.home = home
        self.name = "-o\"dd na'me=x"
        self.secrets = {ENV: SECRET}
        self.create(self.name)

    def create(self, name):
        quoted = '"' + name.replace('"', '""') + '"'
        self.server.execute(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")
        self.server.execute(f"CREATE DATABASE {quoted} OWNER odd")

    def params(self, **more):
        connection = {"host": "127.0.0.1", "port": self.server.port, "user": "odd", "password": {"$secret": ENV}}
        return {"engine": self.engine, "database": self.name, "connection": connection, **more}

    def connected(self, program, *options, database=None, **more):
        where = ["--host=127.0.0.1", f"--port={self.server.port}", "--username=odd", "--no-password"]
        environment = os.environ | {"PGPASSWORD": SECRET, "PGDATABASE": self.name if database is None else database}
        environment["PGOPTIONS"] = "-c client_min_messages=warning"
        command = [shutil.which(program, path=self.server.places()), *where, *options]
        done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, **more)
        assert not done.returncode, done.stderr
        return done.stdout

    def execute(self, sql, database=None):
        options = ["--no-psqlrc", "-qAt", "--field-separator=\t", "--set=ON_ERROR_STOP=1"]
        out = self.connected("psql", *options, input=sql, database=database)
        return [tuple(line.split("\t")) for line in out.splitlines()]

    def dump(self, database=None):
        text = self.connected("pg_dump", "--exclude-table=opsflow_migrations*", database=database)
        return [line for line in text.splitlines() if not line.startswith(("--", "\\restrict", "\\unrestrict"))]

    def tables(self, database=None):
        found = self.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database)
        return sorted(row[0] for row in found)


class Breaking(LocalTransport):
    """Loses the link at the nth operation: before it begins, or after it ended."""

    def __init__(self, home, *, at=None, before=True):
        super().__init__(home)
        self.at = at
        self.before = before
        self.operations = 0
        self.reads = 0

    def run(self, command, **kwargs):
        if kwargs.get("sink") is None:  # only operations stream their output
            self.reads += 1
            return super().run(command, **kwargs)
        self.operations += 1
        broken = self.at == self.operations
        if broken and self.before:
            raise Interrupted("the link was lost")
        result = super().run(command, **kwargs)
        if broken:
            raise Interrupted("the link was lost")
        return result


class Node:
    """One node of one run: its hooks called as the engine calls them, everything between them JSON."""

    def __init__(
        self, module, database, params, *, run_id="20261124T213000Z-aaaa", attempt=1, project=".", host="localhost"
    ):
        self.module = module
        self.database = database
        self.given = params
        self.run_id = run_id
        self.attempt = attempt
        self.host = host
        self.project = str(project)
        self.transport = Breaking(database.home)

    def again(self, **changes):
        """The same node, of another run, attempt or host, or with other parameters."""
        params = {**self.given, **changes.pop("params", {})}
        values = {"run_id": self.run_id, "attempt": self.attempt, "project": self.project, "host": self.host, **changes}
        return Node(self.module, self.database, params, **values)

    @property
    def params(self):
        return self.module.params().model_validate(self.given, context={"directory": self.project})

    def context(self, phase):
        self.transport.operations = self.transport.reads = 0
        return make_context(
            self.transport,
            directory=self.project,
            phase=phase,
            host=self.host,
            step="db",
            run_id=self.run_id,
            attempt=self.attempt,
            secrets=self.database.secrets,
        )

    def plan(self):
        return Preview.from_json(json.loads(json.dumps(self.module.plan(self.context(None), self.params).to_json())))

    def execute(self, preview):
        return json.loads(json.dumps(self.module.execute(self.context(Phase.EXECUTE), self.params, preview)))

    def revert(self, preview, outputs=None):
        self.module.revert(self.context(Phase.REVERT), self.params, preview, outputs)

    def apply(self):
        preview = self.plan()
        assert preview.action is Action.CHANGE, preview.why
        return self.execute(preview)

    def interrupted(self, preview, at, *, before):
        """Execute, losing the link; False if there are fewer operations."""
        self.transport.at, self.transport.before = at, before
        try:
            self.execute(preview)
        except Interrupted:
            return True
        else:
            return False
        finally:
            self.transport.at = None


def command_lines():
    """The command lines of all processes."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            yield int(pid), Path("/proc", pid, "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory):
    if not mariadb_server.installed():
        pytest.skip("mariadbd is not installed (Debian: mariadb-server)")
    password = SECRET.replace("\\", "\\\\").replace("'", "\\'")
    with PrivateMariaDB(tmp_path_factory.mktemp("mariadb"), flags=("--log-bin=log", "--server-id=1")) as server:
        server.execute(
            f"CREATE USER 'odd'@'127.0.0.1' IDENTIFIED BY '{password}'; GRANT ALL PRIVILEGES ON *.* TO 'odd'@'127.0.0.1'"
        )
        yield server


@pytest.fixture(scope="session")
def postgresql_here(tmp_path_factory):
    if not postgresql_server.installed():
        pytest.skip("postgres is not installed (Debian: postgresql)")
    password = SECRET.replace("'", "''")
    with PrivatePostgreSQL() as server:
        server.execute(f"CREATE USER odd PASSWORD '{password}' CREATEDB")
        for setting in ("fsync", "full_page_writes"):  # what is tried here dies with its machine
            server.execute(f"ALTER SYSTEM SET {setting} = off")
        server.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture
def postgresql(postgresql_here, home, monkeypatch):
    monkeypatch.setenv("PATH", postgresql_here.places())  # Debian's psql is a slow script before the real one
    return PostgresqlDatabase(postgresql_here, home)


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home $x"
    path.mkdir()
    return path


@pytest.fixture
def mysql(mariadb, home):
    return MysqlDatabase(mariadb, home)


@pytest.fixture
def sqlite(home):
    database = SqliteDatabase(home)
    database.path.touch()
    return database


@pytest.fixture(params=["sqlite", "mysql", "postgresql"])
def database(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def shim(tmp_path, monkeypatch):
    """`shim(NAME, TEXT)`: a program of that name comes first in PATH; `$real` in its text is the real one."""

    def made(name, text):
        tools = tmp_path / f"shim-{name}"
        tools.mkdir()
        (tools / name).write_text(f"#!/bin/sh\nreal={shlex.quote(str(shutil.which(name)))}\n{text}\n")
        (tools / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")

    return made


@pytest.fixture
def watch(tmp_path, monkeypatch):
    """`watch(act)` calls `act` and gives its result, and the command lines that were seen meanwhile.

    Those of the database's clients are seen for certain: programs of their names come first in PATH, write down their
    own command line and their parents', and become the real ones.
    """
    shims, written = tmp_path / "shims", tmp_path / "seen"
    shims.mkdir()
    written.touch()
    for name in ("mariadb", "mariadb-dump", "psql", "pg_dump"):
        if real := shutil.which(name):
            (shims / name).write_text(
                "#!/bin/sh\n"
                f"for pid in $$ $PPID; do tr '\\0' ' ' </proc/$pid/cmdline; echo; done >>{shlex.quote(str(written))}\n"
                f'exec {real} "$@"\n'
            )
            (shims / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{shims}:{os.environ['PATH']}")

    def watched(act):
        seen, over = set(), threading.Event()

        def look():
            while not over.is_set():
                seen.update(" ".join(line) for _, line in command_lines())

        thread = threading.Thread(target=look)
        thread.start()
        try:
            result = act()
        finally:
            over.set()
            thread.join()
        return result, seen | set(written.read_text().splitlines())

    return watched


@pytest.fixture
def find_process(tmp_path):
    """`find_process(NAME, TEXT)`: the id of a process of that program with the text among its arguments; waits.

    Only of this test's own: others run beside it, with the same programs.
    """

    def works_here(pid):
        with contextlib.suppress(OSError):
            return Path("/proc", str(pid), "cwd").readlink().is_relative_to(tmp_path)

    def find(name, text):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for pid, line in command_lines():
                if os.path.basename(line[0]) == name and any(text in word for word in line) and works_here(pid):
                    return pid
            time.sleep(0.01)
        raise AssertionError(f"no process {name} appeared")

    return find


@pytest.fixture
def node():
    return Node
