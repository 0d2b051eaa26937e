"""Commands that outlive the controller that sent them."""

import signal
import time

from fault_play import broken, step

from opsflow.model import NodeState, RunState

STEPS = step("first", wait="do", with_='creates = "first.done"') + step("second")


def leave_behind(ground, playbook):
    """Kill the controller while its command is in the middle of both hosts."""
    ground.playbook(playbook)
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("do first")
    command.signal(signal.SIGKILL)
    assert command.end().code == -9


def test_they_come_to_their_end_and_a_resume_finds_it(ground):
    leave_behind(ground, STEPS)
    ground.go()
    ground.settle()
    assert ground.quick("resume").code == 0
    assert not broken(ground, ground.seen(), 0)
    assert [ground.lines(host) for host in ground.fleet.names] == [["do first", "do second"]] * 2


def test_a_resume_while_they_run_follows_them(ground):
    leave_behind(ground, STEPS)
    early = ground.start("resume")
    time.sleep(2)
    seen = ground.seen()
    assert {seen.states["first@one"], seen.states["first@two"]} == {NodeState.RUNNING}
    ground.go()
    assert early.end().code == 0
    assert not broken(ground, ground.seen(), 0)
    assert [ground.lines(host) for host in ground.fleet.names] == [["do first", "do second"]] * 2


def test_those_that_print_come_to_their_end_too(ground):
    leave_behind(ground, STEPS.replace("touch first.done", "echo printed; touch first.done"))
    ground.go()
    ground.settle()
    assert ground.done("first", "one")


def test_a_rollback_while_they_run_waits_and_puts_back_what_they_do_too(ground):
    leave_behind(ground, STEPS)
    back = ground.start("rollback", "--yes")
    time.sleep(2)
    ground.go()
    assert back.end().code == 0
    assert ground.seen().run.state is RunState.ROLLED_BACK
    ground.settle()
    assert not ground.done("first", "one")
