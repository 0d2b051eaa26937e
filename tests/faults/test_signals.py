"""Ctrl-C once and twice, SIGTERM, a terminal that is closed: forward and in a rollback."""

import os
import pty
import signal
import subprocess

import pytest
from fault_ground import OPSFLOW, PATIENCE
from fault_play import FAILS, WAIT, broken, step

from opsflow.model import NodeState, RunState

FORWARD = step("first", wait="do", with_='creates = "first.done"') + step("second")
BACK = step("zero") + step("first", wait="undo") + FAILS
DETACHING = {
    "Ctrl-C twice": [signal.SIGINT, signal.SIGINT],
    "SIGTERM": [signal.SIGTERM],
    "SIGHUP": [signal.SIGHUP],
}


class Terminal:
    """`opsflow ...` on a terminal of its own, which can be closed."""

    def __init__(self, ground, *arguments):
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            ["setsid", "--ctty", OPSFLOW, *arguments],
            cwd=ground.project,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=os.environ | {"TERM": "xterm"},
        )
        os.close(slave)

    def close(self):
        """Close the terminal; the exit code of what ran on it."""
        os.close(self._master)
        return self.process.wait(PATIENCE)


def check_suspended(ground, ended):
    seen = ground.seen()
    assert ended.code == 130, ended
    assert seen.run.state is RunState.SUSPENDED
    assert seen.run.exit_code == 130
    assert f"opsflow resume {seen.run.id}" in ended.text
    assert ground.held() == 2
    return seen


def check_forward(ground):
    assert ground.quick("resume").code == 0
    assert not broken(ground, ground.seen(), 0)
    for host in ground.fleet.names:
        assert ground.lines(host) == ["do first", "do second"]


def check_back(ground, undone):
    ended = ground.quick("resume")
    assert ended.code == 3, ended
    seen = ground.seen()
    assert not broken(ground, seen, 3)
    assert seen.run.state is RunState.ROLLED_BACK
    for host in ground.fleet.names:
        assert ground.lines(host) == ["do zero", "do first", *["undo first"] * undone, "undo zero"]


def begin(ground, line):
    """Start the playbook; both hosts have written the line, and wait, when this returns."""
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_line(line)
    return command


def send(command, signals):
    """Send signals; a second Ctrl-C once the first one was noticed."""
    for n, number in enumerate(signals):
        if n:
            command.wait_for("stopping")
        command.signal(number)


def test_once_waits_for_what_runs_and_starts_nothing_more(ground):
    ground.playbook(FORWARD)
    command = begin(ground, "do first")
    command.signal(signal.SIGINT)
    command.wait_for("stopping")
    assert command.process.poll() is None
    ground.go()
    seen = check_suspended(ground, command.end())
    assert ground.done("first", "one")
    assert ground.done("first", "two")
    assert {node.state for node in seen.nodes.values()} == {NodeState.SUCCEEDED, NodeState.PENDING}
    check_forward(ground)


@pytest.mark.parametrize("signals", DETACHING.values(), ids=list(DETACHING))
def test_detaching_leaves_commands_to_themselves(ground, signals):
    ground.playbook(FORWARD)
    command = begin(ground, "do first")
    send(command, signals)
    seen = check_suspended(ground, command.end())
    assert seen.interrupted() == {"first@one", "first@two"}
    ground.go()
    ground.wait_done("first", "one")
    ground.wait_done("first", "two")
    check_forward(ground)


def test_a_closed_terminal_detaches(ground):
    ground.playbook(FORWARD)
    terminal = Terminal(ground, "apply", "play.toml", "--yes")
    ground.wait_line("do first")
    assert terminal.close() == 130
    seen = ground.seen()
    assert seen.run.state is RunState.SUSPENDED
    assert seen.interrupted() == {"first@one", "first@two"}
    ground.go()
    ground.wait_done("first", "one")
    ground.wait_done("first", "two")
    check_forward(ground)


def test_once_in_a_rollback_waits_for_what_is_being_reverted(ground):
    ground.playbook(BACK)
    command = begin(ground, "undo first")
    command.signal(signal.SIGINT)
    command.wait_for("stopping")
    ground.go()
    seen = check_suspended(ground, command.end())
    assert {seen.states[f"first@{host}"] for host in ("one", "two")} == {NodeState.REVERTED}
    check_back(ground, undone=1)


@pytest.mark.parametrize("signals", DETACHING.values(), ids=list(DETACHING))
def test_detaching_in_a_rollback_lets_the_resume_finish_it(ground, signals):
    ground.playbook(BACK)
    command = begin(ground, "undo first")
    send(command, signals)
    check_suspended(ground, command.end())
    assert ground.done("first", "one")
    ground.go()
    ground.settle()
    assert not ground.done("first", "one")
    check_back(ground, undone=2)  # called again after an interruption, which it has to stand


def test_a_resume_remembers_what_was_rolled_back_before_it_was_stopped(ground):
    scope = 'per = "host"\nrollback_scope = "host"\n'
    ground.playbook(
        step("first", "one", wait="do", extra=scope, with_='creates = "first.done"')
        + step("second", "two", extra="needs = []\n" + scope)
        + FAILS
        + scope
    )
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("do first", "one")
    ground.wait_line("undo second", "two")
    command.wait_for("reverted  second@two")
    command.signal(signal.SIGTERM)
    check_suspended(ground, command.end())
    ground.go()
    ground.settle()
    ended = ground.quick("resume")
    seen = ground.seen()
    assert ended.code == 3, (ended, seen.states)
    assert seen.states["first@one"] is NodeState.SUCCEEDED
    assert seen.states["second@two"] is NodeState.REVERTED
    assert not broken(ground, seen, 3)


def test_before_anything_is_changed_a_signal_changes_nothing(ground):
    ground.playbook(step("first", with_=f'unless = "echo asked >> asked; {WAIT}false"'))
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_file("asked", "one")
    command.signal(signal.SIGINT)
    ground.go()
    ended = command.end()
    assert ended.code == 130, ended
    assert ground.runs() == 0
    assert ground.lines("one") == []
