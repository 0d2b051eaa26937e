"""`--accept-changes`: the run goes on with what its files say now, and nothing that is done is done again."""

import os
import subprocess
import sys
import textwrap

import pytest

from opsflow import app
from opsflow.errors import HostsHeld, InputError, PlanDrift
from opsflow.events import PlanChanged
from opsflow.journal import SqlJournal
from opsflow.model import Mark, NodeState, RunState

FAILS = ("two", "web-1", 'on_failure = "halt"', "fail = true")
LOG = '''
"""Say in a file of the control machine what is done, and with what."""
from pathlib import Path
from pydantic import BaseModel

from opsflow import Preview, TaskFailed, hookimpl


class Params(BaseModel):
    say: str = ""
    fail: bool = False
    hang: bool = False


@hookimpl
def params():
    return Params


@hookimpl
def plan(params):
    return Preview.change("say it")


@hookimpl
def execute(ctx, params):
    _say(ctx, "does", params.say)
    if params.hang:
        ctx.run("echo > began; while test ! -e go; do sleep 0.05; done")
        _say(ctx, "did", params.say)
    if params.fail:
        raise TaskFailed("as told")
    return {"said": params.say}


@hookimpl
def revert(ctx, params, outputs):
    _say(ctx, "reverts", params.say, ctx.vars.get("who", ""))


def _say(ctx, *what):
    with (ctx.project / "log").open("a") as log:
        log.write(" ".join((ctx.node, *what)).strip() + "\\n")
'''


@pytest.fixture
def halted(project):
    project.steps(("one", "web"), FAILS, ("three", "web"))
    assert project.apply().exit_code == 1
    project.mend()
    return project


@pytest.fixture
def logged(project):
    """A project whose task says what it does, and with what."""
    (project.directory / "plugins" / "log.py").write_text(LOG)

    def steps(*found, head=""):
        text = head
        for id_, hosts, more, params in found:
            text += f'[[step]]\nid = "{id_}"\ntask = "log"\nhosts = "{hosts}"\n{more}\nwith = {{ {params} }}\n'
        project.playbook(text)

    def log():
        path = project.directory / "log"
        found = path.read_text().splitlines() if path.exists() else []
        path.write_text("")
        return found

    project.says, project.log = steps, log
    return project


def states(project):
    return {node.id: node.state.value for node in project.show().nodes}


def told(project):
    (event,) = [event for event in project.events if isinstance(event, PlanChanged)]
    project.events.clear()
    return event


def later_plans(project):
    journal = SqlJournal.open(project.settings.journal)
    try:
        return [later.number for later in journal.later_plans(project.show().run.id)]
    finally:
        journal.close()


def test_nothing_is_written_down_if_nothing_has_changed(halted):
    assert halted.resume(accept_changes=True).exit_code == 0
    assert later_plans(halted) == []
    assert not [event for event in halted.events if isinstance(event, PlanChanged)]


def test_the_run_goes_on_with_what_the_files_say_now(logged):
    logged.says(
        ("one", "web", "", 'say = "old"'),
        ("two", "web-1", 'on_failure = "halt"', "fail = true"),
        ("three", "web", "", ""),
    )
    assert logged.apply().exit_code == 1
    run = logged.show().run
    logged.log()
    logged.says(
        ("one", "web", "", 'say = "new"'),
        ("two", "web-1", 'on_failure = "halt"', 'say = "new"'),
        ("four", "web-2", "", ""),
    )

    with pytest.raises(PlanDrift) as refused:
        logged.resume()
    assert "1 joins the run, 2 are begun no more, 2 are done and would be done otherwise now" in refused.value.hint
    summary = logged.resume(accept_changes=True)

    assert (summary.exit_code, summary.run_id) == (0, run.id)
    assert logged.log() == ["two@web-1 does new", "four@web-2 does"]
    assert states(logged) == {
        "one@web-1": "succeeded", "one@web-2": "succeeded", "two@web-1": "succeeded",
        "three@web-1": "skipped", "three@web-2": "skipped", "four@web-2": "succeeded",
    }  # fmt: skip
    event = told(logged)
    assert event.added == ("four@web-2",)
    assert event.removed == ("three@web-1", "three@web-2")
    assert event.kept == ("one@web-1", "one@web-2")
    assert [d.names for d in event.differences] == [("three",), ("four",), ("one",), ("two",), ("two",)]
    assert logged.show().run.fingerprint != run.fingerprint
    assert later_plans(logged) == [1]


def test_what_was_done_by_an_earlier_plan_is_put_back_as_it_was_done(logged):
    logged.says(
        ("one", "web-1", 'vars = { who = "old" }', 'say = "old"'),
        ("gone", "web-1", 'vars = { who = "gone" }', ""),
        ("two", "web-1", 'on_failure = "halt"', "fail = true"),
    )
    logged.apply()
    logged.says(
        ("one", "web-1", 'vars = { who = "new" }', 'say = "new"'),
        ("two", "web-1", 'on_failure = "halt"', ""),
        ("new", "web-1", 'vars = { who = "new" }', 'say = "new"'),
    )
    logged.resume(accept_changes=True)
    logged.log()

    assert logged.rollback().exit_code == 0

    # `two` was tried twice; what came after something is put back before it, by whichever plan it came so.
    found = logged.log()
    assert sorted(found) == [
        "gone@web-1 reverts  gone",
        "new@web-1 reverts new new",
        "one@web-1 reverts old old",
        "two@web-1 reverts",
        "two@web-1 reverts",
    ]
    assert [line.split("@")[0] for line in found] == ["new", "two", "two", "gone", "one"]
    assert logged.show().run.state is RunState.ROLLED_BACK


def test_a_failure_after_a_change_puts_all_of_it_back(logged):
    logged.says(
        ("one", "web-1", "", ""), ("gone", "web-2", "", ""), ("two", "web-1", 'on_failure = "halt"', "fail = true")
    )
    logged.apply()
    logged.says(
        ("one", "web-1", "", ""), ("two", "web-1", 'on_failure = "halt"', ""), ("bad", "web-2", "", "fail = true")
    )
    logged.log()
    assert logged.resume(accept_changes=True).exit_code == 3
    assert [line.split()[0] for line in logged.log() if "reverts" in line] == [
        "bad@web-2",
        "two@web-1",
        "two@web-1",
        "gone@web-2",
        "one@web-1",
    ]


def test_a_host_that_joins_is_held_and_one_that_goes_is_begun_no_more(halted):
    fleet = halted.directory / "inventories" / "fleet.toml"
    fleet.write_text(fleet.read_text().replace('"web-2"]', '"web-3"]'))
    (halted.directory / "fail").touch()
    assert halted.resume(accept_changes=True).exit_code == 1
    assert states(halted) == {
        "one@web-1": "succeeded", "one@web-2": "succeeded", "two@web-1": "failed", "three@web-1": "blocked",
        "three@web-2": "skipped", "one@web-3": "succeeded", "three@web-3": "pending",
    }  # fmt: skip
    halted.steps(("other", "web-3"), name="other")
    with pytest.raises(HostsHeld, match="web-3"):
        halted.apply("other")
    halted.mend()
    assert halted.resume().exit_code == 0
    assert "three@web-3" in halted.lines
    assert "three@web-2" not in halted.lines


def test_a_host_that_another_run_holds_cannot_join(halted):
    halted.steps(("other", "db-1", 'on_failure = "halt"', "fail = true"), name="other")
    (halted.directory / "fail").touch()
    halted.apply("other")
    halted.mend()
    run = next(run.id for run in app.runs(halted.settings) if run.playbook == "play")
    halted.steps(("one", "web"), FAILS, ("three", "all"))
    before = halted.show(run)
    with pytest.raises(HostsHeld, match="db-1"):
        halted.resume(run, accept_changes=True)
    assert halted.show(run) == before
    with pytest.raises(PlanDrift):
        halted.resume(run)


def test_changes_can_be_accepted_again_and_again_and_what_was_taken_out_can_come_back(halted):
    (halted.directory / "fail").touch()
    halted.steps(("one", "web"), FAILS)
    assert halted.resume(accept_changes=True).exit_code == 1
    assert states(halted)["three@web-1"] == "skipped"
    halted.steps(("one", "web"), FAILS, ("three", "web"), ("four", "web-1"))
    halted.mend()
    assert halted.resume(accept_changes=True).exit_code == 0
    assert set(states(halted).values()) == {"succeeded"}
    assert later_plans(halted) == [1, 2]
    assert halted.rollback().exit_code == 0
    assert halted.lines == []


def test_a_step_that_failed_can_be_taken_out(halted):
    (halted.directory / "fail").touch()
    halted.steps(("one", "web"), ("three", "web"))
    summary = halted.resume(accept_changes=True)
    assert (summary.exit_code, summary.state) == (0, RunState.SUCCEEDED)
    assert states(halted)["two@web-1"] == "skipped"


def test_what_newly_needs_something_that_was_put_back_is_blocked(project):
    head = 'flow = "graph"\n'
    text = '[[step]]\nid = "{}"\ntask = "line"\nhosts = "web-1"\n{}\nwith = {{ file = "lines", fail = {} }}\n'
    bad = text.format("bad", 'on_failure = "halt"', "true")
    project.playbook(head + bad + text.format("waits", 'needs = ["bad"]', "false"))
    assert project.apply().exit_code == 1
    app.mark(project.show().run.id, "bad@web-1", Mark.REVERTED, project.settings, why="by hand")
    project.mend()
    project.playbook(head + bad + text.format("new", 'needs = ["bad"]', "false") + text.format("other", "", "false"))
    assert project.resume(accept_changes=True).exit_code == 1
    assert states(project) == {
        "bad@web-1": "reverted", "waits@web-1": "skipped", "new@web-1": "blocked", "other@web-1": "succeeded",
    }  # fmt: skip
    assert project.lines == ["other@web-1"]


def test_an_order_that_is_turned_round_is_refused_and_the_run_stays_as_it_is(halted):
    before = halted.show()
    halted.steps(FAILS, ("one", "web"), ("three", "web"))
    with pytest.raises(InputError, match="turned round"):
        halted.resume(accept_changes=True)
    assert halted.show() == before


def test_a_scope_that_was_rolled_back_cannot_be_left(project):
    text = """
        [[step]]
        id = "one"
        task = "line"
        hosts = "web"
        rollback_scope = "{scope}"
        per = "host"
        with = {{ file = "lines" }}
        [[step]]
        id = "two"
        task = "line"
        hosts = "web-1"
        rollback_scope = "{scope}"
        per = "host"
        with = {{ file = "lines", fail = true }}
        [[step]]
        id = "other"
        task = "line"
        hosts = "web-2"
        rollback_scope = "host"
        on_failure = "halt"
        per = "host"
        needs = ["one"]
        with = {{ file = "lines", fail = true }}
        """
    project.playbook(text.format(scope="host"))
    assert project.apply().exit_code == 1
    assert project.show().rollbacks[0].scope == "host=web-1"
    project.mend()
    project.playbook(text.format(scope="run"))
    with pytest.raises(InputError, match="part of the run was rolled back"):
        project.resume(accept_changes=True)
    project.playbook(text.format(scope="host").replace("fail = true", "fail = false"))
    project.resume(accept_changes=True)
    found = states(project)
    assert (found["one@web-1"], found["two@web-1"]) == ("reverted", "reverted")
    assert found["other@web-2"] == "succeeded"


def test_a_plugin_that_was_mended_finishes_a_rollback(project):
    project.steps(("one", "web-1"), ("two", "web-1", "", "fail = true"))
    plugin = project.directory / "plugins" / "line.py"
    text = plugin.read_text()
    plugin.write_text(
        text.replace("def revert(ctx, params):", "def revert(ctx, params):\n    raise TaskFailed('a bug')")
    )
    assert project.apply().exit_code == 4
    plugin.write_text(text)
    with pytest.raises(PlanDrift, match="task line"):
        project.rollback()
    assert project.rollback(accept_changes=True).exit_code == 0
    assert project.lines == []


def test_changed_files_do_not_matter_to_a_run_that_only_goes_back(logged):
    logged.says(("one", "web-1", "", ""), ("two", "web-1", "", "fail = true"))
    (logged.directory / "plugins" / "log.py").write_text(
        LOG.replace('"reverts", params.say', '"reverts", params.say, str(1 / 0)')
    )
    assert logged.apply().exit_code == 4
    logged.says(("other", "web-1", "", ""))
    with pytest.raises(InputError, match="never goes forward again"):
        logged.resume()
    (logged.directory / "plugins" / "log.py").write_text(LOG)
    with pytest.raises(PlanDrift, match="task log"):
        logged.rollback()
    assert logged.rollback(accept_changes=True).exit_code == 0


KILLED = """
import os, sys
from pathlib import Path
from opsflow import app
from opsflow.engine.run import Run
{trap}
project = Path(sys.argv[1])
request = app.Request(playbook=project / "playbooks" / "play.toml", inventory="fleet")
if sys.argv[2] == "apply":
    app.apply(request, app.settings(project), [], confirm=None)
else:
    app.resume(None, app.settings(project), [], accept_changes=True)
"""


def _dies(project, command, trap):
    script = KILLED.format(trap=textwrap.dedent(trap))
    done = subprocess.run(
        [sys.executable, "-c", script, str(project.directory), command],
        check=False,
        capture_output=True,
        timeout=120,
        env=os.environ | {"HOME": str(project.directory)},
    )
    assert done.returncode == 7, done.stderr.decode()


@pytest.mark.parametrize("place", ["before", "after"])
def test_dying_around_the_commit_loses_nothing(halted, place):
    halted.steps(("one", "web"), FAILS, ("new", "web"))
    _dies(
        halted,
        "resume",
        f"""
        import opsflow.engine.replan as replan
        import opsflow.app.resuming as resuming
        def dying(*args, **more):
            {"replan.replan(*args, **more)" if place == "after" else "pass"}
            os._exit(7)
        resuming.replan = dying
        """,
    )
    assert later_plans(halted) == ([1] if place == "after" else [])
    assert halted.lines == ["one@web-1", "one@web-2"]
    assert halted.resume(accept_changes=place == "before").exit_code == 0
    assert states(halted) == {
        "one@web-1": "succeeded", "one@web-2": "succeeded", "two@web-1": "succeeded", "three@web-1": "skipped",
        "three@web-2": "skipped", "new@web-1": "succeeded", "new@web-2": "succeeded",
    }  # fmt: skip


@pytest.mark.parametrize("removed", [False, True])
def test_an_attempt_that_nobody_saw_end_is_followed_as_it_was_begun(logged, removed):
    logged.says(
        ("one", "web-1", 'on_failure = "halt"\nretry = { attempts = 3 }', 'say = "old", hang = true, fail = true'),
        ("two", "web-1", "", ""),
    )
    _dies(
        logged,
        "apply",
        """
        import threading, time
        def dying():
            while not (Path(sys.argv[1]) / "began").exists():
                time.sleep(0.02)
            os._exit(7)
        threading.Thread(target=dying, daemon=True).start()
        """,
    )
    assert states(logged) == {"one@web-1": "running", "two@web-1": "pending"}
    (logged.directory / "go").touch()
    first = () if removed else (("one", "web-1", "retry = { attempts = 3 }", 'say = "new"'),)
    logged.says(*first, ("two", "web-1", "", 'say = "new"'))
    logged.log()
    os.environ["HOME"], home = str(logged.directory), os.environ["HOME"]
    try:
        logged.resume(accept_changes=True)
        log = logged.log()
        # The attempt goes on as it was begun, to its end; another one is made only by the new plan.
        assert log[:2] == ["one@web-1 does old", "one@web-1 did old"]
        if not removed:
            assert log[2:] == ["one@web-1 does new", "two@web-1 does new"]
            assert states(logged) == {"one@web-1": "succeeded", "two@web-1": "succeeded"}
        else:
            assert log[2:] == ["two@web-1 does new"]
            assert states(logged) == {"one@web-1": "failed", "two@web-1": "succeeded"}
            assert logged.resume().exit_code == 0
            assert states(logged) == {"one@web-1": "skipped", "two@web-1": "succeeded"}
            assert logged.rollback().exit_code == 0
            assert "one@web-1 reverts old" in logged.log()
    finally:
        os.environ["HOME"] = home


def test_a_run_whose_plan_another_process_changed_is_not_driven_by_the_plan_that_was_seen(halted, monkeypatch):
    from opsflow.app import resuming

    halted.steps(("one", "web"), FAILS, ("new", "web"))
    taking = resuming._taken

    def late(record, journal, refuse):
        monkeypatch.setattr(resuming, "_taken", taking)
        (halted.directory / "fail").touch()
        halted.resume(accept_changes=True)
        halted.mend()
        return taking(record, journal, refuse)

    monkeypatch.setattr(resuming, "_taken", late)
    with pytest.raises(InputError, match="another process has just changed the plan"):
        halted.resume(accept_changes=True)
    assert halted.resume().exit_code == 0
    assert later_plans(halted) == [1]
    assert NodeState.PENDING.value not in states(halted).values()
