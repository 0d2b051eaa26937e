"""What a run was planned from says something else when it is to go on, or when a saved plan is to be run."""

import json
import shutil
import stat

import pytest
from command_line import Project, Shown, step

from opsflow.testing.sshd import sshd_path

FIRST = step("first", "echo x >> first", undo="rm -f first")
# Fails until somebody has put `permit` there.
WANTS_PERMIT = step("wants", "test -e permit && echo x >> wants", undo="rm -f wants", on_failure="halt")
LAST = step("last", "echo x >> last", undo="rm -f last")
DEPLOY = (
    '[[step]]\nid = "deploy"\ntask = "deploy_app"\nhosts = "all"\n'
    'with = { artifact = "dist/site.tar", path = "site", phase = "both" }\n'
)


@pytest.fixture
def project(tmp_path):
    if sshd_path() is None:
        pytest.skip("sshd is not installed; nothing is run on real hosts")
    with Project(tmp_path / "project", ["one", "two"], first_address="127.0.149.1") as project:
        yield project


@pytest.fixture
def halted(project):
    """A project with a run that has halted at its second step, and would not any more."""
    playbook = project.playbook(FIRST, WANTS_PERMIT, LAST)
    project.opsflow("apply", playbook, "--yes", code=1)
    for host in ("one", "two"):
        project.on(host, "permit").touch()
    return project


def edit(project, name, old, new):
    path = project.directory / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refused(project, *arguments, said):
    """It is refused, as text and as JSON; no host is connected to."""
    before = [project.fleet.connections(host) for host in ("one", "two")]
    told = project.opsflow("resume", *arguments, code=2)
    assert said in told.err
    assert told.err.startswith("error: what run ")
    run = project.show()
    assert f"opsflow resume {run.id} --accept-changes" in told.err
    error = project.opsflow("resume", *arguments, "--output", "json", code=2).error
    assert error["type"] == "PlanDrift"
    assert [project.fleet.connections(host) for host in ("one", "two")] == before
    return error["differences"]


def test_an_edited_playbook(halted):
    edit(halted, "playbooks/test.toml", "echo x >> last", "echo xx >> last")
    (difference,) = refused(halted, said='~ step last, with.run: "echo x >> last" → "echo xx >> last"')
    assert (difference["what"], difference["names"], difference["key"]) == ("step", ["last"], "with.run")
    lines = (halted.directory / "playbooks/test.toml").read_text().splitlines()
    assert "echo xx >> last" in lines[difference["position"]["line"] - 1]
    assert "\nthen none of its nodes that is done is done again\n" in halted.opsflow("resume", code=2).err


def test_an_edited_inventory(halted):
    edit(halted, "inventories/fleet.toml", '[hosts."two"]', '[hosts."two"]\nvars = { shard = "b" }')
    refused(halted, said='~ host two, variable shard: nothing → "b"')


def test_an_edited_plugin(project):
    plugin = project.write(
        "plugins/own.py",
        "from opsflow import hookimpl\n\n@hookimpl\ndef execute(ctx):\n    ctx.run('test -e permit && echo x >> own')\n",
    )
    playbook = project.playbook(FIRST, '[[step]]\nid = "own"\ntask = "own"\nhosts = "all"\non_failure = "halt"\n')
    project.opsflow("apply", playbook, "--yes", code=1)
    plugin.write_text(plugin.read_text().replace("test -e permit && ", ""))
    refused(project, said="~ task own")

    project.opsflow("resume", "--accept-changes")

    assert project.files()["one"] == {"first": 1, "own": 1}


def test_an_artifact_that_was_exchanged(project):
    (project.directory / "dist").mkdir()
    playbook = project.playbook(FIRST, WANTS_PERMIT, DEPLOY)
    shutil.make_archive(str(project.directory / "dist" / "site"), "tar", project.directory / "inventories")
    project.opsflow("apply", playbook, "--yes", code=1)
    for host in ("one", "two"):
        project.on(host, "permit").touch()
    shutil.make_archive(str(project.directory / "dist" / "site"), "tar", project.directory / "playbooks")
    refused(project, said="~ file dist/site.tar")

    project.opsflow("resume", "--accept-changes")

    for host in ("one", "two"):
        assert project.on(host, "site/current/test.toml").exists()
    assert project.files()["one"] == {"permit": 0, "first": 1, "wants": 1}


def test_accepted_changes_leave_alone_what_is_done(halted):
    run = halted.show()
    edit(halted, "playbooks/test.toml", "echo x >> first", "echo xx >> first")
    edit(halted, "playbooks/test.toml", "test -e permit && ", "")
    halted.playbook(
        *(halted.directory / "playbooks/test.toml").read_text().split("\n\n"),
        step("more", "echo x >> more", undo="rm -f more"),
    )

    said = halted.opsflow("resume", "--accept-changes").err

    assert "joins it: more@one, more@two" in said
    assert "is done and stays as it is: first@one, first@two" in said
    now = halted.show()
    assert (now.id, now.state) == (run.id, "succeeded")
    assert {node: len(found) for node, found in now.attempts(step="first").items()} == {"first@one": 1, "first@two": 1}
    done = {"permit": 0, "first": 1, "wants": 1, "last": 1, "more": 1}
    assert halted.files() == {"one": done, "two": done}

    halted.opsflow("rollback", "--yes")

    assert halted.files() == {"one": {"permit": 0}, "two": {"permit": 0}}
    assert halted.show().state == "rolled_back"


def test_a_host_that_is_gone_from_the_inventory_is_begun_no_more_and_put_back(halted):
    text = (halted.directory / "inventories/fleet.toml").read_text()
    halted.write("inventories/fleet.toml", text.partition('[hosts."two"]')[0])

    events = halted.opsflow("resume", "--accept-changes", "--output", "jsonl").events

    changed = next(event for event in events if event["event"] == "plan_changed")
    assert changed["removed"] == ["first@two", "wants@two", "last@two"]
    assert halted.files() == {"one": {"permit": 0, "first": 1, "wants": 1, "last": 1}, "two": {"permit": 0, "first": 1}}
    halted.opsflow("rollback", "--yes")
    assert halted.files() == {"one": {"permit": 0}, "two": {"permit": 0}}


def test_from_another_directory_it_is_the_same_run(halted, tmp_path, monkeypatch):
    run = halted.show()
    journal = f"sqlite:///{halted.directory}/.opsflow/journal.db"
    monkeypatch.setattr(halted, "directory", halted.directory / "playbooks")
    assert halted.show().id == run.id
    elsewhere = tmp_path / "elsewhere" / "playbooks"
    elsewhere.mkdir(parents=True)
    (elsewhere / "test.toml").write_text('name = "another of that name"\n')
    monkeypatch.setattr(halted, "directory", elsewhere)

    halted.opsflow("resume", run.id, "--journal", journal)

    shown = Shown(halted.opsflow("show", run.id, "--journal", journal, "--output", "json").json)
    assert shown.state == "succeeded"


def test_a_saved_plan_is_run_from_wherever_and_refused_if_something_is_different(project):
    playbook = project.playbook(FIRST, LAST, head="[inputs]\nrelease = { required = true }\n")
    plan = project.directory / "up.plan"
    said = project.opsflow("plan", playbook, "-e", "release=1", "--out", plan)
    assert f"opsflow apply --plan {plan}" in said.err
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    assert project.files() == {"one": {}, "two": {}}

    edit(project, "playbooks/test.toml", "x >> last", "xx >> last")
    told = project.opsflow("apply", "--plan", plan, "--yes", "--output", "json", code=2)
    assert [difference["names"] for difference in told.error["differences"]] == [["last"]]
    edit(project, "playbooks/test.toml", "xx >> last", "x >> last")
    assert project.files() == {"one": {}, "two": {}}

    assert "leave out PLAYBOOK" in project.opsflow("apply", playbook, "--plan", plan, "--yes", code=2).err
    project.opsflow("apply", "--plan", plan, "--dry-run")
    run = Shown(project.opsflow("apply", "--plan", plan, "--yes", "--output", "json").json)
    assert run.state == "succeeded"
    assert run.data["run"]["fingerprint"] == json.loads(plan.read_text())["plan"]["fingerprint"]
    assert project.files() == {"one": {"first": 1, "last": 1}, "two": {"first": 1, "last": 1}}
    assert project.opsflow("apply", "--plan", plan, code=7).err.startswith("error: Apply this plan?")


def test_a_saved_plan_is_refused_on_hosts_that_are_not_as_it_found_them(project):
    playbook = project.playbook(step("first", "echo x >> first", creates="first", undo="rm -f first"), LAST)
    plan = project.directory / "up.plan"
    project.opsflow("plan", playbook, "--out", plan)
    project.on("two", "first").write_text("xx")

    refused = project.opsflow("apply", "--plan", plan, "--yes", code=2)

    assert "~ node first@two, action: change → unchanged" in refused.err
    assert "opsflow plan" in refused.err
    assert project.files() == {"one": {}, "two": {"first": 2}}
