import json
import os
import signal

import pytest

NOTES = "playbooks/notes.toml"


def test_yes_at_the_question_runs(project, terminal):
    screen = terminal("apply", NOTES)
    screen.wait_for("Apply this plan? [y/N] ")
    assert "\x1b[32m" in screen.shown
    screen.type("y\n")
    assert screen.end() == 0
    assert "2 succeeded" in screen.shown
    assert "to change" in screen.shown
    assert (project / "second.txt").exists()


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"])
def test_any_other_answer_does_not(project, terminal, answer):
    screen = terminal("apply", NOTES)
    screen.wait_for("[y/N] ")
    screen.type(answer)
    assert screen.end() == 1
    assert "nothing was changed" in screen.shown
    assert not (project / "first.txt").exists()


def test_ctrl_c_at_the_question_interrupts(project, terminal):
    screen = terminal("apply", NOTES)
    screen.wait_for("[y/N] ")
    screen.type("\x03")
    assert screen.end() == 130
    assert not (project / "first.txt").exists()


def test_ctrl_c_waits_for_what_runs_and_the_run_can_be_resumed(project, terminal, opsflow):
    screen = terminal("apply", "playbooks/slow.toml", "--yes")
    screen.wait_for("first@localhost  0.")
    screen.type("\x03")
    assert screen.end() == 130
    assert "stopping" in screen.shown
    assert "next: " in screen.shown
    assert "opsflow resume" in screen.shown
    assert (project / "first.txt").exists()
    assert not (project / "second.txt").exists()
    assert opsflow("resume").code == 0
    assert (project / "second.txt").exists()


def test_a_hang_up_detaches_and_leaves_the_run_suspended(project, terminal, opsflow):
    screen = terminal("apply", "playbooks/slow.toml", "--yes")
    screen.wait_for("first@localhost  0.")
    screen.hang_up()
    assert screen.end() == 130
    assert json.loads(opsflow("runs", "--output", "json").out)[0]["state"] == "suspended"


def test_sigterm_is_like_a_hang_up(project, terminal):
    screen = terminal("apply", "playbooks/slow.toml", "--yes")
    screen.wait_for("first@localhost  0.")
    os.kill(screen.process.pid, signal.SIGTERM)
    assert screen.end() == 130
    assert "opsflow resume" in screen.shown


def test_no_color_has_no_colours(project, terminal):
    screen = terminal("apply", NOTES, "--yes", "--no-color")
    assert screen.end() == 0
    assert "\x1b[32m" not in screen.shown


def test_the_password_of_sudo_is_asked_for_once_and_not_shown(project, terminal):
    screen = terminal("apply", NOTES, "-K")
    screen.wait_for("password for sudo: ")
    screen.type("hunter-2\n")
    screen.wait_for("Apply this plan? [y/N] ")
    screen.type("y\n")
    assert screen.end() == 0
    assert screen.shown.count("password") == 1
    assert "hunter" not in screen.shown


@pytest.mark.parametrize("answer", ["\n", "\x04"])
def test_no_password_is_an_error(project, terminal, answer):
    screen = terminal("resume", "--ask-become-pass")
    screen.wait_for("password for sudo: ")
    screen.type(answer)
    assert screen.end() == 2
    assert "no password for sudo was given" in screen.shown


@pytest.mark.parametrize("command", [("plan", NOTES), ("apply", NOTES), ("resume",), ("rollback",)])
def test_without_a_terminal_no_password_can_be_asked_for(project, opsflow, command):
    ended = opsflow(*command, "-K")
    assert ended.code == 7
    assert "nobody at the terminal" in ended.err
    assert "become_password" in ended.err
