"""cancel and cancel --kill over real hosts: of a run that is driven, and of one whose controller is gone."""

import json
import os
import signal
import sys

import pytest
from fault_ground import until
from fault_play import broken, step

from opsflow.model import AttemptState, NodeState, RunState
from opsflow.testing.processes import kill, with_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts processes in /proc")

WITNESS = "OPSFLOW_CANCEL_WITNESS"
SLOW = """
[[step]]
id = "slow"
task = "command"
hosts = "all"
[step.with]
run = 'echo do slow >> log; [ -e free ] || {{ (trap "" TERM; sleep 600) & sleep 600 & wait; }}; touch slow.done'
undo = "echo undo slow >> log; rm -f slow.done"
env = {{ {witness} = "{name}" }}
"""
"""Of its process group two have a mark in their environment; one of these does not heed SIGTERM."""


@pytest.fixture(scope="module")
def address():
    """The first address of this worker's hosts."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return f"127.0.141.{1 + 4 * worker}"


class Witness:
    """Counts the processes of the slow command, whoever started them."""

    def __init__(self, name):
        self._mark = f"{WITNESS}={name}"

    @property
    def alive(self):
        return with_environment(self._mark)


@pytest.fixture
def slow(ground, tmp_path):
    """The playbook is written; who counts what it starts."""
    name = tmp_path.name + tmp_path.parent.name
    ground.playbook(SLOW.format(witness=WITNESS, name=name) + step("second"))
    witness = Witness(name)
    yield witness
    kill(witness.alive)


def begin(ground, witness):
    """Start the playbook; the command is at work on both hosts, with all its processes, when this returns."""
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("do slow")
    until(lambda: len(witness.alive) == 4)
    return command


def free(ground):
    """From now on the command ends at once."""
    for host in ground.fleet.names:
        (ground.fleet.home(host) / "free").touch()


def check_new_attempts(ground):
    """A resume makes a second attempt, and it succeeds."""
    free(ground)
    resumed = ground.opsflow("resume")
    assert resumed.code == 0, resumed
    seen = ground.seen()
    for node in [f"slow@{name}" for name in ground.fleet.names]:
        first, second = seen.attempts(node)
        assert (first.state, first.error.kind) == (AttemptState.FAILED, "Cancelled")
        assert "cancelled by " in first.error.message
        assert second.state is AttemptState.SUCCEEDED
    assert not broken(ground, seen, 0, idempotent={"slow"})  # as often as there were attempts
    assert "undo slow" not in ground.lines("one")


def test_cancel_lets_the_command_come_to_its_end_and_suspends(ground):
    ground.playbook(step("first", wait="do") + step("second"))
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("do first")
    run = ground.seen().run.id

    asked = ground.opsflow("cancel", run, "--output", "json")

    assert asked.code == 0, asked
    said = json.loads(asked.text)
    assert said["run"] == run
    assert set(said["at_work"]) == {"first@one", "first@two"}
    assert said["next"] == f"opsflow resume {run}"
    command.wait_for("stopping, as ")
    assert command.process.poll() is None
    ground.go()
    ended = command.end()
    seen = ground.seen()
    assert ended.code == 130, ended
    assert seen.run.state is RunState.SUSPENDED
    assert ground.done("first", "one")
    assert {node.state for node in seen.nodes.values()} == {NodeState.SUCCEEDED, NodeState.PENDING}
    assert ground.quick("resume").code == 0
    assert ground.lines("one") == ["do first", "do second"]


def test_kill_ends_the_whole_process_group_on_the_hosts_and_a_resume_begins_anew(ground, slow):
    command = begin(ground, slow)
    run = ground.seen().run.id
    asked = ground.opsflow("cancel", run, "--kill")
    assert asked.code == 0, asked
    assert f"run {run} is stopping: what runs is being ended of 2 nodes" in asked.text
    ended = command.end()
    assert ended.code == 130, ended
    assert not slow.alive
    ground.settle()  # nothing else is left of it either
    seen = ground.seen()
    assert seen.run.state is RunState.SUSPENDED
    assert set(seen.states.values()) == {NodeState.PENDING}
    assert ground.held() == 2
    check_new_attempts(ground)


@pytest.mark.parametrize("how", ["killed", "detached"])
def test_kill_of_a_run_without_a_controller_ends_what_runs_on_the_hosts(ground, slow, how):
    command = begin(ground, slow)
    if how == "killed":
        command.kill()
    else:
        command.signal(signal.SIGHUP)
        assert command.end().code == 130
    run = ground.seen().run.id
    assert len(slow.alive) == 4

    asked = ground.opsflow("cancel", run)
    assert asked.code == 2, asked
    assert f"nobody drives run {run}" in asked.text
    assert f"opsflow resume {run}" in asked.text
    assert f"opsflow cancel {run} --kill" in asked.text
    assert len(slow.alive) == 4

    asked = ground.opsflow("cancel", run, "--kill")
    assert asked.code == 0, asked
    assert "ended what ran of 2 nodes" in asked.text
    assert not slow.alive
    seen = ground.seen()
    assert seen.run.state is RunState.SUSPENDED
    assert seen.states["slow@one"] is NodeState.PENDING
    check_new_attempts(ground)


def test_kill_names_a_host_that_does_not_answer_and_leaves_its_attempt_as_it_is(ground, slow):
    begin(ground, slow).kill()
    ground.fleet.kill("two")
    run = ground.seen().run.id
    asked = ground.opsflow("cancel", run, "--kill", "--output", "json")
    assert asked.code == 4, asked
    said = json.loads(asked.text)
    assert said["ended"] == ["slow@one"]
    assert list(said["unanswered"]) == ["slow@two"]
    seen = ground.seen()
    assert seen.states["slow@one"] is NodeState.PENDING
    assert seen.states["slow@two"] is NodeState.RUNNING
    assert seen.interrupted() == {"slow@two"}
    assert len(slow.alive) == 2  # it runs on

    ground.fleet.restart("two")
    asked = ground.opsflow("cancel", run, "--kill")
    assert asked.code == 0, asked
    assert not slow.alive
    check_new_attempts(ground)


def test_a_revert_that_is_killed_stays_to_be_made(ground):
    fails = '[[step]]\nid = "fails"\ntask = "command"\nhosts = "one"\nwith = { run = "exit 3", undo = "true" }\n'
    ground.playbook(step("first", "one", wait="undo") + fails)
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("undo first", "one")
    run = ground.seen().run.id
    assert ground.opsflow("cancel", run, "--kill").code == 0
    ended = command.end()
    seen = ground.seen()
    assert ended.code == 130, ended
    assert seen.run.state is RunState.SUSPENDED
    assert seen.states["first@one"] is NodeState.REVERTING
    assert ground.done("first", "one")
    ground.go("one")
    assert ground.quick("resume").code == 3
    seen = ground.seen()
    assert seen.run.state is RunState.ROLLED_BACK
    assert not ground.done("first", "one")
    assert ground.lines("one") == ["do first", "undo first", "undo first"]


def test_a_run_that_is_over_cannot_be_cancelled(ground):
    ground.playbook(step("first", "one"))
    assert ground.quick("apply", "play.toml", "--yes").code == 0
    ended = ground.quick("cancel", ground.seen().run.id, "--kill")
    assert ended.code == 2, ended
    assert "is over: it is succeeded" in ended.text


def test_a_run_that_failed_with_nothing_in_doubt_has_nothing_to_be_ended_and_takes_no_hold(ground):
    ground.playbook(step("first", "one", extra='on_failure = "continue"', with_="").replace("touch", "exit 3; touch"))
    assert ground.quick("apply", "play.toml", "--yes").code == 1
    before = ground.held()
    ended = ground.quick("cancel", ground.seen().run.id, "--kill")
    assert ended.code == 2, ended
    assert "has ended, it is failed: nothing of it runs" in ended.text
    assert ground.held() == before == 0
