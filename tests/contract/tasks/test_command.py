import json

import pytest
from pydantic import ValidationError

from opsflow import CommandFailed, TaskFailed
from opsflow.model import Action
from opsflow_tasks import command


def test_outputs_hold_what_it_said_without_the_last_newline(drive):
    outputs = drive(command, run="echo out; echo err >&2").apply()
    assert outputs == {"stdout": "out", "stderr": "err", "exit_status": 0, "truncated": False}


def test_without_undo_it_is_irreversible_and_a_revert_says_so(drive):
    task = drive(command, run="true")
    preview = task.plan()
    assert (preview.reversible, preview.why) == (False, "no `undo`")
    with pytest.raises(TaskFailed, match="no `undo`"):
        task.revert(preview)


def test_a_check_changes_nothing_and_is_not_run_by_the_plan(drive, home):
    task = drive(command, run="touch ran", changes=False)
    preview = task.plan()
    assert (preview.action, preview.reversible, preview.summary) == (Action.CHANGE, True, "check: touch ran")
    assert not (home / "ran").exists()
    task.execute(preview)
    task.revert(preview)
    assert (home / "ran").exists()


def test_plan_without_conditions_asks_nothing(drive):
    task = drive(command, run="true", undo="true")
    task.plan()
    assert task.transport.trips == 0
    task.apply()
    assert task.transport.trips == 1


@pytest.mark.parametrize(
    ("condition", "because"),
    [
        ({"creates": "made"}, "made exists"),
        ({"removes": "gone"}, "gone does not exist"),
        ({"unless": "test -e made"}, "`unless` is satisfied"),
    ],
)
def test_conditions_that_hold_leave_nothing_to_do(drive, home, condition, because):
    (home / "made").touch()
    task = drive(command, run="echo no", **condition)
    preview = task.plan()
    assert (preview.action, preview.summary) == (Action.UNCHANGED, because)
    assert preview.outputs == {"stdout": "", "stderr": "", "exit_status": 0, "truncated": False}
    assert task.transport.trips == 1


@pytest.mark.parametrize("condition", [{"creates": "made"}, {"removes": "gone"}, {"unless": "test -e made"}])
def test_conditions_that_do_not_hold_leave_it_to_do(drive, home, condition):
    (home / "gone").touch()
    assert drive(command, run="true", **condition).plan().action is Action.CHANGE


def test_everything_happens_in_cwd(drive, home):
    (home / "sub dir").mkdir()
    task = drive(command, run="touch made", undo="rm -f made", creates="made", cwd="sub dir")
    preview = task.plan()
    task.execute(preview)
    assert (home / "sub dir/made").exists()
    assert task.plan().action is Action.UNCHANGED
    for _ in range(2):
        task.revert(preview)
        assert not (home / "sub dir/made").exists()


def test_a_missing_cwd_fails_in_the_plan(drive):
    preview = drive(command, run="true", creates="x", cwd="nowhere").plan()
    assert preview.action is Action.FAIL
    assert "nowhere" in preview.why


def test_secrets_reach_it_by_environment_and_input_and_are_masked(drive):
    task = drive(
        command,
        run='cat; echo; printf %s "$TOKEN" | wc -c; echo "$TOKEN"',
        env={"TOKEN": {"$secret": "env:T"}, "PLAIN": "x"},
        input={"$secret": "env:I"},
    )
    task.secrets.update({"env:T": "tokentoken", "env:I": "inputinput"})
    assert task.apply()["stdout"] == "***\n10\n***"


def test_literal_input_and_environment_are_passed(drive):
    assert drive(command, run='cat; echo "$A"', env={"A": "b c"}, input="in\n").apply()["stdout"] == "in\nb c"


def test_a_failure_carries_status_and_stderr(drive):
    with pytest.raises(CommandFailed) as failure:
        drive(command, run="echo why >&2; exit 5").apply()
    assert (failure.value.exit_status, failure.value.stderr) == (5, "why")


@pytest.mark.parametrize("character", ["x", "é", "\\001"])
def test_long_output_is_cut_to_what_outputs_may_hold(drive, character):
    outputs = drive(command, run=f"head -c 400000 /dev/zero | sed 's/\\x00/{character}/g' | tee /dev/stderr").apply()
    assert outputs["truncated"]
    assert len(outputs["stdout"]) > 10_000
    assert len(json.dumps(outputs)) < 256 * 1024


def test_an_interrupted_command_is_undone(drive, home):
    task = drive(command, run="touch made", undo="rm -f made", creates="made")
    for interrupted in task.interruptions(1):
        preview = task.plan()
        interrupted(preview)
        task.revert(preview)
        task.revert(preview)
        assert not (home / "made").exists()


def test_summary_is_one_short_line(drive):
    summary = drive(command, run="set -e\n" + "echo a long line;" * 20).plan().summary
    assert "\n" not in summary
    assert len(summary) < 70


def test_a_misspelt_parameter_is_refused():
    with pytest.raises(ValidationError, match="creats"):
        command.params().model_validate({"run": "true", "creats": "x"})


def test_every_parameter_is_described():
    properties = command.params().model_json_schema()["properties"]
    assert all(field.get("description") for field in properties.values())


def test_the_module_itself_is_not_idempotent():
    assert not getattr(command, "idempotent", False)
