"""`finally` in a run that goes on with what its files say now."""

import pytest

from opsflow.errors import InputError
from opsflow.model import RunState

FAILS = ("two", "web-1", 'on_failure = "halt"', "fail = true")
LAST = ("last", "web-1", "finally = true", "fail = false")


def states(project):
    return {node.id: node.state.value for node in project.show().nodes}


@pytest.fixture
def ended(project):
    """A run that came to its end in front of a failure."""
    project.steps(("one", "web-1"), FAILS, LAST)
    assert project.apply().exit_code == 1
    assert states(project)["last@web-1"] == "succeeded"
    project.mend()
    return project


def test_what_ran_at_the_end_and_is_taken_out_does_not_run_again(ended):
    ended.steps(("one", "web-1"), FAILS)
    summary = ended.resume(accept_changes=True)
    assert (summary.exit_code, summary.state) == (0, RunState.SUCCEEDED)
    assert states(ended) == {"one@web-1": "succeeded", "two@web-1": "succeeded", "last@web-1": "succeeded"}


def test_what_failed_at_the_end_can_be_taken_out(project):
    (project.directory / "fail").touch()
    project.steps(("one", "web-1"), ("last", "web-1", "finally = true", "fail = true"))
    assert project.apply().exit_code == 1
    project.steps(("one", "web-1"))
    assert project.resume(accept_changes=True).exit_code == 0
    assert states(project) == {"one@web-1": "succeeded", "last@web-1": "skipped"}


def test_one_that_joins_runs_at_the_end(ended):
    ended.steps(("one", "web-1"), FAILS, LAST, ("more", "web-1", "finally = true", "fail = false"))
    assert ended.resume(accept_changes=True).exit_code == 0
    assert set(states(ended).values()) == {"succeeded"}
    assert "more@web-1" in ended.lines


@pytest.mark.parametrize(
    "steps",
    [
        [("one", "web-1", "finally = true", "fail = false"), FAILS, LAST],
        [("one", "web-1"), FAILS, ("last", "web-1")],
    ],
)
def test_what_has_begun_neither_becomes_an_end_nor_ceases_to_be_one(ended, steps):
    before = ended.show()
    ended.steps(*steps)
    with pytest.raises(InputError, match="has begun, and `finally` says of it now what it did not say then"):
        ended.resume(accept_changes=True)
    assert ended.show() == before
