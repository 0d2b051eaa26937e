"""Two controllers at the same hosts: one wins, the other is told who holds them."""

import signal
from contextlib import closing

import pytest
from fault_cli import Death, Pause
from fault_ground import Ground, until
from fault_play import WAIT, broken, step
from sqlalchemy import text

from opsflow.journal import SqlJournal
from opsflow.model import RunState

ROUNDS = 3
WAITING = step("first", with_='creates = "first.done"') + step("second", wait="do")


def check_once(ground):
    assert not broken(ground, ground.seen(), 0)
    for host in ground.fleet.names:
        assert ground.lines(host) == ["do first", "do second"]


def race(ground, *command):
    """Begin a command twice at once; the one that lost, while the other waits on the hosts; then let that one end."""
    both = [ground.fork(*command) for _ in range(2)]
    until(lambda: any(process.exitcode is not None for process, _ in both))
    ground.wait_line("do second")
    ended, alive = sorted(both, key=lambda one: one[0].exitcode is None)
    lost = ground.end_fork(ended)
    ground.go()
    won = ground.end_fork(alive)
    assert (won.code, lost.code) == (0, 5), (won, lost)
    assert ground.seen().run.id in lost.text
    check_once(ground)


def test_a_second_run_on_held_hosts_is_refused_and_told_by_whom(ground):
    ground.playbook(WAITING)
    first = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("do second")
    holder = ground.seen().run
    second = ground.opsflow("apply", "play.toml", "--yes")
    assert second.code == 5, second
    assert holder.id in second.text
    assert ground.runs() == 1
    ground.go()
    assert first.end().code == 0
    check_once(ground)


def test_of_two_that_begin_at_once_exactly_one_runs(ground, many):
    ground.playbook(WAITING)
    for _ in range(ROUNDS * many):
        ground.wipe()
        race(ground, "apply", "play.toml", "--yes")


def test_a_run_that_is_alive_elsewhere_is_neither_resumed_nor_rolled_back_nor_abandoned(ground):
    ground.playbook(WAITING)
    first = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("do second")
    run = ground.seen().run
    commands = [("resume",), ("rollback", "--yes"), ("apply", "play.toml", "--yes", "--abandon", run.id)]
    for command in commands:
        refused = ground.quick(*command)
        assert refused.code == 5, (command, refused)
        assert f"run {run.id} is being worked on by {run.operator} (process {first.process.pid})" in refused.text
    ground.go()
    assert first.end().code == 0
    check_once(ground)


def test_of_two_that_resume_at_once_exactly_one_goes_on(ground, many):
    ground.playbook(WAITING.replace("echo do first >> log;", f"echo do first >> log; {WAIT}"))
    for _ in range(ROUNDS * many):
        ground.wipe()
        died = ground.fork("apply", "play.toml", "--yes")
        ground.wait_line("do first")
        died[0].kill()
        assert ground.end_fork(died).code == -9
        ground.go()
        ground.settle()
        ground.hold()
        race(ground, "resume")


@pytest.mark.parametrize("command", [("resume",), ("rollback", "--yes")])
def test_one_that_comes_too_late_finds_the_run_at_its_end(ground, tmp_path, command):
    ground.playbook(step("first"))
    died = ground.quick("apply", "play.toml", "--yes", fate=Death(n=3, committed=False))
    assert died.code == -9
    assert ground.seen().run.state is RunState.RUNNING
    late = ground.fork(*command, fate=Pause(until=str(tmp_path / "go")))
    until(lambda: "paused" in late[1].read_text())
    assert ground.quick(*command).code == 0
    (tmp_path / "go").touch()
    ended = ground.end_fork(late)
    assert ended.code == 2
    assert "nothing to go on with" in ended.text
    assert ground.held() == 0
    assert not broken(ground, ground.seen(), 0)


@pytest.mark.parametrize("n", [1, 2])
def test_a_run_that_died_before_it_changed_anything_is_ended_by_a_rollback(ground, n):
    ground.playbook(step("first"))
    assert ground.quick("apply", "play.toml", "--yes", fate=Death(n=n, committed=True)).code == -9
    assert ground.quick("apply", "play.toml", "--yes").code == 5
    assert ground.quick("rollback", "--yes").code == 0
    assert ground.seen().run.state is RunState.ROLLED_BACK
    assert ground.quick("apply", "play.toml", "--yes").code == 0


def test_an_abandoned_run_gives_its_hosts_up(ground):
    ground.playbook(step("first"))
    assert ground.quick("apply", "play.toml", "--yes", fate=Death(n=2, committed=True)).code == -9
    dead = ground.seen().run
    ended = ground.quick("apply", "play.toml", "--yes", "--abandon", dead.id)
    assert ended.code == 0
    assert ground.seen().run.id != dead.id
    assert [ground.lines(host) for host in ground.fleet.names] == [["do first"]] * 2


# A controller that sleeps while another machine takes its run over


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def shared(request, fleet, tmp_path):
    """A project whose journal several machines could use."""
    url = None if request.param == "sqlite" else request.getfixturevalue(request.param).create("shared")
    ground = Ground(fleet, tmp_path / "project", url)
    yield ground
    ground.clean()


def silence(ground, seconds):
    """Let the run's controller be one of another machine that was last heard so long ago."""
    change = f"UPDATE owners SET machine = 'elsewhere', beat = beat - {seconds * 1_000_000}"
    with closing(SqlJournal.open(ground.url)) as journal:
        options = {"opsflow_write": True}
        with journal.engine.connect().execution_options(**options) as connection, connection.begin():
            connection.execute(text(change))


def asleep(ground, first):
    """Stop a controller, not within a transaction."""
    first.signal(signal.SIGSTOP)
    with closing(SqlJournal.open(ground.url)) as journal:
        journal.runs()


@pytest.mark.parametrize("command", [("resume",), ("unlock", "--yes")])
def test_one_that_slept_past_its_lease_writes_nothing_any_more(shared, command):
    shared.playbook(WAITING)
    first = shared.start("apply", "play.toml", "--yes")
    shared.wait_line("do second")
    asleep(shared, first)
    assert shared.quick(*command).code == 5, "its process lives"
    silence(shared, 30)
    assert shared.quick(*command).code == 5, "it was heard of within the last minute"
    silence(shared, 40)
    if command == ("resume",):
        shared.go()
    assert shared.quick(*command).code == 0
    before = shared.written()

    shared.go()
    first.signal(signal.SIGCONT)
    ended = first.end()

    assert ended.code == 6, ended
    assert "another process took run" in ended.text
    assert "Traceback" not in ended.text
    assert shared.written() == before
    if command == ("resume",):
        check_once(shared)


def test_one_that_slept_and_was_not_missed_goes_on(shared):
    shared.playbook(WAITING)
    first = shared.start("apply", "play.toml", "--yes")
    shared.wait_line("do second")
    asleep(shared, first)
    silence(shared, 100)
    first.signal(signal.SIGCONT)
    shared.go()
    assert first.end().code == 0
    check_once(shared)
