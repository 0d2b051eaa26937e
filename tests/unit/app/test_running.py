"""The use cases that work on hosts: what they do, and what they refuse."""

import pytest

from opsflow import app
from opsflow.errors import ApprovalNeeded, HostsHeld, InputError, PlanDrift, UnknownRun
from opsflow.journal import SqlJournal
from opsflow.model import Action, NodeState, RunState

FAILS = ("two", "web-1", 'on_failure = "halt"', "fail = true")


def asked(answer, log=None):
    def confirm(question):
        if log is not None:
            log.append(question)
        return answer

    return confirm


# Preview and apply


def test_a_preview_changes_nothing_and_leaves_no_run(project):
    project.steps(("one", "web"))
    summary = project.preview()
    assert summary.exit_code == 0
    assert [(n.node, n.action) for n in summary.planned] == [
        ("one@web-1", Action.CHANGE),
        ("one@web-2", Action.CHANGE),
    ]
    assert project.lines == []
    assert not (project.directory / ".opsflow").exists()


def test_apply_previews_asks_runs_and_sums_up(project):
    project.steps(("one", "web"))
    questions = []
    summary = project.apply(confirm=asked(True, questions))
    assert len(questions) == 1
    assert (summary.exit_code, summary.state) == (0, RunState.SUCCEEDED)
    assert summary.counts == {NodeState.SUCCEEDED: 2}
    assert project.lines == ["one@web-1", "one@web-2"]
    assert project.show().run.id == summary.run_id
    kinds = [type(e).__name__ for e in project.events]
    assert kinds[:2] == ["NodePlanned"] * 2
    assert (kinds[2], kinds[-1]) == ("RunStarted", "RunFinished")


def test_a_no_changes_nothing(project):
    project.steps(("one", "web"))
    summary = project.apply(confirm=asked(False))
    assert (summary.exit_code, summary.run_id) == (1, "")
    assert project.lines == []
    assert app.runs(project.settings) == []


def test_nobody_is_asked_when_nothing_would_change(project):
    project.steps(("one", "web"))
    project.apply()
    summary = project.apply(confirm=asked(False))
    assert (summary.exit_code, summary.counts) == (0, {NodeState.UNCHANGED: 2})


def test_a_question_that_cannot_be_asked_ends_it(project):
    def nobody(_):
        raise ApprovalNeeded("no terminal")

    project.steps(("one", "web"))
    with pytest.raises(ApprovalNeeded):
        project.apply(confirm=nobody)
    assert app.runs(project.settings) == []


def test_what_would_fail_is_not_begun(project):
    project.playbook("""
        [[step]]
        id = "one"
        task = "command"
        hosts = "web-1"
        with = { run = "true", unless = "exit 3", cwd = "/no/such/directory" }
        """)
    summary = project.apply()
    if summary.planned[0].action is Action.FAIL:
        assert (summary.exit_code, summary.run_id) == (1, "")
        assert "nothing was changed" in summary.hint


def test_a_stop_during_the_preview_begins_nothing(project):
    project.steps(("one", "web"))
    stop = app.Stop()
    stop.request()
    summary = project.apply(stop=stop)
    assert (summary.exit_code, summary.run_id) == (130, "")
    assert app.runs(project.settings) == []


def test_no_inventory_is_an_error_that_says_what_to_do(project):
    (project.directory / "opsflow.toml").write_text("")
    project.steps(("one", "web"))
    with pytest.raises(InputError) as caught:
        project.apply(inventory="")
    assert "-i" in caught.value.hint


def test_the_default_inventory_is_the_files(project):
    project.steps(("one", "web-1"))
    assert project.apply(inventory="").exit_code == 0


def test_the_caller_can_overrule_what_a_failure_does(project):
    from opsflow.model import OnFailure

    project.steps(("one", "web-1"), FAILS)
    assert project.apply(on_failure=OnFailure.ROLLBACK).exit_code == 3
    assert project.lines == []
    assert project.apply(on_failure=OnFailure.CONTINUE).exit_code == 1
    assert project.lines == ["one@web-1"]


def test_templates_see_every_host_of_the_inventory_not_only_those_that_steps_run_on(project):
    project.playbook("""
        [[step]]
        id = "one"
        task = "command"
        hosts = "web-1"
        with = { run = "test '{{ hosts('db') | join(',') }}' = db-1 && test {{ hosts('all') | length }} = 3", changes = false }
        """)
    assert project.apply().exit_code == 0


# Open runs hold their hosts


def test_a_halted_run_keeps_others_from_its_hosts(project):
    project.steps(("one", "web-1"), FAILS)
    first = project.apply()
    assert first.exit_code == 1
    project.steps(("other", "web-1"), name="other")
    with pytest.raises(HostsHeld) as caught:
        project.apply("other")
    assert caught.value.exit_code == 5
    assert first.run_id in str(caught.value)
    project.steps(("other", "web-2"), name="other")
    assert project.apply("other").exit_code == 0


def test_abandon_gives_the_hold_up(project):
    project.steps(("one", "web-1"), FAILS)
    first = project.apply()
    project.steps(("other", "web-1"), name="other")
    assert project.apply("other", abandon=first.run_id).exit_code == 0


@pytest.mark.parametrize("answer", ["no", "fails"])
def test_nothing_is_abandoned_for_a_run_that_does_not_begin(project, answer):
    project.steps(("one", "web-1"), FAILS)
    first = project.apply()
    project.steps(("other", "web-1"), name="other")
    stop = app.Stop()
    if answer == "fails":
        stop.request()
    assert project.apply("other", abandon=first.run_id, confirm=asked(False), stop=stop).exit_code in {1, 130}
    with pytest.raises(HostsHeld):
        project.apply("other")


def test_abandoning_what_there_is_not_is_told_before_anything_is_looked_at(project):
    project.steps(("one", "web-1"))
    with pytest.raises(UnknownRun):
        project.apply(abandon="2020", confirm=asked(True))
    assert project.events == []


def test_localhost_is_not_held(project):
    project.steps(("one", "localhost"), ("two", "localhost", 'on_failure = "halt"', "fail = true"))
    assert project.apply().exit_code == 1
    project.steps(("other", "localhost"), name="other")
    assert project.apply("other").exit_code == 0


# Resume


def test_resume_goes_on_with_the_newest_run_and_does_nothing_twice(project):
    project.steps(("one", "web-1"), FAILS, ("three", "web-1"))
    run = project.apply().run_id
    project.mend()
    summary = project.resume()
    assert (summary.exit_code, summary.run_id, summary.state) == (0, run, RunState.SUCCEEDED)
    assert project.lines == ["one@web-1", "three@web-1", "two@web-1"]
    assert [len(n.attempts) for n in project.show().nodes] == [1, 2, 1]


def test_resume_goes_on_with_the_stored_plan_if_the_files_are_gone_and_it_is_told_so(project):
    project.steps(("one", "web-1"), FAILS)
    project.apply()
    project.mend()
    (project.directory / "playbooks" / "play.toml").unlink()
    (project.directory / "inventories" / "fleet.toml").unlink()
    with pytest.raises(PlanDrift) as refused:
        project.resume()
    assert [(d.what, d.names, d.change) for d in refused.value.differences] == [
        ("playbook", ("playbooks/play.toml",), "removed"),
        ("inventory", ("inventories/fleet.toml",), "removed"),
    ]
    assert project.resume(accept_changes=True).exit_code == 0


def test_resume_of_what_has_succeeded_is_refused(project):
    project.steps(("one", "web-1"))
    project.apply()
    with pytest.raises(InputError, match="has succeeded"):
        project.resume()


def test_resume_of_what_was_rolled_back_is_refused(project):
    project.steps(("one", "web-1"), (*FAILS[:2], "", FAILS[3]))
    assert project.apply().exit_code == 3
    with pytest.raises(InputError, match="has been rolled back"):
        project.resume()


def test_resume_of_nothing(project):
    with pytest.raises(UnknownRun):
        project.resume()
    with pytest.raises(UnknownRun):
        project.resume("2020")


def test_resume_while_another_run_holds_the_hosts_is_refused(project):
    project.steps(("one", "web-1"), FAILS)
    first = project.apply()
    project.steps(("other", "web-1", 'on_failure = "halt"', "fail = true"), name="other")
    project.apply("other", abandon=first.run_id)
    with pytest.raises(HostsHeld):
        project.resume(first.run_id)


def test_an_abandoned_run_does_not_go_on_over_what_later_runs_changed(project):
    project.steps(("one", "web-1"), FAILS)
    first = project.apply()
    project.steps(("other", "web-1"), name="other")
    later = project.apply("other", abandon=first.run_id)
    project.mend()
    with pytest.raises(HostsHeld, match=f"later runs changed the same hosts: {later.run_id}") as refused:
        project.resume(first.run_id)
    assert f"opsflow resume {first.run_id} --force" in refused.value.hint
    assert project.resume(first.run_id, force=True).exit_code == 0


def test_a_run_that_somebody_drives_cannot_be_driven_by_another(project):
    project.steps(("one", "web-1"), FAILS)
    run = project.apply().run_id
    journal = SqlJournal.open(project.settings.journal)
    try:
        journal.resume(run, "somebody@else")
        with pytest.raises(HostsHeld, match="is being worked on"):
            project.resume()
        with pytest.raises(HostsHeld, match="is being worked on"):
            project.rollback()
    finally:
        journal.close()
    project.mend()
    assert project.resume().exit_code == 0


# Rollback


def test_rollback_puts_a_successful_run_back(project):
    project.steps(("one", "web"), ("two", "web"))
    run = project.apply().run_id
    summary = project.rollback()
    assert (summary.exit_code, summary.state, summary.run_id) == (0, RunState.ROLLED_BACK, run)
    assert project.lines == []


def test_a_dry_run_of_rollback_only_tells(project):
    project.steps(("one", "web-1"), ("two", "web-1"))
    project.apply()
    project.events.clear()
    summary = project.rollback(dry_run=True)
    assert [n.node for n in summary.planned] == ["two@web-1", "one@web-1"]
    assert [e.node for e in project.events] == ["two@web-1", "one@web-1"]
    assert project.lines == ["one@web-1", "two@web-1"]
    assert project.show().run.state is RunState.SUCCEEDED


def test_a_no_to_rollback_changes_nothing(project):
    project.steps(("one", "web-1"))
    project.apply()
    assert project.rollback(confirm=asked(False)).exit_code == 1
    assert project.lines == ["one@web-1"]
    assert project.show().run.state is RunState.SUCCEEDED


def test_rollback_of_what_is_rolled_back_does_nothing(project):
    project.steps(("one", "web-1"))
    project.apply()
    project.rollback()
    summary = project.rollback(confirm=asked(True))
    assert summary.exit_code == 0
    assert "nothing to revert" in summary.hint


def test_rollback_is_refused_when_a_later_run_changed_the_same_hosts(project):
    project.steps(("one", "web"))
    first = project.apply()
    project.steps(("other", "web-2"), name="other")
    second = project.apply("other")
    with pytest.raises(HostsHeld) as caught:
        project.rollback(first.run_id)
    assert second.run_id in caught.value.message
    assert "--force" in caught.value.hint
    assert project.rollback(first.run_id, force=True).exit_code == 0
    assert project.lines == ["other@web-2"]


def test_later_runs_that_changed_nothing_or_other_hosts_do_not_matter(project):
    project.steps(("one", "web-1"))
    first = project.apply()
    project.apply()
    project.steps(("other", "db-1"), name="other")
    project.apply("other")
    assert project.rollback(first.run_id).exit_code == 0


def test_rollback_of_a_halted_run_gives_its_hosts_back(project):
    project.steps(("one", "web-1"), FAILS, ("three", "web-1"))
    project.apply()
    assert project.rollback().exit_code == 0
    assert project.show().run.state is RunState.ROLLED_BACK
    project.mend()
    assert project.apply().exit_code == 0


def test_a_run_does_not_go_on_with_another_plugin_unless_told(project):
    plugin = project.directory / "plugins" / "own.py"
    plugin.parent.mkdir(exist_ok=True)
    text = "from opsflow import hookimpl, TaskFailed\n@hookimpl\ndef execute(ctx):\n    raise TaskFailed('as told')\n"
    plugin.write_text(text)
    project.playbook('[[step]]\nid = "own"\ntask = "own"\nhosts = "localhost"\non_failure = "halt"\n')
    assert project.apply().exit_code == 1
    plugin.write_text(text.replace("raise TaskFailed('as told')", "return {}"))
    with pytest.raises(PlanDrift, match="task own") as refused:
        project.resume()
    assert "--accept-changes" in refused.value.hint
    with pytest.raises(PlanDrift):
        project.rollback()
    assert project.resume(accept_changes=True).exit_code == 0


FINAL = """
[[step]]
id = "mail"
task = "command"
hosts = "web-1"
irreversible = "{rule}"
with = {{ run = "true" }}
"""


@pytest.mark.parametrize(("rule", "before"), [("stop", "skip"), ("allow", "change")])
def test_a_dry_run_of_rollback_says_what_would_stay_and_the_rollback_leaves_just_that(project, rule, before):
    line = '[[step]]\nid = "{id}"\ntask = "line"\nhosts = "web-1"\nwith = {{ file = "lines" }}\n'
    project.playbook(line.format(id="one") + FINAL.format(rule=rule) + line.format(id="two"), "play")
    project.apply()
    planned = project.rollback(dry_run=True).planned
    assert [(n.node, n.action, n.reversible) for n in planned] == [
        ("two@web-1", "change", True),
        ("mail@web-1", "skip", False),
        ("one@web-1", before, rule == "allow"),
    ]
    assert planned[1].summary.startswith("stays, for it cannot be undone")
    question = []
    project.rollback(confirm=lambda asked: bool(question.append(asked)))
    assert f"Revert {1 if rule == 'stop' else 2} nodes" in question[0]
    assert f"leave {2 if rule == 'stop' else 1}" in question[0]
    summary = project.rollback()
    stayed = {n.node for n in planned if n.action == "skip"}
    assert {node.id for node in project.show().nodes if node.state is not NodeState.REVERTED} == stayed
    assert summary.exit_code == (4 if rule == "stop" else 0)
