"""A dry run connects, says what it finds on every host, and changes nothing."""

import subprocess
import sys

import pytest
from upgrade_site import DATABASES, GAMES, PLAYBOOK

NODES = {f"{step}@{host}" for step in ("stop", "deploy", "start") for host in GAMES} | {
    f"{step}@{host}" for step in ("backup", "migrate") for host in DATABASES
}
PLAN = ("plan", PLAYBOOK, "-e", "release=2.0")
DRY_RUN = ("apply", PLAYBOOK, "-e", "release=2.0", "--dry-run")


@pytest.fixture(scope="module")
def new_site(make_site):
    """A site on which nothing was installed."""
    with make_site() as site:
        yield site


@pytest.mark.parametrize(("command", "output"), [(PLAN, "json"), (DRY_RUN, "text")], ids=["plan", "apply --dry-run"])
def test_a_dry_run_asks_every_host_over_one_connection_and_changes_nothing(site, command, output):
    before, runs = site.fingerprints(), site.opsflow("runs", "--output", "json").json
    connections = {name: site.fleet.connections(name) for name in (*GAMES, *DATABASES)}

    site.opsflow(*command, "--output", output)

    assert site.fingerprints() == before
    assert len(before) > 60
    assert site.opsflow("runs", "--output", "json").json == runs
    for name, earlier in connections.items():
        assert site.fleet.connections(name) == earlier + 1, f"{name} was not asked, or over more than one connection"


def test_the_checksum_would_see_a_change(site):
    before = site.fingerprints()
    site.on("db-a", "backups").touch()
    assert site.fingerprints() != before


def test_a_dry_run_changes_nothing_on_hosts_that_are_new(new_site):
    before = new_site.fingerprints()
    planned = new_site.opsflow("plan", PLAYBOOK, "-e", "release=1.0", "--output", "json").json
    assert new_site.fingerprints() == before
    actions = {node["id"]: node["action"] for node in planned["nodes"]}
    assert {actions[f"stop@{host}"] for host in GAMES} == {"unchanged"}
    assert {actions[f"deploy@{host}"] for host in GAMES} == {"change"}


# In a process of its own: its locks would end as soon as the test's own process had read the file.
GAME = """
import sqlite3, sys
game = sqlite3.connect(sys.argv[1], isolation_level=None)
game.execute("PRAGMA journal_mode = wal")
game.execute("UPDATE player SET about = 'in the log' WHERE id = 1")
print("open", flush=True)
sys.stdin.read()
game.execute("PRAGMA journal_mode = delete")
"""


def test_a_dry_run_leaves_a_database_alone_that_a_game_has_open(site):
    path = site.databases["db-a"].path
    command = [sys.executable, "-c", GAME, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as game:
        assert game.stdout.readline() == "open\n"
        before = site.fingerprints()
        assert any(name.endswith("game.db-wal") for name in before)
        site.opsflow(*PLAN)
        assert _without_locks(site.fingerprints()) == _without_locks(before)
        game.stdin.close()
    assert game.returncode == 0


@pytest.mark.parametrize("command", [PLAN, DRY_RUN], ids=["plan", "apply --dry-run"])
def test_a_dry_run_tells_what_would_become_of_every_node(site, command):
    planned = site.opsflow(*command, "--output", "json").json

    assert set(planned) == {"nodes", "notices", "rollout"}
    assert planned["rollout"] is None
    nodes = {node["id"]: node for node in planned["nodes"]}
    assert set(nodes) == NODES
    for node in nodes.values():
        assert {"id", "action", "reversible", "summary", "diff", "needs"} <= set(node)
        assert node["action"] in {"change", "unchanged", "unknown", "skip", "fail"}
        assert node["reversible"] is True
    for host in GAMES:
        assert nodes[f"stop@{host}"]["action"] == "change"
        assert nodes[f"stop@{host}"]["needs"] == []
        assert nodes[f"deploy@{host}"]["action"] == "change"
        assert nodes[f"deploy@{host}"]["diff"].startswith("-current -> releases/")
        # It runs and is healthy now, but something before it will change.
        assert nodes[f"start@{host}"]["action"] == "unknown"
        assert "game is healthy" in nodes[f"start@{host}"]["summary"]
    assert set(nodes["deploy@game-a1"]["needs"]) == {"stop@game-a1", "stop@game-a2"}
    assert set(nodes["start@game-b2"]["needs"]) == {"migrate@db-b", "deploy@game-b1", "deploy@game-b2"}
    for host in DATABASES:
        assert nodes[f"backup@{host}"]["action"] == "change"
        # Its parameters name the backup that is yet to be made.
        assert nodes[f"migrate@{host}"]["action"] == "unknown"


def test_the_plan_in_words_names_steps_hosts_and_what_is_not_known(site):
    said = site.opsflow(*PLAN).out
    assert "1. stop" in said
    assert "5. start  after migrate, deploy" in said
    for host in (*GAMES, *DATABASES):
        assert host in said
    assert "plan: 10 to change, 6 unknown until run" in said


def _without_locks(found):
    # The file in which those who have a database open mark what they are reading.
    return {name: what for name, what in found.items() if not name.endswith("-shm")}
