"""The main job on throwaway hosts, shown and checked: an upgrade, one that fails, one whose controller is killed.

Starts an sshd per host of `inventories/demo.toml` on this machine's loopback, runs the real command line on them, and
looks for itself whether what it says is so: over HTTP, in the databases, in the process list. Whatever it makes lies
below `.demo/`, and every process it started is gone when it ends, however it ends. `make demo` is how to run it.
"""

import hashlib
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from opsflow.testing import SshdFleet
from opsflow.testing.processes import with_environment

PROJECT = Path(__file__).resolve().parent.parent
DIRECTORY = PROJECT / ".demo"
HOMES = DIRECTORY / "hosts"
OPSFLOW = str(Path(sys.executable).with_name("opsflow"))
JOURNAL = "sqlite:///.demo/journal.db"
PLAYBOOK = "playbooks/game-upgrade.toml"
SCHEMAS = tomllib.loads((PROJECT / PLAYBOOK).read_text())["vars"]["schema"]
HISTORY = "opsflow"  # is in the names of the tables that are not the game's own


class DemoFailed(Exception):
    """Something that was to be shown does not hold."""


def say(text: str = "") -> None:
    """One line of the story."""
    print(text, flush=True)


def chapter(title: str) -> None:
    """A headline."""
    say(f"\n\033[1m== {title}\033[0m\n" if sys.stdout.isatty() else f"\n== {title}\n")


def check(what: str, *, holds: bool) -> None:
    """Say that something holds, or fail."""
    if not holds:
        raise DemoFailed(f"does not hold: {what}")
    say(f"   checked: {what}")


def eventually(what: str, probe: Callable[[], bool], *, seconds: float = 30.0) -> None:
    """Wait until something holds, or fail."""
    deadline = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > deadline:
            raise DemoFailed(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)


class World:
    """The throwaway hosts as somebody sees them who does not take opsflow's word for it."""

    def __init__(self, addresses: dict[str, str]) -> None:
        self.games = {name: address for name, address in addresses.items() if name.startswith("game-")}
        self.databases = {name: HOMES / name / "game.db" for name in addresses if name.startswith("db-")}

    def sql(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement on a host's database."""
        with closing(sqlite3.connect(self.databases[database], timeout=60)) as connection, connection:
            return connection.execute(statement).fetchall()

    def contents(self) -> dict[str, str]:
        """The game's schema and rows by database, as SQL text; the history of migrations left out."""
        found = {}
        for name, path in self.databases.items():
            with closing(sqlite3.connect(path, timeout=60)) as connection:
                found[name] = "\n".join(line for line in connection.iterdump() if HISTORY not in line)
        return found

    def versions(self) -> dict[str, Any]:
        """What each game server says of itself; None where none listens."""
        found: dict[str, Any] = {}
        for name, address in self.games.items():
            try:
                with urllib.request.urlopen(f"http://{address}:7000/version", timeout=5) as answer:
                    found[name] = json.load(answer)
            except OSError:  # refused, reset, late
                found[name] = None
        return found

    def checksums(self) -> dict[str, str]:
        """SHA-256 of every file in the hosts' homes."""
        files = [
            path for host in (*self.games, *self.databases) for path in (HOMES / host).rglob("*") if path.is_file()
        ]
        return {str(path.relative_to(HOMES)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def processes(self) -> list[int]:
        """Ids of the processes that live on the hosts."""
        return [pid for host in (*self.games, *self.databases) for pid in with_environment(f"HOME={HOMES / host}")]


def opsflow(*arguments: str, exit_code: int = 0) -> None:
    """Show a command and what it prints; fail if it ends with another status."""
    with started(*arguments) as command:
        status = command.wait()
    if status != exit_code:
        raise DemoFailed(f"opsflow ended with {status} where {exit_code} was to be")


@contextmanager
def started(*arguments: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Show a command and start it; it does not outlive the block."""
    say(f"$ opsflow {shlex.join(arguments)}")
    with subprocess.Popen([OPSFLOW, *arguments], cwd=PROJECT) as command:
        try:
            yield command
        finally:
            command.kill()  # does nothing to one that has ended and was waited for
            if sys.stdout.isatty():
                print("\033[?25h", end="", flush=True)


def record(run: str = "") -> dict[str, Any]:
    """What the journal says of a run; of the newest if none is named."""
    command = [OPSFLOW, "show", *([run] if run else []), "--output", "json"]
    shown: dict[str, Any] = json.loads(subprocess.run(command, cwd=PROJECT, check=True, capture_output=True).stdout)
    return shown


def build(release: str) -> None:
    """Make the artifact of a release: the server and a file that names version and schema."""
    about = json.dumps({"version": release, "schema": SCHEMAS[release]}).encode()
    with tarfile.open(DIRECTORY / "dist" / f"game-{release}.tar.gz", "w:gz") as archive:
        archive.add(PROJECT / "playbooks" / "game" / "server.py", "server.py")
        entry = tarfile.TarInfo("release.json")
        entry.size, entry.mtime = len(about), int(time.time())
        archive.addfile(entry, BytesIO(about))


def upgrade(release: str) -> list[str]:
    """The arguments that upgrade the demo's hosts to a release without a question."""
    return ["apply", PLAYBOOK, "-i", "demo", "-e", f"release={release}", "--yes"]


def running(world: World, release: str) -> bool:
    """Whether every game server answers with this release."""
    expected = {"version": release, "schema": SCHEMAS[release]}
    return all(version == expected for version in world.versions().values())


def first_release(world: World) -> None:
    """Release 1.0 on empty hosts, by opsflow itself."""
    chapter("Six empty hosts: two shards, each with two game servers and a database")
    for release in SCHEMAS:
        build(release)
    for database in world.databases:
        world.sql(database, "VACUUM")
    opsflow(*upgrade("1.0"), "--output", "quiet")
    for database, players in (("db-a", "('Ada', 12), ('Kim', 7)"), ("db-b", "('Bo', 3), ('Kim', 5), ('Kim', 9)")):
        world.sql(database, f"INSERT INTO player (name, gold) VALUES {players}")  # noqa: S608 - the line above
    check("four game servers answer with release 1.0", holds=running(world, "1.0"))


def show_plan(world: World) -> None:
    """The dry run."""
    chapter("1. The plan: what an upgrade to 2.0 would change")
    before = world.checksums()
    opsflow("plan", PLAYBOOK, "-i", "demo", "-e", "release=2.0")
    check(f"no file on the hosts has changed ({len(before)} compared)", holds=world.checksums() == before)


def show_success(world: World) -> None:
    """An upgrade that goes through."""
    chapter("2. The upgrade to 2.0")
    opsflow(*upgrade("2.0"))
    check("four game servers answer with release 2.0", holds=running(world, "2.0"))
    guilds = [
        world.sql(database, "SELECT DISTINCT guild.name FROM player JOIN guild ON guild.id = player.guild")
        for database in world.databases
    ]
    check("both databases have the new schema, and every player is in a guild", holds=guilds == [[("Newcomers",)]] * 2)


def show_rollback(world: World) -> None:
    """An upgrade that one shard's data does not permit."""
    chapter("3. The upgrade to 3.0 fails: names become unique, and shard b has two players called Kim")
    before = world.contents()
    opsflow(*upgrade("3.0"), exit_code=3)
    check("the run is rolled back", holds=record()["run"]["state"] == "rolled_back")
    check("four game servers answer with release 2.0 again", holds=running(world, "2.0"))
    check("both databases have their old schema and rows again", holds=world.contents() == before)


def show_resume(world: World) -> None:
    """A controller that is killed while a migration is under way."""
    chapter("4. The second Kim is renamed; the upgrade to 3.0 again; its controller is killed in the middle")
    world.sql("db-b", "UPDATE player SET name = 'Kim the Second' WHERE id = 3")
    with started(*upgrade("3.0")) as controller:
        eventually("both databases are being migrated", lambda: migrating(world))
        controller.kill()
        controller.wait()
    half_done = not any(world.versions().values()) and not migrated(world)
    run = record()["run"]["id"]
    say(f"\n   kill -9 {controller.pid}: the controller of run {run} is dead")
    check("no game server answers, and the migrations are half done", holds=half_done)
    opsflow("resume", run)
    shown = record(run)
    check("the same run has succeeded", holds=shown["run"]["state"] == "succeeded")
    check("four game servers answer with release 3.0", holds=running(world, "3.0"))
    check("both databases have the new schema", holds=migrated(world))
    again = [node for node in shown["nodes"] if len(node["attempts"]) > 1]
    check("no step ran a second time: the migrations went on without their controller", holds=not again)


def migrated(world: World) -> bool:
    """Whether both databases have the schema of release 3.0, with a standing for each player."""
    return all("CREATE TABLE standing" in content for content in world.contents().values()) and all(
        world.sql(database, "SELECT count(*) FROM player LEFT JOIN standing ON player = player.id WHERE points IS NULL")
        == [(0,)]
        for database in world.databases
    )


def migrating(world: World) -> bool:
    """Whether both databases are between the two scripts of release 3.0, and all that is before them is done."""
    if not all("player_name" in content and "standing" not in content for content in world.contents().values()):
        return False
    states = {(node["step"], node["state"]) for node in record()["nodes"]}
    return states == {
        *((step, "succeeded") for step in ("stop", "backup", "deploy")),
        ("migrate", "running"),
        ("start", "pending"),
    }


@contextmanager
def hosts(addresses: dict[str, tuple[str, int]]) -> Iterator[None]:
    """The fleet, in a fresh directory; also after a demo that was killed. All of it ends with the block."""
    fleet = SshdFleet(HOMES, list(addresses), addresses=addresses)
    fleet.stop()
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    (DIRECTORY / "dist").mkdir(parents=True)
    sshd_directory = Path("/run/sshd")  # root's sshd needs it
    there = sshd_directory.exists()
    try:
        with fleet:
            yield
    finally:
        if not there:
            with suppress(OSError):
                sshd_directory.rmdir()


def main() -> int:
    """Tell the whole story. Returns the exit status: 0 if all of it holds."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as below nohup
            signal.signal(number, signal.default_int_handler)
    os.environ["OPSFLOW_JOURNAL"] = JOURNAL
    began = time.monotonic()
    inventory = tomllib.loads((PROJECT / "inventories" / "demo.toml").read_text())
    addresses = {name: host["address"] for name, host in inventory["hosts"].items()}
    world = World(addresses)
    try:
        with hosts({name: (address, inventory["ssh"]["port"]) for name, address in addresses.items()}):
            for part in (first_release, show_plan, show_success, show_rollback, show_resume):
                part(world)
        check("no process of the hosts is left", holds=not world.processes())
    except (DemoFailed, RuntimeError) as failure:
        say(f"\nThe demo failed: {failure}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted; the hosts are stopped.")
        return 130
    say(f"\nAll of it held, in {time.monotonic() - began:.0f} s. What it made lies in .demo/; see for yourself:")
    say(f"$ OPSFLOW_JOURNAL={JOURNAL} .venv/bin/opsflow runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
