import json

import pytest

from opsflow import errors
from opsflow.cli.ending import ending


def raising(error):
    def call():
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InputError("wrong"), 2),
        (errors.UnknownRun("wrong"), 2),
        (errors.PlanDrift("wrong", differences=()), 2),
        (errors.NotDone("wrong"), 2),
        (errors.HostsHeld("wrong", holders={}), 5),
        (errors.JournalUnavailable("wrong"), 6),
        (errors.JournalTooNew("wrong"), 6),
        (errors.JournalConflict("wrong"), 6),
        (errors.ApprovalNeeded("wrong"), 7),
        (errors.TaskFailed("wrong"), 1),
        (KeyboardInterrupt(), 130),
        (RuntimeError("wrong"), 1),
    ],
)
@pytest.mark.parametrize("machine", [True, False])
def test_every_error_has_its_exit_code_and_no_traceback(capsys, error, code, machine):
    assert ending(raising(error), machine=machine, debug=False) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    if machine and captured.err:
        assert "wrong" in json.loads(captured.err)["error"]["message"]


def test_the_command_decides_otherwise():
    assert ending(lambda: 3, machine=False, debug=False) == 3


def test_an_error_says_what_to_do(capsys):
    ending(raising(errors.UnknownRun("no run `x`", hint="opsflow runs")), machine=False, debug=False)
    assert capsys.readouterr().err == "error: no run `x`\nhint: opsflow runs\n"


def test_problems_with_a_place_are_shown_as_editors_read_them(capsys):
    where = errors.Position(file="p.toml", line=3, column=5)
    found = [
        errors.Problem(message="no such task", position=where, line="    task"),
        errors.Problem(message="no hosts"),
    ]
    ending(raising(errors.InputError(found)), machine=False, debug=False)
    assert capsys.readouterr().err == (
        "p.toml:3:5: no such task\n        task\n        ^\nno hosts\nerror: 2 problems, nothing was done\n"
    )


def test_errors_cannot_steer_the_terminal(capsys):
    ending(raising(errors.TaskFailed("\x1b[2Jx", hint="\x07")), machine=False, debug=False)
    assert capsys.readouterr().err == "error: \\x1b[2Jx\nhint: \\x07\n"


def test_a_bug_is_one_line_unless_debugged(capsys):
    assert ending(raising(RuntimeError("two\nlines")), machine=False, debug=False) == 1
    assert capsys.readouterr().err == "internal error: RuntimeError: two lines; run with --debug\n"
    ending(raising(RuntimeError("boom")), machine=False, debug=True)
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("internal error: RuntimeError: boom\n")


def test_a_bug_is_json_for_programs(capsys):
    ending(raising(RuntimeError("boom")), machine=True, debug=False)
    assert json.loads(capsys.readouterr().err)["error"] == {
        "type": "RuntimeError",
        "message": "internal error: RuntimeError: boom",
        "hint": "run with --debug",
        "problems": [],
    }
