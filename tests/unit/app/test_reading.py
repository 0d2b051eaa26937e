"""The use cases that only read."""

import pytest

from opsflow import app
from opsflow.errors import InputError, UnknownRun
from opsflow.model import RunState


def test_validate_says_nothing_of_what_is_right_and_leaves_nothing(project):
    project.steps(("one", "web"))
    app.validate(project.request(), project.settings)
    app.validate(project.request(inventory=""), project.settings)
    assert not (project.directory / ".opsflow").exists()


def test_validate_tells_everything(project):
    project.steps(("one", "nowhere"), ("two", "web", "", "fial = true"))
    with pytest.raises(InputError) as caught:
        app.validate(project.request(), project.settings)
    assert [p.position.line for p in caught.value.problems] == [4, 12]
    assert all(p.line for p in caught.value.problems)


def test_runs_newest_first(project):
    project.steps(("one", "web-1"))
    ids = [project.apply().run_id for _ in range(3)]
    assert [r.id for r in app.runs(project.settings)] == ids[::-1]
    assert [r.id for r in app.runs(project.settings, limit=1)] == ids[2:]


def test_show(project):
    project.steps(("one", "web-1"))
    first = project.apply().run_id
    project.rollback()
    project.apply()
    found = app.show(first, project.settings)
    assert (found.run.id, found.run.state) == (first, RunState.ROLLED_BACK)
    assert [n.id for n in found.nodes] == ["one@web-1"]
    assert [r.nodes for r in found.rollbacks] == [("one@web-1",)]
    assert app.show(None, project.settings).run.id != first
    with pytest.raises(UnknownRun):
        app.show("2020", project.settings)


def test_tasks_by_name(project):
    names = [task.name for task in app.tasks(project.settings)]
    assert names == sorted(names)
    assert {"line", "command", "deploy_app"} <= set(names)


def test_hosts(project):
    assert list(app.hosts("fleet", project.settings).hosts) == ["web-1", "web-2", "db-1"]
