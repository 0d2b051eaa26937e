"""A resumed run is the same run: what its files say now is compared with the stored plan."""

import re
from pathlib import Path

import pytest

from opsflow import app
from opsflow.app import compiling
from opsflow.errors import InputError, PlanDrift
from opsflow.journal import SqlJournal
from opsflow.journal.columns import pack, unpack
from opsflow.journal.tables import plans
from opsflow.model import OnFailure, RunState

FAILS = ("two", "web-1", 'on_failure = "halt"', "fail = true")


@pytest.fixture
def halted(project):
    """A project with a run that has halted at its second step."""
    project.steps(("one", "web"), FAILS, ("three", "web"))
    assert project.apply(extra=("release=1",)).exit_code == 1
    project.mend()
    return project


def edit(project, name, old, new):
    path = project.directory / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refused(project, **more):
    """What is said of the differences, without where they stand."""
    with pytest.raises(PlanDrift) as error:
        project.resume(**more)
    assert error.value.exit_code == 2
    assert project.lines == ["one@web-1", "one@web-2"]
    return [re.sub(r"  \(.*:\d+:\d+\)$", "", str(difference)) for difference in error.value.differences]


def test_nothing_has_changed(halted):
    assert halted.resume().exit_code == 0
    assert len(halted.lines) == 5


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("playbooks/play.toml", "fail = true", "fail = false", ["~ step two, with.fail: true → false"]),
        (
            "inventories/fleet.toml",
            '"web-2"]',
            '"web-2"]\nvars = { a = 1 }',
            ["~ host web-1, web-2, variable a: nothing → 1"],
        ),
        (
            "inventories/fleet.toml",
            '"web-2"]',
            '"web-3"]',
            [
                "- host web-2",
                "+ host web-3",
                "+ node one@web-3",
                "+ node three@web-3",
                "- node one@web-2",
                "- node three@web-2",
            ],
        ),
        ("plugins/line.py", "write it", "write it down", ["~ task line"]),
        (
            "inventories/fleet.toml",
            'transport = "local"',
            'transport = "local"\nuser = "ops"',
            ['~ host web-1, web-2, user: nothing → "ops"'],
        ),
        (
            "opsflow.toml",
            "inventory",
            "inventory = 'fleet'\nssh = { port = 2222 }\n#",
            ["~ host web-1, web-2, port: nothing → 2222"],
        ),
    ],
)
def test_what_has_changed_is_told_and_refused(halted, name, old, new, said):
    edit(halted, name, old, new)
    assert refused(halted) == said
    assert halted.show().run.state is RunState.FAILED


@pytest.mark.parametrize("accept", [False, True])
def test_to_find_it_out_the_files_are_compiled_once(halted, monkeypatch, accept):
    counted = []
    compiled = compiling.compile_plan
    monkeypatch.setattr(compiling, "compile_plan", lambda *args, **more: counted.append(1) or compiled(*args, **more))
    if accept:
        edit(halted, "playbooks/play.toml", "fail = true", "fail = false")
    assert halted.resume(accept_changes=accept).exit_code == 0
    assert counted == [1]


def test_a_file_of_variables_is_read_again(project):
    variables = project.directory / "release.toml"
    variables.write_text('release = "1"\n')
    project.steps(("one", "web"), FAILS)
    project.apply(extra=(f"@{variables}",))
    project.mend()
    variables.write_text('release = "2"\n')
    assert refused(project) == ['~ variable release, given with -e: "1" → "2"']
    variables.write_text('release = "1"\n')
    assert project.resume().exit_code == 0


def test_what_was_said_on_the_command_line_is_remembered(project):
    (project.directory / "opsflow.toml").write_text('executor = "serial"\n[ssh]\ntransport = "local"\n')
    project.steps(("one", "all"), ("two", "web-1", "", "fail = true"))
    assert project.apply(on_failure=OnFailure.HALT, inventory="web-1,web-2,", extra=("a=1", "b:=[1]")).exit_code == 1
    project.mend()
    (project.directory / "opsflow.toml").write_text('inventory = "fleet"\n[ssh]\ntransport = "local"\n')
    assert project.resume().exit_code == 0


def test_files_that_are_wrong_now_are_told_with_their_places(halted):
    edit(halted, "playbooks/play.toml", 'task = "line"', 'task = "lime"')
    with pytest.raises(PlanDrift) as error:
        halted.resume()
    (first, *_) = error.value.differences
    assert (first.what, first.change, first.position.line) == ("what is wrong now", "wrong", 3)
    assert "there is no task 'lime'" in str(error.value)
    assert "--accept-changes" not in error.value.hint
    with pytest.raises(InputError, match="there is no task 'lime'"):
        halted.resume(accept_changes=True)


def test_a_task_that_is_gone(halted):
    (halted.directory / "plugins" / "line.py").rename(halted.directory / "plugins" / "dash.py")
    with pytest.raises(PlanDrift, match="- task line"):
        halted.resume()


def test_from_another_directory_it_is_the_same_run(halted, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "playbooks").mkdir()
    (elsewhere / "playbooks" / "play.toml").write_text("name = 'another'\n")
    monkeypatch.chdir(elsewhere)
    settings = app.settings(elsewhere, journal=f"sqlite:///{halted.directory}/.opsflow/journal.db")
    assert app.resume(None, settings, []).exit_code == 0
    assert len(halted.lines) == 5


def test_what_was_named_relative_to_a_directory_is_found_from_another(project, monkeypatch):
    project.steps(("one", "web"), FAILS)
    monkeypatch.chdir(project.directory / "playbooks")
    (project.directory / "playbooks" / "vars.toml").write_text("a = 1\n")
    request = app.Request(playbook=Path("play.toml"), inventory="../inventories/fleet.toml", extra=("@vars.toml",))
    assert app.apply(request, project.settings, [], confirm=None).exit_code == 1
    project.mend()
    monkeypatch.chdir("/")
    assert project.resume().exit_code == 0


def test_a_project_that_was_renamed_is_the_same(halted):
    there = halted.directory.with_name(f"{halted.directory.name}-renamed")
    halted.directory.rename(there)
    halted.directory = there
    assert halted.resume().exit_code == 0
    assert len(halted.lines) == 5


def test_a_run_of_an_older_version_is_compared_by_its_plugins(halted):
    journal = SqlJournal.open(halted.settings.journal)
    with journal.engine.begin() as connection:
        plan = unpack(connection.execute(plans.select()).one().data)
        for key in ("origin", "local_files"):
            del plan[key]
        connection.execute(plans.update().values(data=pack(plan)))
    journal.close()
    edit(halted, "playbooks/play.toml", "fail = true", "fail = false")
    edit(halted, "plugins/line.py", "write it", "write it down")
    assert refused(halted) == ["~ task line"]
    edit(halted, "plugins/line.py", "write it down", "write it")
    assert halted.resume().exit_code == 0


def test_a_rollback_asks_for_the_plugins_only(halted):
    edit(halted, "playbooks/play.toml", "fail = true", "fail = false")
    edit(halted, "inventories/fleet.toml", '"web-2"]', '"web-3"]')
    edit(halted, "plugins/line.py", "write it", "write it down")
    with pytest.raises(PlanDrift) as error:
        halted.rollback()
    assert [d.names for d in error.value.differences] == [("line",)]
    assert "--accept-changes" in error.value.hint
    edit(halted, "plugins/line.py", "write it down", "write it")
    assert halted.rollback().exit_code == 0
    assert halted.lines == []
