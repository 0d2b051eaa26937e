"""The controller dies at transactions of its journal during a backup and a migration, on each real engine; then on, or all back.

At every one with OPSFLOW_FAULTS, by default at a few. What dies at other moments, and what else dies: `make databases`.
"""

import hashlib
import json
import os
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing

import pytest
from fault_cli import Death
from fault_ground import Ground

from opsflow.model import RunState
from opsflow.testing.postgresql import PrivatePostgreSQL

WHOLE = "OPSFLOW_FAULTS" in os.environ
MOST = 100
"""Transactions that no session here comes near."""

OLD = """
CREATE TABLE account (id INTEGER PRIMARY KEY, name VARCHAR(99), coins INTEGER);
INSERT INTO account VALUES (1, 'ä "quoted" name', 70), (2, 'b', NULL);
CREATE VIEW rich AS SELECT * FROM account WHERE coins > 50;
"""
SCRIPTS = {
    "1_items": (
        "CREATE TABLE item (id INTEGER PRIMARY KEY, account INTEGER);\nINSERT INTO item VALUES (1, 1), (2, 2);\n",
        "DELETE FROM item;\nDROP TABLE item;\n",
    ),
    "2_coins": (
        "INSERT INTO account VALUES (3, 'c', 0);\nUPDATE account SET coins = coins + 1 WHERE id = 1;\n",
        "UPDATE account SET coins = coins - 1 WHERE id = 1;\nDELETE FROM account WHERE id = 3;\n",
    ),
}
STEPS = """
[defaults]
on_unknown = "rerun"

[[step]]
id = "backup"
task = "backup_db"
hosts = "one"
with = { WHERE }

[[step]]
id = "migrate"
task = "migrate_db"
hosts = "one"
with = { WHERE, scripts = "SCRIPTS", restore_from = "{{ outputs.backup.path }}", allow_restore = true }
"""


class Sqlite:
    """A file on the host."""

    def __init__(self, ground):
        self.path = ground.fleet.home("one") / "game.db"
        self.where = 'engine = "sqlite", database = "game.db"'

    def reset(self):
        self.path.unlink(missing_ok=True)
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(OLD)

    def dump(self, *, history=True):
        with closing(sqlite3.connect(self.path)) as connection:
            return [line for line in connection.iterdump() if history or "opsflow_migrations" not in line]


class Server:
    """A database of a private server, reached by a file with the password."""

    def __init__(self, ground, server, engine):
        self.server, self.engine = server, engine
        file = ground.project / "password"
        if engine == "mysql":
            lines = f"host=127.0.0.1\nport={server.port}\nuser={server.user}\npassword={server.password}\n"
            file.write_text(f"[client]\n{lines}")
            given = f'defaults_file = "{file}"'
            self.without = "--ignore-table=game.opsflow_migrations"
            self.dumping = ["mariadb-dump", f"--defaults-file={file}", "--skip-comments", "--routines", "game"]
        else:
            file.write_text(f"127.0.0.1:*:*:{server.user}:{server.password}\n")
            given = f'host = "127.0.0.1", port = {server.port}, user = "{server.user}", password_file = "{file}"'
            self.without = "--exclude-table=opsflow_migrations"
            self.dumping = ["pg_dump", "--host=127.0.0.1", f"--port={server.port}", f"--username={server.user}", "game"]
        file.chmod(0o600)
        self.environment = os.environ | {"PGPASSFILE": str(file), "PATH": PrivatePostgreSQL.places()}
        self.where = f'engine = "{engine}", database = "game", connection = {{ {given} }}'

    def reset(self):
        self.server.create("game")
        self.server.execute(OLD, database="game")

    def dump(self, *, history=True):
        command = self.dumping if history else [*self.dumping, self.without]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True)
        varying = ("--", "\\restrict", "\\unrestrict")
        lines = [line for line in done.stdout.splitlines() if not line.startswith(varying)]
        # PostgreSQL puts a row that is updated behind the others of its table: their order is no content.
        return lines if self.engine == "mysql" else _rows_sorted(lines)


def _rows_sorted(lines):
    """PostgreSQL's dump with the rows of each table in order."""
    found, rows = [], None
    for line in lines:
        if rows is None:
            found.append(line)
            rows = [] if line.startswith("COPY ") else None
        elif line == "\\.":
            found += [*sorted(rows), line]
            rows = None
        else:
            rows.append(line)
    return found


@pytest.fixture(scope="module", params=["sqlite", "mysql", "postgresql"])
def world(request, fleet, tmp_path_factory):
    ground = Ground(fleet, tmp_path_factory.mktemp(request.param) / "project")
    for kind in ("undone", "restored"):
        directory = ground.project / kind
        directory.mkdir()
        for name, (do, undo) in SCRIPTS.items():
            (directory / f"{name}.sql").write_text(do)
            if kind == "undone":
                (directory / f"{name}.undo.sql").write_text(undo)
    if request.param == "sqlite":
        database = Sqlite(ground)
    else:
        name = "mariadb" if request.param == "mysql" else "postgresql"
        database = Server(ground, request.getfixturevalue(name), request.param)
    for kind in ("undone", "restored"):
        ground.playbook(STEPS.replace("WHERE", database.where).replace("SCRIPTS", kind), kind)
    yield ground, database
    ground.clean()


def fates(first):
    """Where a controller dies: before and after each of its transactions; by default at two of the first."""
    if not WHOLE:
        return [Death(n=n, committed=bool(n % 2)) for n in (first - 2, first)]
    return [Death(n=n, committed=committed) for n in range(1, MOST) for committed in (False, True)]


def deaths(ground, database, first):
    """Let a run die at each of these places, the hosts being quiet afterwards: what to tell of it, and the run."""
    for turn, fate in enumerate(fates(first)):
        kind = ("undone", "restored")[turn % 2]
        ground.wipe()
        database.reset()
        known = ground.runs()
        ended = ground.quick("apply", f"{kind}.toml", "--yes", fate=fate)
        ground.settle()
        assert ended.code in {0, -9}, (str(fate), ended)
        if ended.code == 0:
            return
        if ground.runs() > known:
            seen = ground.seen()
            yield (str(fate), kind, seen.states), seen


def check_backups(ground, told):
    """All that is there is whole, private, and of an attempt."""
    files = {path.name: path for path in (ground.fleet.home("one") / "backups").glob("*")}
    backups = [name.removesuffix(".manifest.json") for name in files if name.endswith(".manifest.json")]
    assert len(backups) <= len(ground.seen().attempts("backup@one")), (told, sorted(files))
    assert len(files) == 3 * len(backups), (told, sorted(files))
    for name in backups:
        manifest = json.loads(files[f"{name}.manifest.json"].read_text())
        assert manifest["sha256"] == hashlib.sha256(files[name].read_bytes()).hexdigest(), told
    assert {path.stat().st_mode & 0o777 for path in files.values()} <= {0o600}, told
    return len(backups)


def enough(tally):
    """Whether the controller died twice, once at least in the middle of a task; with OPSFLOW_FAULTS of both."""
    print(dict(tally))
    middle = [tally["backup@one"] > 0, tally["migrate@one"] > 0]
    return tally["deaths"] >= 2 and (all(middle) if WHOLE else any(middle))


def test_gone_on_with_after_the_controllers_death_a_migration_is_there_once(world):
    ground, database = world
    tally = Counter()
    ground.wipe()
    database.reset()
    assert ground.quick("apply", "undone.toml", "--yes").code == 0
    wanted = database.dump(history=False)
    for told, seen in deaths(ground, database, 4):
        tally.update(["deaths", *seen.interrupted()])
        if seen.run.state is not RunState.SUCCEEDED:
            ended = ground.quick("resume")
            assert ended.code == 0, (told, ended)
        assert database.dump(history=False) == wanted, told
        assert check_backups(ground, told) >= 1, told
    assert enough(tally)


def test_rolled_back_after_the_controllers_death_the_database_is_what_it_was(world):
    ground, database = world
    tally = Counter()
    database.reset()
    old = database.dump()
    for told, seen in deaths(ground, database, 5):
        tally.update(["deaths", *seen.interrupted()])
        ended = ground.quick("rollback", "--yes")
        assert ground.seen().run.state is RunState.ROLLED_BACK, (told, ended)
        assert database.dump() == old, (told, ended)
        assert ground.held() == 0, told
        check_backups(ground, told)
    assert enough(tally)
