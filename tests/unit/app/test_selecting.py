"""`--limit` and `--tags` from the request to the run, and what a run remembers of them."""

import pytest

from opsflow.errors import InputError, UnknownRun
from opsflow.plan import Selection

TAGGED = (("one", "web", 'tags = ["x"]'), ("two", "all", 'tags = ["y"]'), ("three", "web", 'tags = ["x"]'))
FAILS = 'on_failure = "halt"', "fail = true"


def limited(pattern):
    return Selection(limit=pattern)


def test_a_run_of_a_part_holds_and_touches_only_that(project):
    project.steps(*TAGGED)
    done = project.apply(selection=limited("web-1"))
    assert done.exit_code == 0
    assert project.lines == ["one@web-1", "three@web-1", "two@web-1"]
    shown = project.show()
    assert [node.host for node in shown.nodes] == ["web-1"] * 3
    assert list(shown.left_out) == ["one@web-2", "two@web-2", "two@db-1", "three@web-2"]


def test_who_is_asked_is_told_what_is_left_out(project):
    questions = []
    project.steps(*TAGGED)
    project.apply(selection=Selection(tags=("x",)), confirm=lambda question: questions.append(question) or False)
    assert questions == ["Apply this plan (--tags x leaves out 3 nodes: two@web-1, two@web-2, two@db-1)?"]
    assert project.lines == []


def test_a_resume_goes_on_with_the_part_that_was_selected(project):
    project.steps(("one", "web"), ("two", "web", *FAILS))
    project.apply(selection=limited("web-2"))
    project.mend()
    assert project.resume().exit_code == 0
    assert project.lines == ["one@web-2", "two@web-2"]


def test_hosts_that_were_left_out_are_not_held(project):
    project.steps(("one", "web", *FAILS))
    project.apply(selection=limited("web-1"))
    project.mend()
    assert project.apply(selection=limited("web-2")).exit_code == 0


@pytest.mark.parametrize("back", [False, True])
def test_only_where_a_run_failed_whether_or_not_it_was_put_back(project, back):
    project.steps(("one", "db"), ("two", "web-2", *FAILS), ("three", "web-1"))
    first = project.apply()
    project.mend()
    if back:
        project.rollback(first.run_id)
    done = project.apply(selection=limited(f"failed:{first.run_id}"), abandon=None if back else first.run_id)
    assert done.exit_code == 0
    assert {node.id for node in project.show().nodes} == {"two@web-2"}


def test_a_run_that_did_not_fail_leaves_nothing_to_select(project):
    project.steps(("one", "web"))
    run = project.apply().run_id
    with pytest.raises(InputError, match=f"--limit failed:{run}: run {run} did not fail on any host"):
        project.apply(selection=limited(f"failed:{run}"))
    with pytest.raises(UnknownRun):
        project.apply(selection=limited("failed:2020"))
