"""What a playbook can say, done by the real command line on two real hosts; and what programs read of it."""

import json
import re

import pytest
from command_line import Shown, step

PLUGIN = '''
"""Write a line into a file."""
from pydantic import BaseModel

from opsflow import Context, Preview, TaskFailed, hookimpl


class Params(BaseModel):
    path: str
    text: str


@hookimpl
def params() -> type[BaseModel]:
    return Params


@hookimpl
def plan(ctx: Context, params: Params) -> Preview:
    there = ctx.probe(f"cat {ctx.quote(params.path)}")
    if there.ok and there.stdout == params.text:
        return Preview.unchanged("is written", outputs={"length": len(params.text)})
    return Preview.change("write it", before={"text": there.stdout if there.ok else None}, diff=f"+{params.text}")


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict:
    ctx.write(params.path, params.text)
    if params.text == "unlucky":
        raise TaskFailed("that was an unlucky word", hint="take another")
    return {"length": len(params.text)}


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: dict | None) -> None:
    if preview.before["text"] is None:
        ctx.run(f"rm -f {ctx.quote(params.path)}")
    else:
        ctx.write(params.path, preview.before["text"])
'''

NOTE = """
[inputs]
text = { type = "string", required = true }

[[step]]
id = "note"
task = "note"
hosts = "all"
with = { path = "note.txt", text = "{{ text }}" }

[[step]]
id = "after"
task = "command"
hosts = "all"
with = { run = "test {{ outputs.note.length }} = {{ text | length }}", changes = false }
"""

# Several steps of every kind, in one procedure.
PROCEDURE = [
    step("here", "echo made here | tee made", hosts="localhost", undo="rm -f made"),
    step("once", "echo $((6 * 7))", run_once=True, changes=False),
    step("told", "echo {{ outputs.here.stdout }}, {{ outputs.once.stdout }} > told", undo="rm -f told"),
    step("never", "touch never", when="host == 'three'", undo="rm -f never"),
    step("some", "touch some", when="host == 'two' and steps.once.changed", undo="rm -f some"),
    step(
        "flaky",
        "echo try >> tries; test $(wc -l < tries) -ge 3",
        hosts="one",
        retry={"attempts": 3, "delay": "50ms"},
        changes=False,
    ),
    step("last", "test -e told && touch last", undo="rm -f last"),
]


def apply(project, playbook, *more, code=0):
    return project.opsflow("apply", playbook, "--yes", *more, code=code)


@pytest.mark.parametrize("executor", ["serial", "threads"])
def test_a_procedure_comes_to_the_same_with_every_executor(project, executor):
    done = apply(project, project.playbook(*PROCEDURE), "--executor", executor, "--output", "json")

    run = Shown(done.json)
    assert run.states == {
        "here@localhost": "succeeded",
        "once@one": "succeeded",
        "told@one": "succeeded",
        "told@two": "succeeded",
        "never@one": "skipped",
        "never@two": "skipped",
        "some@one": "skipped",
        "some@two": "succeeded",
        "flaky@one": "succeeded",
        "last@one": "succeeded",
        "last@two": "succeeded",
    }
    tries = run.nodes["flaky@one"]["attempts"]
    assert [(t["n"], t["state"], t["exit_status"]) for t in tries] == [
        (1, "failed", 1),
        (2, "failed", 1),
        (3, "succeeded", 0),
    ]
    assert tries[0]["finished"] < tries[1]["started"] < tries[2]["started"]
    assert run.nodes["here@localhost"]["outputs"]["stdout"] == "made here"
    assert project.home.joinpath("made").read_text() == "made here\n"
    for host in ("one", "two"):
        assert project.on(host, "told").read_text() == "made here, 42\n"
        assert not project.on(host, "never").exists()
        assert project.on(host, "some").exists() == (host == "two")
    ran = [attempt for found in run.attempts().values() for attempt in found]
    overlaps = any(
        a["started"] < b["finished"] and b["started"] < a["finished"] for a in ran for b in ran if a is not b
    )
    assert overlaps == (executor == "threads")

    project.opsflow("rollback", "--yes", "--executor", executor)
    assert not project.home.joinpath("made").exists()
    assert [path.name for path in project.on("two").iterdir() if path.is_file()] == []


def test_a_projects_own_plugin_is_planned_run_and_reverted_like_any_task(project):
    project.write("plugins/note.py", PLUGIN)
    playbook = project.playbook(NOTE)

    assert "note" in project.opsflow("task", "list").out
    plan = project.opsflow("plan", playbook, "-e", "text=hello", "--output", "json").json["nodes"]
    assert {(n["id"], n["action"], n["diff"]) for n in plan if n["id"].startswith("note")} == {
        ("note@one", "change", "+hello"),
        ("note@two", "change", "+hello"),
    }
    apply(project, playbook, "-e", "text=hello")
    assert project.on("one", "note.txt").read_text() == "hello"
    apply(project, playbook, "-e", "text=hello")
    assert project.show().states["note@one"] == "unchanged"

    failed = apply(project, playbook, "-e", "text=unlucky", code=3)

    assert "that was an unlucky word" in failed.err
    assert "take another" in failed.err
    assert project.on("one", "note.txt").read_text() == "hello"
    assert project.on("two", "note.txt").read_text() == "hello"


def test_a_broken_plugin_is_an_error_that_names_file_and_line(project):
    project.write(
        "plugins/broken.py", '"""Broken."""\nfrom opsflow import hookimpl\n\nimport there_is_no_such_module\n'
    )
    playbook = project.playbook(step("fine", "true", changes=False))

    told = apply(project, playbook, code=2)
    error = apply(project, playbook, "--output", "json", code=2).error

    assert re.search(r"plugins/broken\.py:4\b.*there_is_no_such_module", told.err)
    (problem,) = error["problems"]
    assert problem["file"].endswith("plugins/broken.py")
    assert problem["line"] == 4
    assert [project.fleet.connections(host) for host in ("one", "two")] == [0, 0]


def test_a_plugin_whose_hook_is_wrong_is_an_error_that_names_it(project):
    path = project.write(
        "plugins/note.py", PLUGIN.replace("def execute(ctx: Context, params", "def execute(context, params")
    )
    line = path.read_text().splitlines().index("def execute(context, params: Params, preview: Preview) -> dict:") + 1
    told = project.opsflow("validate", project.playbook(NOTE), code=2)
    # The decorator's line or the function's.
    assert f"plugins/note.py:{line}" in told.err or f"plugins/note.py:{line - 1}" in told.err
    assert "context" in told.err


def test_events_are_told_one_a_line_and_the_last_one_is_the_runs_end(project):
    done = apply(project, project.playbook(*PROCEDURE), "--output", "jsonl")

    assert done.err == ""
    run = project.show()
    events = [event for event in done.events if event["event"] != "node_planned"]
    assert events[0]["event"] == "run_started"
    last = events[-1]
    assert done.events[-1] == last
    assert (last["event"], last["run_id"], last["state"], last["exit_code"]) == ("run_finished", run.id, "succeeded", 0)
    finished = {event["node"]: event["state"] for event in events if event["event"] == "node_finished"}
    assert finished == run.states
    assert [event["n"] for event in events if event["event"] == "node_retrying"] == [1, 2]
    assert all(TIME.fullmatch(event["at"]) for event in done.events)


def test_the_journals_documents_have_the_shape_that_scripts_rely_on(project):
    apply(
        project,
        project.playbook(step("fine", "true", changes=False), step("fails", "exit 3", hosts="one", undo="true")),
        code=3,
    )

    (run,) = project.opsflow("runs", "--output", "json").json
    document = project.opsflow("show", run["id"], "--output", "json").json

    assert document["run"] == run
    assert {"id", "state", "playbook", "started", "finished"} <= set(run)
    assert (run["state"], run["playbook"], run["exit_code"]) == ("rolled_back", "test", 3)
    assert TIME.fullmatch(run["started"])
    assert TIME.fullmatch(run["finished"])
    for node in document["nodes"]:
        assert {"id", "host", "step", "task", "state", "outputs", "error", "attempts"} <= set(node)
        assert node["id"] == f"{node['step']}@{node['host']}"
        for attempt in node["attempts"]:
            assert {"id", "phase", "n", "state", "exit_status", "started", "finished"} <= set(attempt)
            assert TIME.fullmatch(attempt["started"])
            assert TIME.fullmatch(attempt["finished"])
    (failed,) = (node for node in document["nodes"] if node["step"] == "fails")
    assert [(a["phase"], a["n"], a["state"], a["exit_status"]) for a in failed["attempts"]] == [
        ("execute", 1, "failed", 3),
        ("revert", 1, "succeeded", 0),
    ]
    assert failed["error"]["exit_status"] == 3

    lines = project.opsflow("runs", "--output", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == [run]
    # Without a run's id: the newest. The beginning of an id is enough.
    assert project.opsflow("show", "--output", "json").json == document
    assert project.opsflow("show", run["id"][:-2], "--output", "json").json == document


def test_each_command_opens_one_connection_per_host(project):
    def opened(*arguments, code=0):
        before = {host: project.fleet.connections(host) for host in project.fleet.names}
        project.opsflow(*arguments, code=code)
        return {host: project.fleet.connections(host) - earlier for host, earlier in before.items()}

    steps = [step(f"step-{n}", "echo x >> file", undo="rm -f file") for n in range(4)]
    playbook = project.playbook(*steps)
    assert opened("validate", playbook) == {"one": 0, "two": 0}
    assert opened("apply", playbook, "--yes") == {"one": 1, "two": 1}
    assert opened("rollback", "--yes") == {"one": 1, "two": 1}
    assert opened("show") == {"one": 0, "two": 0}
    halting = project.playbook(
        *steps, step("fails", "test -e permit", undo="true", hosts="one"), step("last", "true", undo="true")
    )
    assert opened("apply", halting, "--yes", "--on-failure", "halt", code=1) == {"one": 1, "two": 1}
    project.on("one", "permit").touch()
    assert opened("resume") == {"one": 1, "two": 1}


TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
