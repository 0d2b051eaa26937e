"""What a run comes to, and the exit code that says so; and what can be done about it. On two real hosts.

130, interrupted, is in `test_interrupting.py`.
"""

import signal

import pytest
from command_line import eventually, step

FIRST = step("first", "echo x >> first", undo="rm -f first")
SECOND = step("second", "echo x >> second", undo="rm -f second")
FAILS = step("fails", "echo 'no such thing' >&2; exit 9", undo="true", hosts="two")
# Fails until somebody has put `permit` there.
WANTS_PERMIT = step("wants", "test -e permit && echo x >> wants", undo="rm -f wants")


def apply(project, playbook, *more, code=0):
    return project.opsflow("apply", playbook, "--yes", *more, code=code)


def test_0_a_run_that_succeeded_can_be_put_back(project):
    apply(project, project.playbook(FIRST, SECOND))
    assert project.files() == {"one": {"first": 1, "second": 1}, "two": {"first": 1, "second": 1}}
    run = project.show()
    assert run.state == "succeeded"

    project.opsflow("rollback", "--dry-run")
    assert project.show().state == "succeeded"
    project.opsflow("rollback", "--yes")

    assert project.files() == {"one": {}, "two": {}}
    assert project.show(run.id).state == "rolled_back"


def test_1_a_halted_run_leaves_all_as_it_is_and_is_resumed(project):
    playbook = project.playbook(FIRST, WANTS_PERMIT, SECOND)

    halted = apply(project, playbook, "--on-failure", "halt", code=1)

    run = project.show()
    assert run.state == "failed"
    assert f"opsflow resume {run.id}" in halted.err
    assert {run.states[f"second@{host}"] for host in ("one", "two")} == {"blocked"}
    assert project.files() == {"one": {"first": 1}, "two": {"first": 1}}

    for host in ("one", "two"):
        project.on(host, "permit").touch()
    project.opsflow("resume", run.id)

    assert project.show(run.id).state == "succeeded"
    done = {"permit": 0, "first": 1, "wants": 1, "second": 1}
    assert project.files() == {"one": done, "two": done}


def test_1_a_host_that_does_not_answer_is_found_before_anything_is_touched(project):
    """Also by a step that has nothing to look at."""
    project.fleet.kill("two")

    refused = apply(project, project.playbook(FIRST, SECOND), code=1)

    assert "cannot reach two" in refused.out
    assert "nothing was changed" in refused.err
    assert project.files()["one"] == {}
    assert project.opsflow("runs", "--output", "json").json == []


def test_2_every_mistake_is_found_with_its_place_before_any_host_is_connected(project):
    playbook = project.playbook(
        step("first", "true", hosts="al", changes=False),
        '[[step]]\nid = "second"\ntask = "comand"\nhosts = "all"\n',
        '[[step]]\nid = "third"\ntask = "command"\nhosts = "all"\n\n[step.with]\nrun = "true"\nspeed = "fast"\n',
    )

    refused = apply(project, playbook, code=2)

    lines = playbook.read_text().splitlines()
    for text, where in (("al", 'hosts = "al"'), ("comand", 'task = "comand"'), ("speed", 'speed = "fast"')):
        number = lines.index(where) + 1
        assert any(f"test.toml:{number}:" in said and text in said for said in refused.err.splitlines()), refused.err
    assert "nothing was done" in refused.err
    assert [project.fleet.connections(host) for host in ("one", "two")] == [0, 0]

    told = project.opsflow("apply", playbook, "--yes", "--output", "json", code=2)
    assert told.out == ""
    assert told.error["type"] == "InputError"
    assert {problem["line"] for problem in told.error["problems"]} == {
        lines.index(where) + 1 for where in ('hosts = "al"', 'task = "comand"', 'speed = "fast"')
    }
    assert project.opsflow("show", "nothing-like-it", "--output", "json", code=2).error["type"] == "UnknownRun"


def test_3_a_run_that_failed_and_was_put_back_says_what_failed_where(project):
    failed = apply(project, project.playbook(FIRST, FAILS, SECOND), code=3)

    assert project.files() == {"one": {}, "two": {}}
    run = project.show()
    assert run.state == "rolled_back"
    assert run.nodes["fails@two"]["attempts"][0]["exit_status"] == 9
    for part in ("fails", "two", "exit status 9", "no such thing", "test.toml:", f"opsflow show {run.id}"):
        assert part in failed.err


def test_4_a_revert_that_fails_needs_a_person_and_is_finished_later(project):
    undo = "test -e permit && rm -f stuck"
    playbook = project.playbook(FIRST, step("stuck", "echo x >> stuck", undo=undo, hosts="one"), FAILS)

    incomplete = apply(project, playbook, code=4)

    run = project.show()
    assert run.state == "rollback_incomplete"
    assert run.states["stuck@one"] == "revert_failed"
    assert f"opsflow rollback {run.id}" in incomplete.err
    # What is before it on that host stays, other hosts go on.
    assert project.files() == {"one": {"first": 1, "stuck": 1}, "two": {}}
    assert project.opsflow("resume", run.id, "--output", "json", code=2).error["type"] == "InputError"

    project.on("one", "permit").touch()
    project.opsflow("rollback", run.id, "--yes")

    assert project.files() == {"one": {"permit": 0}, "two": {}}
    assert project.show(run.id).state == "rolled_back"


def test_4_what_cannot_be_undone_stops_a_rollback_and_stays_with_all_before_it(project):
    playbook = project.playbook(FIRST, step("sent", "echo x >> sent"), SECOND, FAILS)

    assert "no `undo`" in apply(project, playbook, code=4).out

    run = project.show()
    assert run.state == "rollback_incomplete"
    left = {"one": {"first": 1, "sent": 1}, "two": {"first": 1, "sent": 1}}
    assert project.files() == left
    # Its hosts wait for a person, who decides that it stays so.
    assert f"opsflow rollback {run.id}, or" in apply(project, playbook, code=5).err
    apply(project, project.playbook(FIRST), "--abandon", run.id)


def test_3_what_cannot_be_undone_is_stepped_over_where_the_playbook_allows_it(project):
    playbook = project.playbook(FIRST, step("sent", "echo x >> sent", irreversible="allow"), SECOND, FAILS)
    apply(project, playbook, code=3)
    assert project.show().state != "rolled_back", "not every change was reverted"
    assert project.show().states["sent@one"] == "succeeded"
    assert project.files() == {"one": {"sent": 1}, "two": {"sent": 1}}


def halted(project):
    """Let a run fail without consequences."""
    apply(project, project.playbook(FIRST, WANTS_PERMIT, SECOND), "--on-failure", "halt", code=1)


def suspended(project):
    """Interrupt a run between two steps."""
    playbook = project.playbook(step("slow", "echo > began; sleep 1", undo="true", hosts="one"), SECOND)
    with project.started("apply", playbook, "--yes") as process:
        eventually(project.on("one", "began").exists, during=process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130


@pytest.mark.parametrize("leave_open", [halted, suspended])
def test_5_hosts_of_an_open_run_are_held_until_it_is_given_up(project, leave_open):
    leave_open(project)
    first = project.show().id
    other = project.playbook(step("other", "echo x >> other", undo="rm other", hosts="two"))

    held = apply(project, other, code=5)

    assert first in held.err
    assert f"--abandon {first}" in held.err
    error = apply(project, other, "--output", "json", code=5).error
    assert error["type"] == "HostsHeld"
    assert first in error["message"]
    assert not project.on("two", "other").exists()

    apply(project, other, "--abandon", first)
    assert project.on("two", "other").exists()


def test_5_a_run_is_not_put_back_under_a_later_one(project):
    playbook = project.playbook(FIRST)
    apply(project, playbook)
    first = project.show().id
    apply(project, playbook)
    second = project.show().id

    refused = project.opsflow("rollback", first, "--yes", "--output", "json", code=5).error
    assert second in refused["message"]
    assert "--force" in refused["hint"]
    assert project.files() == {"one": {"first": 2}, "two": {"first": 2}}

    project.opsflow("rollback", first, "--yes", "--force")
    assert project.files() == {"one": {}, "two": {}}


def test_6_without_a_journal_nothing_is_begun(project):
    playbook = project.playbook(FIRST)
    url = "mysql://operator:pass-word-of-the-journal@127.0.0.1:1/opsflow"

    told = apply(project, playbook, "--journal", url, code=6)
    error = apply(project, playbook, "--journal", url, "--output", "json", code=6).error

    assert error["type"] == "JournalUnavailable"
    assert "127.0.0.1" in error["message"]
    assert "pass-word-of-the-journal" not in told.out + told.err + str(error)
    assert project.files() == {"one": {}, "two": {}}


def test_7_without_a_terminal_nobody_can_say_yes(project):
    playbook = project.playbook(FIRST)

    told = project.opsflow("apply", playbook, code=7)

    assert "--yes" in told.err
    assert "first" in told.out, "the plan was not shown"
    assert project.opsflow("apply", playbook, "--output", "json", code=7).error["type"] == "ApprovalNeeded"
    assert project.files() == {"one": {}, "two": {}}
    assert project.opsflow("runs", "--output", "json").json == []

    apply(project, playbook)
    project.opsflow("rollback", code=7)
    assert project.files() == {"one": {"first": 1}, "two": {"first": 1}}
