"""Plans in files: saved, run, and refused if something is different then."""

import json
import stat

import pytest

from opsflow import app
from opsflow.errors import InputError, PlanDrift
from opsflow.model import NodeState, OnFailure, RunState


@pytest.fixture
def saved(project):
    """`saved(...)`: a plan that was saved, as read again."""

    def make(**more):
        file = project.directory / "up.plan"
        assert app.preview(project.request(**more), project.settings, [], out=file).exit_code == 0
        return app.saved_plan(file)

    project.steps(("one", "web"), ("two", "db"))
    return make


def run(project, plan, **more):
    request = app.Request(playbook=project.directory / "-", inventory="", saved=plan, **more)
    return app.apply(request, project.settings, [project.events.append], confirm=None)


def test_a_saved_plan_is_run_as_it_was_saved(project, saved):
    plan = saved(extra=("release=1",), on_failure=OnFailure.HALT)
    summary = run(project, plan)
    assert summary.counts == {NodeState.SUCCEEDED: 3}
    assert project.show().run.fingerprint == plan.plan.fingerprint
    assert plan.plan.extra == {"release": "1"}
    assert {step.on_failure for step in plan.plan.playbook.steps} == {OnFailure.HALT}


def test_its_owner_alone_may_read_it_and_nothing_else_is_left_beside_it(project, saved):
    (project.directory / "up.plan").write_text("what was there before")
    (project.directory / "up.plan").chmod(0o644)
    before = {path.name for path in project.directory.iterdir()}
    assert stat.S_IMODE(saved().file.stat().st_mode) == 0o600
    assert {path.name for path in project.directory.iterdir()} == before


def test_a_plan_is_not_saved_if_something_would_fail(project):
    project.playbook("""
        [[step]]
        id = "one"
        task = "command"
        hosts = "web-1"
        with = { run = "true", cwd = "/nowhere" , creates = "/nowhere" }
        [[step]]
        id = "down"
        task = "stop_server"
        hosts = "web-1"
        with = { service = "nothing-like-it", manager = "systemd" }
        """)
    summary = app.preview(project.request(), project.settings, [], out=project.directory / "up.plan")
    assert (summary.exit_code, (project.directory / "up.plan").exists()) == (1, False)


def test_a_plan_that_cannot_be_written(project, saved):
    with pytest.raises(InputError, match="cannot be saved there: No such file"):
        app.preview(project.request(), project.settings, [], out=project.directory / "no" / "up.plan")


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("playbooks/play.toml", 'hosts = "db"', 'hosts = "db,web-1"', "~ step two, hosts"),
        ("inventories/fleet.toml", '"web-2"]', '"web-2", "web-3"]', "+ host web-3"),
        ("plugins/line.py", "write it", "write it down", "~ task line"),
    ],
)
def test_what_has_changed_since_is_told_and_nothing_is_done(project, saved, name, old, new, said):
    plan = saved()
    path = project.directory / name
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(PlanDrift) as error:
        run(project, plan)
    assert said in str(error.value)
    assert f"opsflow plan {project.directory}/playbooks/play.toml -i" in error.value.hint
    assert project.lines == []
    assert app.runs(project.settings) == []


def test_hosts_that_are_not_as_they_were_are_told_and_nothing_is_done(project, saved):
    plan = saved()
    (project.directory / "lines").write_text("one@web-2")
    with pytest.raises(PlanDrift) as error:
        run(project, plan)
    assert list(map(str, error.value.differences)) == ["~ node one@web-2, action: change → unchanged"]
    assert project.lines == ["one@web-2"]
    assert app.runs(project.settings) == []


def test_what_comes_after_a_change_is_judged_on_its_turn(project, saved):
    plan = saved()
    (project.directory / "lines").write_text("two@db-1")
    assert run(project, plan).counts == {NodeState.SUCCEEDED: 2, NodeState.UNCHANGED: 1}


def test_a_node_that_would_fail_now_is_shown_as_ever(project):
    project.playbook("""
        [[step]]
        id = "one"
        task = "own"
        hosts = "web-1"
        """)
    (project.directory / "plugins" / "own.py").write_text(
        "from opsflow import Preview, hookimpl\n@hookimpl\ndef plan(ctx):\n"
        "    return Preview.fail('it is full') if (ctx.project / 'full').exists() else Preview.change('fill it')\n"
        "@hookimpl\ndef execute(ctx):\n    return {}\n"
    )
    file = project.directory / "up.plan"
    app.preview(project.request(), project.settings, [], out=file)
    (project.directory / "full").touch()
    summary = run(project, app.saved_plan(file))
    assert (summary.exit_code, summary.run_id) == (1, "")
    assert "1 of 1 nodes would fail" in summary.hint


def test_a_saved_plan_follows_its_project(project, saved):
    saved()
    project.directory = project.directory.rename(project.directory.with_name(f"{project.directory.name}-renamed"))
    plan = app.saved_plan(project.directory / "up.plan")
    assert run(project, plan).state is RunState.SUCCEEDED
    assert len(project.lines) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"", ":1:1: not a saved plan: not JSON"),
        (b'{"format": \n"opsflow-plan-1",, }', ":2:18: not a saved plan: not JSON"),
        (b"\xff\xfe", "not a saved plan"),
        (b"[]", "not a saved plan"),
        (b'{"plan": {}}', "not a saved plan"),
        (b'{"format": "opsflow-plan-2", "opsflow": "7.0.0"}', "opsflow 7.0.0 saved this plan, and this is opsflow"),
        (b'{"format": "opsflow-plan-1", "opsflow": "0.0.1"}', "opsflow 0.0.1 saved this plan, and this is opsflow"),
    ],
)
def test_what_is_no_plan_of_this_version(tmp_path, content, said):
    file = tmp_path / "some.plan"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as error:
        app.saved_plan(file)
    assert said in error.value.message
    assert f"--out {file}" in error.value.hint


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data["plan"]["playbook"]["steps"][0]["params"].update(file="other"), "was edited"),
        (lambda data: data["plan"].update(nodes=data["plan"]["nodes"][1:]), "was edited"),
        (lambda data: data["actions"].popitem(), "was edited"),
        (lambda data: data.pop("actions"), "not all of it"),
        (lambda data: data["plan"].pop("hosts"), "not all of it"),
        (lambda data: data["actions"].update({"one@web-1": "explode"}), "not all of it"),
    ],
)
def test_a_plan_that_is_not_as_it_was_saved(saved, change, said):
    file = saved().file
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))
    with pytest.raises(InputError, match=said):
        app.saved_plan(file)
