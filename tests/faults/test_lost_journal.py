"""The journal goes away in the middle: exit 6, nothing false, and a resume once it is back."""

import pytest
from fault_disks import fill, is_full, small_disk
from fault_ground import Ground
from fault_play import FAILS, broken, step
from sqlalchemy import make_url

from opsflow.model import RunState
from opsflow.testing.cutting import CommitCutter

NAMES = ("first", "second", "third")
STEPS = "".join(step(name, wait="do" if name == "first" else "", with_=f'creates = "{name}.done"') for name in NAMES)


def check_lost(ground, ended, *, what):
    assert ended.code == 6, ended
    assert what in ended.text
    assert "Traceback" not in ended.text
    told = [line for line in ended.text.splitlines() if not line.startswith("error: journal ")]
    for verdict in ("succeeded:", "rolled_back:", "failed:", "exit code"):
        assert not any(verdict in line for line in told)


def check_resumed(ground):
    run = ground.seen().run
    assert run.state is RunState.RUNNING
    ended = ground.quick("resume")
    assert ended.code == 0, ended
    seen = ground.seen()
    assert seen.run.id == run.id
    assert not broken(ground, seen, 0)
    for host in ground.fleet.names:
        assert ground.lines(host) == ["do first", "do second", "do third"]


@pytest.fixture
def on_server(fleet, server, tmp_path):
    ground = Ground(fleet, tmp_path / "project", server.create("lost"))
    ground.playbook(STEPS)
    yield ground
    server.restart()
    ground.clean()


def test_a_dead_database_server_ends_the_run_and_a_resume_goes_on(on_server, server):
    command = on_server.start("apply", "play.toml", "--yes")
    on_server.wait_line("do first")
    run = on_server.seen().run.id
    server.kill()
    on_server.go()
    ended = command.end()
    check_lost(on_server, ended, what=f"journal {on_server.url.partition(':')[0]}://")
    assert server.password not in ended.text
    assert f"opsflow resume {run}" in ended.text
    still = on_server.opsflow("resume")
    assert still.code == 6, still
    server.restart()
    on_server.settle()
    check_resumed(on_server)


def test_a_database_server_that_is_restarted_quickly_is_waited_for(on_server, server):
    command = on_server.start("apply", "play.toml", "--yes")
    on_server.wait_line("do first")
    server.kill()
    on_server.go()
    server.restart()
    ended = command.end()
    assert ended.code == 0, ended
    assert not broken(on_server, on_server.seen(), 0)
    for host in on_server.fleet.names:
        assert on_server.lines(host) == ["do first", "do second", "do third"]


@pytest.fixture
def behind_cutter(fleet, server, tmp_path):
    """A project whose way to its journal is cut around a COMMIT when it is told."""
    with CommitCutter(server.port) as cutter:
        url = make_url(server.create("cut")).set(port=cutter.port)
        if url.drivername == "postgresql":
            url = url.update_query_dict({"sslmode": "disable"})
        ground = Ground(fleet, tmp_path / "project", url.render_as_string(hide_password=False))
        yield ground, cutter
        ground.clean()


@pytest.mark.parametrize(("arrives", "every"), [(True, 1), (False, 3)], ids=["answer lost", "commit lost"])
def test_a_connection_that_is_cut_around_any_commit_makes_no_difference(behind_cutter, arrives, every):
    ground, cutter = behind_cutter
    ground.playbook(step("first"))
    n, tried = 1, 0
    while cutter.cuts == tried:  # until the run has fewer
        ground.wipe()
        cutter.cut(n, arrives=arrives)
        ended = ground.quick("apply", "play.toml", "--yes")
        assert ended.code == 0, (n, ended)
        assert not broken(ground, ground.seen(), 0), n
        for host in ground.fleet.names:
            assert ground.lines(host) == ["do first"], n
        n, tried = n + every, tried + 1
    assert n > 8


@pytest.fixture
def disk(tmp_path):
    """A directory with room for 3 MiB."""
    try:
        with small_disk(tmp_path / "disk") as place:
            yield place
    except OSError as error:
        pytest.skip(str(error))


@pytest.fixture
def on_small_disk(fleet, disk, tmp_path):
    ground = Ground(fleet, tmp_path / "project", f"sqlite:///{disk}/journal.db")
    ground.playbook(STEPS)
    yield ground
    ground.clean()


def test_a_full_disk_ends_the_run_and_a_resume_goes_on_once_there_is_room(on_small_disk, disk):
    ground = on_small_disk
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("do first")
    run = ground.seen().run.id
    ballast = fill(disk)
    assert is_full(disk)
    ground.go()
    ended = command.end()
    check_lost(ground, ended, what="disk is full")
    assert f"opsflow resume {run}" in ended.text
    ground.settle()
    ballast = fill(disk)  # what the dead process had in use is free again
    still = ground.opsflow("resume")
    assert still.code == 6, still
    ballast.unlink()
    check_resumed(ground)


def test_a_disk_that_is_full_from_the_start_lets_no_run_begin(on_small_disk, disk):
    fill(disk)
    ended = on_small_disk.opsflow("apply", "play.toml", "--yes")
    assert ended.code == 6, ended
    assert f"journal {on_small_disk.url}: " in ended.text
    assert on_small_disk.lines("one") == []


def test_a_disk_that_is_full_in_a_rollback_leaves_it_to_the_resume(on_small_disk, disk):
    ground = on_small_disk
    ground.playbook(step("first", wait="undo") + FAILS)
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("undo first")
    ballast = fill(disk)
    assert is_full(disk)
    ground.go()
    ended = command.end()
    check_lost(ground, ended, what="disk is full")
    ballast.unlink()
    ground.settle()
    assert ground.quick("resume").code == 3
    seen = ground.seen()
    assert seen.run.state is RunState.ROLLED_BACK
    assert not broken(ground, seen, 3)
