"""Two shards, each with two game servers and a database, and the procedure that upgrades them.

The site is looked at as somebody does who does not take opsflow's word for it: over HTTP, in the databases, in files.
"""

import hashlib
import io
import json
import socket
import sqlite3
import tarfile
import urllib.request
from contextlib import closing
from pathlib import Path

from command_line import Project, toml

HERE = Path(__file__).parent
GAMES = ("game-a1", "game-a2", "game-b1", "game-b2")
DATABASES = ("db-a", "db-b")
PLAYBOOK = "playbooks/upgrade.toml"

GROUPS = """
[groups.game]
hosts = ["game-[a:b][1:2]"]

[groups.db]
hosts = ["db-[a:b]"]

[groups.shard_a]
hosts = ["game-a[1:2]", "db-a"]
vars = { shard = "a" }

[groups.shard_b]
hosts = ["game-b[1:2]", "db-b"]
vars = { shard = "b" }
"""

MIGRATIONS = {
    "0001_player.sql": "CREATE TABLE player (id INTEGER PRIMARY KEY, name VARCHAR(80) NOT NULL, about TEXT);\n",
    "0001_player.undo.sql": "DROP TABLE player;\n",
    "0002_gold.sql": "ALTER TABLE player ADD COLUMN gold INTEGER NOT NULL DEFAULT 0;\nUPDATE player SET gold = 5;\n",
    "0002_gold.undo.sql": "UPDATE player SET gold = 0;\nALTER TABLE player DROP COLUMN gold;\n",
    # Fails where two players have the same name.
    "0003_owner.sql": "CREATE TABLE owner (name VARCHAR(80) PRIMARY KEY, player INTEGER NOT NULL);\n"
    "INSERT INTO owner SELECT name, id FROM player;\n",
    "0003_owner.undo.sql": "DELETE FROM owner;\nDROP TABLE owner;\n",
}


class SqliteDatabase:
    """A database file on a host."""

    def __init__(self, path):
        self.path = path
        self.vars = {"engine": "sqlite", "database": path.name, "connection": {}}

    def execute(self, sql):
        with closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            return connection.execute(sql).fetchall()

    def create(self):
        self.execute("VACUUM")

    def contents(self):
        """The game's schema and rows; the history of migrations left out."""
        with closing(sqlite3.connect(self.path, timeout=30)) as connection:
            return [line for line in connection.iterdump() if "opsflow_migrations" not in line]


class Site(Project):
    """The site. `databases` by host; `ports` of the game servers."""

    def __init__(self, directory, *, first_address, databases=None):
        super().__init__(directory, [*GAMES, *DATABASES], first_address=first_address)
        self.databases = databases or {name: SqliteDatabase(self.on(name, "game.db")) for name in DATABASES}
        self.ports = {}

    def __enter__(self):
        super().__enter__()
        self.ports = {name: _free_port(self.address(name)) for name in GAMES}
        text = self.fleet.inventory()
        for name, variables in self.variables().items():
            head = f'[hosts."{name}"]\n'
            assert head in text
            text = text.replace(head, f"{head}vars = {toml(variables)}\n")
        self.write("inventories/fleet.toml", text + GROUPS)
        self.write(PLAYBOOK, HERE.joinpath("upgrade.toml").read_text())
        for name, sql in MIGRATIONS.items():
            self.write(f"migrations/{name}", sql)
        for release in ("1.0", "2.0"):
            self.build(release)
        for database in self.databases.values():
            database.create()
        return self

    def variables(self):
        """What the inventory says of each host."""
        games = {name: {"address": self.address(name), "port": self.ports[name]} for name in GAMES}
        return games | {name: database.vars for name, database in self.databases.items()}

    def address(self, host):
        return self.fleet.connection(host).address

    def build(self, release, *, faults=(), assets=b""):
        """Make the artifact of a release. `faults`: what goes wrong, by game host."""
        there = {f"{self.address(host)}:{self.ports[host]}": fault for host, fault in dict(faults).items()}
        files = {
            "server.py": HERE.joinpath("game_server.py").read_bytes(),
            "release.json": json.dumps({"version": release, "faults": there}).encode(),
            "message.txt": f"Welcome to {release}".encode(),
            "assets.bin": assets,
        }
        path = self.directory / f"dist/game-{release}.tar.gz"
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, "w:gz") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return path

    def install(self):
        """Release 1.0 and some players, by opsflow itself."""
        self.upgrade("1.0")
        for number, database in enumerate(self.databases.values()):
            rows = ", ".join(f"({i}, 'player {i}', '{'-' * 200}')" for i in range(1, 100 + number))
            database.execute(f"INSERT INTO player (id, name, about) VALUES {rows}")
        assert self.answers() == playing("1.0")

    def upgrade(self, release, *more, code=0, env=None, playbook=PLAYBOOK):
        return self.opsflow("apply", playbook, "-e", f"release={release}", "--yes", *more, code=code, env=env)

    def answers(self):
        """What each game server says; None where none listens."""
        found = {}
        for name in GAMES:
            try:
                with urllib.request.urlopen(f"http://{self.address(name)}:{self.ports[name]}/", timeout=5) as answer:
                    found[name] = json.load(answer)
            except OSError:
                found[name] = None
        return found

    def links(self):
        """Which release is live on each game host."""
        return {name: str(self.on(name, "game/current").readlink()) for name in GAMES}

    def traffic(self):
        """What was done to each game host's traffic: `out`, `in`, ..."""
        return {name: self.on(name, "traffic").read_text().split() for name in GAMES}

    def contents(self):
        return {name: database.contents() for name, database in self.databases.items()}

    def facts(self):
        """Everything that an upgrade changes and a rollback puts back."""
        return {
            "answers": self.answers(),
            "links": self.links(),
            "databases": self.contents(),
            "in": {name: words[-1] == "in" for name, words in self.traffic().items()},
        }

    def fingerprints(self):
        """Of every file, directory and link in the hosts' homes: content, mode, owner and time of change."""
        found = {}
        for host in (*GAMES, *DATABASES):
            for path in (self.on(host), *self.on(host).rglob("*")):
                status = path.lstat()
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
                link = str(path.readlink()) if path.is_symlink() else ""
                own = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_ino)
                found[f"{host}:{path.relative_to(self.on(host))}"] = (content, link, *own)
        return found


def playing(release):
    """What the servers answer when all of them run a release."""
    return {name: {"version": release, "message": f"Welcome to {release}"} for name in GAMES}


def _free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]
