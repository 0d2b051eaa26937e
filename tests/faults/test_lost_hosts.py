"""Hosts that vanish, at the start and in the middle: nothing is guessed, the others go on, a resume settles it."""

import pytest
from fault_play import FAILS, broken, step

from opsflow.model import NodeState, RunState

PER_HOST = 'per = "host"\n'
FIRST = step("first", wait="do", extra=PER_HOST, with_='creates = "first.done"')


@pytest.fixture
def ground(ground):
    """A lost host is waited for not for a minute, but for some seconds."""
    inventory = ground.project / "hosts.toml"
    inventory.write_text(inventory.read_text().replace("[ssh]\n", '[ssh]\nreconnect = "6s"\n'))
    return ground


def begin(ground):
    """Start the playbook; both hosts are in the middle of the first step when this returns."""
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("do first")
    return command


def check_lost(ground, ended):
    seen = ground.seen()
    assert ended.code == 4, ended
    assert not broken(ground, seen, 4)
    assert seen.run.state is RunState.FAILED
    assert seen.states == {
        "first@one": NodeState.SUCCEEDED,
        "first@two": NodeState.UNKNOWN,
        "second@one": NodeState.SUCCEEDED,
        "second@two": NodeState.BLOCKED,
    }
    assert f"opsflow resume {seen.run.id}" in ended.text
    assert ground.held() == 2


def test_a_cut_connection_is_made_again_and_the_command_followed(ground):
    ground.playbook(FIRST + step("second", extra=PER_HOST))
    command = begin(ground)
    ground.fleet.cut("two")
    ground.go("one")
    ground.go("two")
    assert command.end().code == 0
    assert not broken(ground, ground.seen(), 0)
    assert [ground.lines(host) for host in ("one", "two")] == [["do first", "do second"]] * 2


def test_a_host_without_power_stays_unknown_until_it_answers_and_is_not_guessed_about(ground):
    ground.playbook(FIRST + step("second", extra=PER_HOST))
    command = begin(ground)
    ground.fleet.kill("two", commands=True)
    ground.go()
    check_lost(ground, command.end())
    check_lost(ground, ground.quick("resume"))  # it is still away
    ground.fleet.restart("two")
    check_lost(ground, ground.quick("resume"))  # it cannot tell: the command did not get to its end
    assert ground.lines("two") == ["do first"]
    (ground.fleet.home("two") / "first.done").touch()  # the operator does what was left
    assert ground.quick("resume").code == 0
    assert ground.lines("two") == ["do first", "do second"]
    assert not broken(ground, ground.seen(), 0)


def test_what_may_be_repeated_is_repeated_once_the_host_answers(ground):
    again = step(
        "first", wait="do", extra=PER_HOST + 'on_unknown = "rerun"', with_='creates = "first.done"\nidempotent = true'
    )
    ground.playbook(again + step("second", extra=PER_HOST))
    command = begin(ground)
    ground.fleet.kill("two", commands=True)
    ground.go()
    check_lost(ground, command.end())
    ground.fleet.restart("two")
    assert ground.quick("resume").code == 0
    assert ground.lines("one") == ["do first", "do second"]
    assert ground.lines("two") == ["do first", "do first", "do second"]
    assert not broken(ground, ground.seen(), 0, idempotent={"first"})


def test_a_host_that_is_away_from_the_start_is_seen_in_the_preview_and_nothing_is_touched(ground):
    ground.playbook(FIRST)
    ground.fleet.kill("two")
    for command in (("plan", "play.toml"), ("apply", "play.toml", "--yes")):
        ended = ground.opsflow(*command)
        assert ended.code == 1, ended
        assert "cannot reach two" in ended.text
        assert "nothing was changed" in ended.text
    assert ground.runs() == 0
    assert ground.lines("one") == []
    assert not [path for path in ground.fleet.home("one").iterdir() if path.is_file()]


def test_a_host_that_goes_away_before_its_turn_fails_and_all_is_put_back(ground):
    ground.playbook(step("first", "one", wait="do") + step("second"))
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("do first", "one")
    ground.fleet.kill("two")
    ground.go()
    ended = command.end()
    seen = ground.seen()
    assert ended.code == 3, ended
    assert seen.run.state is RunState.ROLLED_BACK
    assert not broken(ground, seen, 3)
    assert "cannot reach two" in seen.nodes["second@two"].error.message
    assert ground.lines("one") in (["do first", "undo first"], ["do first", "do second", "undo second", "undo first"])
    assert ground.lines("two") == []


def test_a_host_that_is_away_in_the_rollback_leaves_it_incomplete_and_finishable(ground):
    ground.playbook(step("first") + step("second", "one", wait="do") + FAILS.replace('"two"', '"one"'))
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("do second", "one")
    ground.fleet.kill("two")
    ground.go()
    ended = command.end()
    seen = ground.seen()
    assert ended.code == 4, ended
    assert seen.run.state is RunState.ROLLBACK_INCOMPLETE
    assert not broken(ground, seen, 4)
    assert seen.states["first@two"] is NodeState.REVERT_FAILED
    assert seen.states["first@one"] is NodeState.REVERTED
    assert f"opsflow rollback {seen.run.id}" in ended.text
    assert ground.quick("rollback", "--yes").code == 4  # it is still away
    ground.fleet.restart("two")
    assert ground.quick("rollback", "--yes").code == 0
    seen = ground.seen()
    assert seen.run.state is RunState.ROLLED_BACK
    assert not broken(ground, seen, 0)
    assert ground.lines("one") == ["do first", "do second", "undo second", "undo first"]
    assert ground.lines("two") == ["do first", "undo first"]


def test_a_revert_whose_connection_is_cut_is_followed(ground):
    ground.playbook(step("first", wait="undo") + FAILS)
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("undo first")
    ground.fleet.cut("two")
    ground.go()
    ended = command.end()
    assert ended.code == 3, ended
    ground.settle()
    seen = ground.seen()
    assert not broken(ground, seen, 3)
    assert seen.run.state is RunState.ROLLED_BACK
    assert ground.lines("two") == ["do first", "undo first"]
