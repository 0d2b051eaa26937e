"""The controller is killed at random moments of the main job: stop, back up, migrate, deploy, start; or all back.

OPSFLOW_FAULTS=N tries N times as many moments; a failure names its seed.
"""

import os
import random
import signal
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing

import pytest
from fault_ground import LOOK, Ground, until
from fault_play import GOOD

from opsflow.model import NodeState, Phase, RunState

MOMENTS = 42
BACK = 20
LONGEST = 0.15
"""Seconds after a line of output: longer than most steps here."""

SCRIPTS = 3
SERVER = "sleep 100001"  # a number that no other process of this machine has
PLAYBOOK = f"""
flow = "graph"
[inputs]
sound = {{ type = "boolean", default = true }}

[defaults]
per = "host"

[[step]]
id = "stop"
task = "stop_server"
hosts = "all"
[step.with]
service = "game"
pidfile = "game.pid"
command = "{SERVER}"
stay_up = "100ms"

[[step]]
id = "backup"
task = "backup_db"
hosts = "all"
on_unknown = "rerun"
with = {{ engine = "sqlite", database = "game.db" }}

[[step]]
id = "migrate"
task = "migrate_db"
hosts = "all"
needs = ["stop", "backup"]
on_unknown = "rerun"
with = {{ engine = "sqlite", database = "game.db", scripts = "migrations" }}

[[step]]
id = "deploy"
task = "deploy_app"
hosts = "all"
needs = ["stop"]
with = {{ artifact = "release", release = "new", path = "app" }}

[[step]]
id = "start"
task = "start_server"
hosts = "all"
needs = ["migrate", "deploy"]
[step.with]
service = "game"
pidfile = "game.pid"
command = "{SERVER}"
stay_up = "100ms"
timeout = "400ms"
check = "{{{{ 'true' if sound else 'false' }}}}"
"""


class World:
    """What is true on the hosts."""

    def __init__(self, ground):
        self.ground = ground
        self.names = ground.fleet.names
        scripts = ground.project / "migrations"
        scripts.mkdir()
        for n in range(1, SCRIPTS + 1):
            slow = "INSERT INTO effect WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 60000)"
            do = "".join(f"{slow} SELECT {n}, '{part}' FROM c WHERE x = 60000;\n" for part in "abc")
            (scripts / f"000{n}_part.sql").write_text(do)
            (scripts / f"000{n}_part.undo.sql").write_text(f"DELETE FROM effect WHERE script = {n};\n")
        (ground.project / "release").mkdir()
        for n in range(20):
            (ground.project / "release" / f"file-{n}").write_text(f"{n}\n" * 2000)
        ground.playbook(PLAYBOOK)

    def home(self, host):
        return self.ground.fleet.home(host)

    def reset(self):
        """A server that runs the old release over an old database on every host."""
        self.end_servers()
        self.ground.wipe()
        for host in self.names:
            home = self.home(host)
            (home / "app/releases/old").mkdir(parents=True)
            (home / "app/current").symlink_to("releases/old")
            with closing(sqlite3.connect(home / "game.db")) as connection, connection:
                connection.execute("CREATE TABLE effect (script INTEGER, part TEXT)")
                connection.execute("INSERT INTO effect VALUES (0, 'old')")
            mark = dict([self.ground.fleet._mark(host).split("=")])
            server = f"exec setsid {SERVER} >/dev/null 2>&1 & echo $! > game.pid"
            subprocess.run(["sh", "-c", server], cwd=home, env=os.environ | mark | {"HOME": str(home)}, check=True)
        until(lambda: all(self.server(host) for host in self.names))

    def server(self, host):
        """Id of the host's server, None if there is none."""
        try:
            pid = int((self.home(host) / "game.pid").read_text())
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return pid if file.read().split(b"\0")[:2] == SERVER.encode().split() else None
        except (OSError, ValueError):
            return None

    def end_servers(self):
        for host in self.names:
            if pid := self.server(host):
                os.kill(pid, signal.SIGKILL)
                until(lambda host=host: not self.server(host))

    def settle(self):
        """Wait until nothing runs on the hosts but their servers."""
        for host in self.names:
            until(lambda host=host: len(self.ground.at_work(host)) <= bool(self.server(host)), every=LOOK)

    def effects(self, host):
        with closing(sqlite3.connect(self.home(host) / "game.db", timeout=30)) as connection:
            return Counter(connection.execute("SELECT script, part FROM effect").fetchall())

    def halves(self):
        """Scripts that are applied in part, or more than once."""
        return [
            (host, n, dict(effects))
            for host in self.names
            for effects in [self.effects(host)]
            for n in range(1, SCRIPTS + 1)
            if {effects[n, part] for part in "abc"} not in ({0}, {1})
        ]

    def release(self, host):
        return os.readlink(self.home(host) / "app/current").rpartition("/")[2]

    def is_new(self, host):
        return self.server(host) and self.release(host) == "new" and sum(self.effects(host).values()) == 1 + 3 * SCRIPTS

    def is_old(self, host):
        return self.server(host) and self.release(host) == "old" and sum(self.effects(host).values()) == 1

    def what(self):
        return {host: (self.server(host), self.release(host), dict(self.effects(host))) for host in self.names}


@pytest.fixture(scope="module")
def world(fleet, tmp_path_factory):
    ground = Ground(fleet, tmp_path_factory.mktemp("random") / "project")
    world = World(ground)
    yield world
    world.end_servers()
    ground.clean()


def lines_of(world, command, code):
    """What a command prints when nobody disturbs it."""
    world.reset()
    ended = world.ground.quick(*command)
    assert ended.code == code, ended
    check(world, "undisturbed")
    return ended.text.splitlines()


def kill(world, command, dice, first, last):
    """Kill a command at a random moment between two lines of its output; which that was."""
    line, delay = dice.randint(first, last), dice.uniform(0.0, LONGEST)
    ended = world.ground.kill_fork(world.ground.fork(*command), line=line, delay=delay)
    return f"line {line}, {delay:.3f} s later", ended.code < 0


def finish(world, tally):
    """Resume until there is nothing to go on with; in doubt, put everything back as an operator would."""
    for _ in range(3):
        ended = world.ground.quick("resume")
        assert ended.code in {0, 3, 4}, ended
        if ended.code != 4:
            break
        assert NodeState.UNKNOWN in world.ground.seen().states.values(), ended
        world.settle()
    tally[f"exit {ended.code}"] += 1
    if ended.code == 4:
        back = world.ground.quick("rollback", "--yes")
        assert back.code == 0, back
    return ended.code


def check(world, told):
    seen = world.ground.seen()
    told = (told, seen.run.state, seen.states, world.what())
    assert not world.halves(), told
    if seen.run.state is RunState.SUCCEEDED:
        assert set(seen.states.values()) <= GOOD, told
        assert all(world.is_new(host) for host in world.names), told
    else:
        assert seen.run.state is RunState.ROLLED_BACK, told
        assert all(world.is_old(host) for host in world.names), told
    assert world.ground.held() == 0, told
    backups = {host: len(list((world.home(host) / "backups").glob("*.manifest.json"))) for host in world.names}
    for host, count in backups.items():
        assert count <= len(seen.attempts(f"backup@{host}")), (told, backups)


def test_forward(world, many):
    command = ("apply", "play.toml", "--yes")
    lines = lines_of(world, command, 0)
    begins = next(n for n, line in enumerate(lines, 1) if " apply play" in line)
    tally = Counter()
    for seed in range(MOMENTS * many):
        world.reset()
        moment, killed = kill(world, command, random.Random(seed), begins - 1, len(lines) - 2)
        told = f"seed {seed}: {moment}"
        tally["killed"] += killed
        assert not world.halves(), told
        seen = world.ground.seen()
        tally["attempts interrupted"] += len(seen.interrupted())
        if seen.run.state is not RunState.SUCCEEDED:
            if seed % 2:  # otherwise what was running may still be
                world.settle()
            finish(world, tally)
        check(world, told)
    print(f"forward: {dict(tally)}")
    assert tally["killed"] >= MOMENTS * many * 3 // 4
    assert tally["attempts interrupted"]
    assert tally["exit 0"]


def test_in_the_middle_of_a_rollback(world, many):
    command = ("apply", "play.toml", "--yes", "-e", "sound:=false")
    lines = lines_of(world, command, 3)
    begins = next(n for n, line in enumerate(lines, 1) if "rolling back" in line)
    tally = Counter()
    for seed in range(BACK * many):
        world.reset()
        moment, killed = kill(world, command, random.Random(seed), begins, len(lines) - 2)
        told = f"seed {seed}: {moment}"
        tally["killed"] += killed
        assert not world.halves(), told
        seen = world.ground.seen()
        tally["in the rollback"] += seen.run.state is RunState.ROLLING_BACK
        tally["reverts interrupted"] += len(seen.interrupted(Phase.REVERT))
        if seen.run.state is not RunState.ROLLED_BACK:
            world.settle()
            ended = world.ground.quick("resume")
            assert ended.code == 3, (told, ended)
        check(world, told)
    print(f"in the middle of a rollback: {dict(tally)}")
    assert tally["in the rollback"] >= BACK * many // 2
    assert tally["reverts interrupted"]
