"""停服 备份数据库 升级数据库 升级应用 启动服务器: the procedure that the seed's guide begins with.

Each step waits for what the guide says, and when one of them fails all that was changed is put back.
"""

import os
import resource
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from command_line import eventually
from upgrade_site import GAMES, PLAYBOOK, playing

SHARDS = ("a", "b")
PAGE = 4096


def ancestors(needs, node):
    """All nodes before a node, transitively."""
    found = set()
    waiting = [node]
    while waiting:
        new = set(needs[waiting.pop()]) - found
        found |= new
        waiting += new
    return found


@pytest.fixture(scope="module")
def needs(site):
    """What each node waits for, as the plan says."""
    planned = site.opsflow("plan", PLAYBOOK, "-e", "release=2.0", "--output", "json").json
    return {node["id"]: node["needs"] for node in planned["nodes"]}


@pytest.mark.parametrize("executor", ["threads", "serial"])
def test_the_seeds_story_stop_backup_then_migrate_beside_deploy_and_start_when_both_succeeded(site, executor):
    players = {name: database.execute("SELECT * FROM player") for name, database in site.databases.items()}
    backups = {name: set(site.on(name).glob("backups/*.gz")) for name in site.databases}
    before = site.facts()

    site.upgrade("2.0", "--executor", executor)

    run = site.show()
    assert run.state == "succeeded"
    assert set(run.states.values()) == {"succeeded"}
    assert len(run.nodes) == 4 + 2 + 2 + 4 + 4
    assert site.answers() == playing("2.0")
    assert len(set(site.links().values()) - set(before["links"].values())) == 1
    for name, database in site.databases.items():
        assert database.execute("SELECT * FROM player") == [(*row, 5) for row in players[name]]
        assert database.execute("SELECT count(*) FROM owner") == [(len(players[name]),)]
        assert len(set(site.on(name).glob("backups/*.gz")) - backups[name]) == 1
    assert all(words[-2:] == ["out", "in"] for words in site.traffic().values())
    for shard in SHARDS:
        for earlier, later in (
            ("stop", "backup"),
            ("stop", "deploy"),
            ("backup", "migrate"),
            ("migrate", "start"),
            ("deploy", "start"),
        ):
            ended = run.times("finished", step=earlier, shard=shard)
            began = run.times("started", step=later, shard=shard)
            assert max(ended) <= min(began), f"{later} of shard {shard} did not wait for {earlier}"

    # A run that succeeded can be put back as well: the next test finds what this one has found.
    site.opsflow("rollback", "--yes")
    assert site.facts() == before
    assert site.show().state == "rolled_back"


@contextmanager
def a_server_that_is_deaf(site):
    """stop: the server of one host ignores SIGTERM, and nobody said that it may be killed."""
    file = site.on("game-b2", "stubborn")
    file.touch()
    try:
        yield ()
    finally:
        file.unlink()


@contextmanager
def a_damaged_database(site):
    """backup: a page of one database's file is not what it was. Nothing that opens the file sees that."""
    path = site.databases["db-b"].path
    good = path.read_bytes()
    pages = [good[at : at + PAGE] for at in range(0, len(good), PAGE)]
    damaged = b"".join(b"\xff" * PAGE if b"player 50" in page else page for page in pages)
    path.write_bytes(damaged)
    try:
        yield ()
    finally:
        after = path.read_bytes()
        path.write_bytes(good)
    assert after == damaged, "a database that was not migrated was written to"


@contextmanager
def two_players_with_one_name(site):
    """migrate: the second of two scripts fails on one shard's data."""
    database = site.databases["db-b"]
    database.execute("INSERT INTO player (id, name) VALUES (1000, 'player 1')")
    try:
        yield ()
    finally:
        database.execute("DELETE FROM player WHERE id = 1000")


@contextmanager
def a_full_disk(site):
    """deploy: one host takes no file of this size, which shows when the artifact is sent."""
    site.build("2.0", assets=os.urandom(1024 * 1024))
    listener = int((site.fleet.directory / ".fleet" / "game-b2" / "pid").read_text())
    limits = resource.prlimit(listener, resource.RLIMIT_FSIZE)
    resource.prlimit(listener, resource.RLIMIT_FSIZE, (512 * 1024, limits[1]))
    try:
        yield ()
    finally:
        resource.prlimit(listener, resource.RLIMIT_FSIZE, limits)
        site.build("2.0")


@contextmanager
def an_artifact_that_is_cut_off(site):
    """deploy: the artifact was whole when the plan was shown, and is not when it is to be sent."""
    path = site.directory / "dist/game-2.0.tar.gz"

    def cut():
        eventually(lambda: any(words[-1] == "out" for words in site.traffic().values()))
        path.write_bytes(path.read_bytes()[:-200])

    with ThreadPoolExecutor() as beside:
        cutting = beside.submit(cut)
        try:
            yield ("-e", "drain=1")
        finally:
            cutting.result()
            site.build("2.0")


@contextmanager
def a_release_that_ends_at_once(site):
    """start: the new server ends on one host."""
    site.build("2.0", faults={"game-b2": "exits"})
    try:
        yield ()
    finally:
        site.build("2.0")


@contextmanager
def a_release_that_is_sick(site):
    """start: the new server runs on one host, and says that it is not healthy."""
    site.build("2.0", faults={"game-a1": "sick"})
    try:
        yield ()
    finally:
        site.build("2.0")


FAILURES = [
    pytest.param(a_server_that_is_deaf, ["stop@game-b2"], "still, 1.50 s after it was asked", id="stop"),
    pytest.param(a_damaged_database, ["backup@db-b"], "is not whole", id="backup"),
    pytest.param(two_players_with_one_name, ["migrate@db-b"], "0003_owner.sql, statement 2", id="migrate"),
    pytest.param(a_full_disk, ["deploy@game-b2"], "cannot write", id="deploy-no-space"),
    pytest.param(an_artifact_that_is_cut_off, [f"deploy@{name}" for name in GAMES], "", id="deploy-artifact"),
    pytest.param(a_release_that_ends_at_once, ["start@game-b2"], "ended with status 1", id="start-exits"),
    pytest.param(a_release_that_is_sick, ["start@game-a1"], "answers 500, not 200", id="start-sick"),
]


@pytest.mark.parametrize(("failure", "failing", "why"), FAILURES)
def test_when_a_step_fails_what_was_changed_is_put_back_in_reverse_order(site, needs, failure, failing, why):
    before = site.facts()

    with failure(site) as options:
        ended = site.upgrade("2.0", *options, code=3)

    assert site.facts() == before
    run = site.show()
    assert run.state == "rolled_back"
    executed, reverted = run.attempts("execute"), run.attempts("revert")
    failed = [name for name, node in run.nodes.items() if node["error"] and node["error"]["kind"] != "Blocked"]
    assert failed
    assert set(failed) <= set(failing)
    for name in failed:
        assert why in run.nodes[name]["error"]["message"]
        assert run.nodes[name]["error"]["message"] in ended.err
    for name, found in executed.items():
        assert [a["state"] for a in reverted[name]] == ["succeeded"] * len(found)
        # What fails before it is begun has nothing to be put back.
        assert run.nodes[name]["state"] == ("reverted" if found else "failed" if name in failed else "blocked")
    for name, found in reverted.items():
        for earlier in ancestors(needs, name) if found else ():
            assert found[0]["finished"] <= reverted[earlier][0]["started"], f"{earlier} was reverted before {name}"


def test_a_shard_that_fails_is_put_back_alone_where_the_playbook_says_so(site):
    text = (site.directory / PLAYBOOK).read_text()
    each = site.write(
        "playbooks/each.toml", text.replace('per = "shard"\n', 'per = "shard"\nrollback_scope = "shard"\n')
    )
    before = site.facts()
    with two_players_with_one_name(site):
        site.upgrade("2.0", playbook=each, code=3)

    run = site.show()
    assert {node["state"] for node in run.nodes.values() if "-a" in node["host"]} == {"succeeded"}
    assert run.state != "rolled_back", "not every change was reverted"
    answers = site.answers()
    assert {name: answers[name]["version"] for name in GAMES} == {
        "game-a1": "2.0",
        "game-a2": "2.0",
        "game-b1": "1.0",
        "game-b2": "1.0",
    }
    assert site.contents()["db-b"] == before["databases"]["db-b"]

    site.opsflow("rollback", "--yes")
    assert site.facts() == before
    assert site.show(run.id).state == "rolled_back"


def test_what_the_preview_sees_coming_is_refused_before_anything_is_touched(site):
    # The server runs and nobody knows: its pidfile is gone.
    pidfile = site.on("game-b2", "game.pid")
    hidden = pidfile.rename(pidfile.with_suffix(".hidden"))
    before, runs = site.fingerprints(), site.opsflow("runs", "--output", "json").json
    try:
        refused = site.upgrade("2.0", code=1)
    finally:
        after = site.fingerprints()
        hidden.rename(pidfile)
    assert f"game is stopped, but port {site.ports['game-b2']} is open" in refused.out
    assert "1 of 16 nodes would fail; nothing was changed" in refused.err
    assert after == before
    assert site.opsflow("runs", "--output", "json").json == runs, "a run that never began is in the journal"


def test_a_host_that_does_not_answer_is_found_before_anything_is_touched(site):
    site.fleet.kill("game-b1")
    try:
        before = site.fingerprints()
        refused = site.upgrade("2.0", code=1)
        assert "cannot reach game-b1" in refused.out
        assert site.fingerprints() == before
    finally:
        site.fleet.restart("game-b1")
