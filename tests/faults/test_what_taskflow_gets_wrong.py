"""What goes wrong in OpenStack's TaskFlow, from which the idea of this engine is, and must not here.

Each test says what TaskFlow does. All run the real command line over real hosts; a crash is a SIGKILL.
"""

import json
import os
from collections import Counter

import pytest
from fault_ground import until
from fault_play import FAILS, broken, step

from opsflow.model import AttemptState, NodeState, Phase, RunState

BOTH = ("one", "two")


@pytest.fixture(scope="module")
def address():
    """The first address of this worker's hosts."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return f"127.0.151.{1 + 4 * worker}"


def plugin(ground, name, text):
    directory = ground.project / "plugins"
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.py").write_text(f"from opsflow import Preview, TaskFailed, hookimpl\n\n{text}")


def task_step(name, task, host="one"):
    return f'[[step]]\nid = "{name}"\ntask = "{task}"\nhosts = "{host}"\n'


def test_a_crash_in_the_middle_of_a_batch_runs_nothing_a_second_time(ground):
    """TaskFlow resets atoms that it finds RUNNING to PENDING and executes them again, whether they ran, run, or ended."""
    batch = "".join(step(f"job{n}", wait="do", extra="needs = []") for n in range(4))
    ground.playbook(batch)
    command = ground.start("apply", "play.toml", "--yes")
    for n in range(4):
        ground.wait_line(f"do job{n}")
    command.kill()
    ground.go("one")  # there they end while nobody drives the run; on the other host they are still at work
    for n in range(4):
        ground.wait_done(f"job{n}", "one")
    resumed = ground.start("resume")
    resumed.wait_for("following")
    ground.go("two")
    ended = resumed.end()
    assert ended.code == 0, ended
    seen = ground.seen()
    assert not broken_batch(ground, seen)
    assert {len(seen.attempts(name)) for name in seen.nodes} == {1}


def broken_batch(ground, seen):
    """What of steps that need one another not was done more or less than once."""
    expected = Counter({f"do job{n}": 1 for n in range(4)})
    wrong = [host for host in BOTH if Counter(ground.lines(host)) != expected]
    return wrong or set(seen.states.values()) != {NodeState.SUCCEEDED}


def test_after_a_revert_that_failed_nothing_runs_forward_again_and_the_run_does_not_read_as_rolled_back(ground):
    """In TaskFlow a flow may end REVERTED although a revert failed, and running its engine again executes it anew."""
    stuck = step("stuck", "two").replace("echo undo stuck >> log;", "echo undo stuck >> log; test -e mended || exit 5;")
    ground.playbook(step("first", "two") + stuck + FAILS)
    ended = ground.opsflow("apply", "play.toml", "--yes")
    assert ended.code == 4, ended
    seen = ground.seen()
    assert seen.run.state is RunState.ROLLBACK_INCOMPLETE
    assert seen.states["stuck@two"] is NodeState.REVERT_FAILED
    assert seen.states["first@two"] is NodeState.SUCCEEDED, "it is before what is stuck"

    for _ in range(2):
        again = ground.opsflow("resume")
        assert again.code == 2, again
        assert "it never goes forward again" in again.text
    assert ground.opsflow("rollback", "--yes").code == 4
    (ground.fleet.home("two") / "mended").touch()
    assert ground.opsflow("rollback", "--yes").code == 0
    assert ground.seen().run.state is RunState.ROLLED_BACK
    for command in (("resume",), ("rollback", "--yes")):
        over = ground.opsflow(*command)
        assert over.code == (2 if command == ("resume",) else 0), over
    lines = Counter(ground.lines("two"))
    assert (lines["do first"], lines["do stuck"]) == (1, 1)
    assert not ground.done("stuck", "two")
    assert not ground.done("first", "two")


TRIES = """
[[step]]
id = "tries"
task = "command"
hosts = "one"
retry = { vary = { mirror = ["a", "b", "c"] } }
[step.with]
run = "echo {{ mirror }} >> tried; while [ ! -e go-{{ mirror }} ]; do sleep 0.05; done; [ {{ mirror }} = c ]"
undo = "true"
"""


def test_a_resumed_foreach_goes_on_with_the_next_value(ground):
    """TaskFlow's ForEach, whose attempt a crash interrupted, hands out a value anew, and its tasks run with it again."""
    ground.playbook(TRIES)

    def tried():
        path = ground.fleet.home("one") / "tried"
        return path.read_text().split() if path.exists() else []

    def go(value):
        (ground.fleet.home("one") / f"go-{value}").touch()

    go("a")
    for value in "bc":
        command = ground.start(*(("apply", "play.toml", "--yes") if value == "b" else ("resume",)))
        until(lambda value=value: value in tried())
        command.kill()
        go(value)
    ended = ground.opsflow("resume")
    assert ended.code == 0, ended
    assert tried() == ["a", "b", "c"]
    attempts = ground.seen().attempts("tries@one")
    assert [(a.turn.values["mirror"], a.state) for a in attempts] == [
        ("a", AttemptState.FAILED),
        ("b", AttemptState.FAILED),
        ("c", AttemptState.SUCCEEDED),
    ]


def test_of_two_engines_on_one_run_the_second_is_refused_and_told_by_whom(ground):
    """TaskFlow lets two engines load one flow detail; both run it, and their writes overwrite one another's."""
    ground.playbook(step("first", wait="do") + step("second"))
    first = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("do first")
    run = ground.seen().run
    for command in (("resume", run.id), ("rollback", run.id, "--yes"), ("apply", "play.toml", "--yes")):
        second = ground.opsflow(*command)
        assert second.code == 5, second
        assert run.id in second.text
    ground.go()
    assert first.end().code == 0
    assert not broken(ground, ground.seen(), 0)
    assert ground.lines("one") == ["do first", "do second"]


RAISES = """
class Odd(Exception):
    def __str__(self):
        raise ValueError("it cannot even be told")

@hookimpl
def plan(ctx, params):
    if ctx.step == "in_plan" and ctx.phase is None and not ctx.probe("test -e armed").ok:
        return Preview.change("later")
    if ctx.step == "in_plan":
        raise Odd
    return Preview.change("raise")

@hookimpl
def execute(ctx, params, preview):
    ctx.run("echo do odd >> log")
    if ctx.step == "exits":
        raise SystemExit(0)
    if ctx.step == "odd":
        raise Odd
    return {}

@hookimpl
def revert(ctx, params, preview, outputs):
    ctx.run("echo undo odd >> log")
"""

AROUND = """
@hookimpl(wrapper=True)
def execute(ctx):
    found = yield
    if ctx.step == "wrapped":
        raise RuntimeError("a hook after the task's own has failed")
    return found
"""

LISTENS = """
@hookimpl
def opsflow_event(event):
    raise RuntimeError("a listener has failed")
"""


def test_an_exception_in_a_hook_fails_its_step_and_puts_back_what_was_begun(ground):
    """In TaskFlow an exception in `post_execute` escapes the engine, and leaves its task RUNNING: nothing is reverted."""
    plugin(ground, "raises", RAISES)
    plugin(ground, "around", AROUND)
    plugin(ground, "listens", LISTENS)
    for name in ("odd", "exits", "wrapped"):
        ground.wipe()
        ground.playbook(step("first", "one") + task_step(name, "raises"))
        ended = ground.opsflow("apply", "play.toml", "--yes")
        assert ended.code == 3, ended
        assert "Traceback" not in ended.text
        assert "listens no more" in ended.text
        seen = ground.seen()
        assert seen.run.state is RunState.ROLLED_BACK
        assert set(seen.states.values()) == {NodeState.REVERTED}
        assert ground.lines("one") == ["do first", "do odd", "undo odd", "undo first"]
        assert ground.held() == 0


def test_an_exception_in_a_hook_that_only_looks_leaves_nothing_begun(ground):
    """In TaskFlow a hook that raises before the task's own work is told like work that failed half way."""
    plugin(ground, "raises", RAISES)
    arm = step("arm", "one").replace("touch arm.done", "touch arm.done armed")
    ground.playbook(arm + task_step("in_plan", "raises"))
    ended = ground.opsflow("apply", "play.toml", "--yes")
    assert ended.code == 3, ended
    seen = ground.seen()
    assert seen.states == {"arm@one": NodeState.REVERTED, "in_plan@one": NodeState.FAILED}
    assert not seen.attempts("in_plan@one")
    assert not seen.attempts("in_plan@one", Phase.REVERT)


def test_a_wide_serial_batch_is_suspended_after_the_step_that_is_at_work(ground):
    """TaskFlow's serial engine works off a whole wave when it is scheduled: a suspend waits for all that were ready."""
    wide = "".join(step(f"job{n}", "one", wait="do", extra="needs = []") for n in range(8))
    ground.playbook(wide)
    command = ground.start("apply", "play.toml", "--yes", "--executor", "serial")
    ground.wait_line("do job0", "one")
    paused = ground.opsflow("pause", ground.seen().run.id)
    assert paused.code == 0, paused
    assert "waiting for 1 node: job0@one" in paused.text
    ground.go("one")
    ended = command.end()
    assert ended.code == 130, ended
    seen = ground.seen()
    assert seen.run.state is RunState.SUSPENDED
    assert Counter(seen.states.values()) == {NodeState.SUCCEEDED: 1, NodeState.PENDING: 7}
    assert ground.lines("one") == ["do job0"]
    assert ground.opsflow("resume", "--executor", "serial").code == 0
    assert ground.lines("one") == [f"do job{n}" for n in range(8)]


def test_a_plan_that_drifted_is_shown_and_refused_before_anything_runs(ground):
    """TaskFlow resumes with whatever the flow's code says by then: it knows atoms by their names alone."""
    ground.playbook(step("first", "one", wait="do") + step("second", "one"))
    command = ground.start("apply", "play.toml", "--yes")
    ground.wait_line("do first", "one")
    command.kill()
    ground.go("one")
    changed = step("second", "one").replace("touch second.done", "touch second.done; echo do otherwise >> log")
    ground.playbook(step("first", "one", wait="do") + changed)
    refused = ground.opsflow("resume")
    assert refused.code == 2, refused
    assert "~ step second, with.run:" in refused.text
    assert "--accept-changes" in refused.text
    assert ground.lines("one") == ["do first"]
    accepted = ground.opsflow("resume", "--accept-changes")
    assert accepted.code == 0, accepted
    assert ground.lines("one") == ["do first", "do second", "do otherwise"]
    assert "its changes accepted by" in ground.opsflow("show").text


GIVES = """
import datetime

GIVEN = {
    "pair": lambda: (1, 2),
    "nested": lambda: {"rows": [{"at": (1,)}]},
    "moment": datetime.datetime.now,
    "numbered": lambda: {1: "one"},
    "thing": object,
    "fine": lambda: [1, 2],
}

@hookimpl
def execute(ctx, params, preview):
    ctx.run("echo do gives >> log")
    return {"found": GIVEN[ctx.step]()}

@hookimpl
def revert(ctx, params, preview, outputs):
    ctx.run("echo undo gives >> log")
"""
REFUSED = {
    "pair": "outputs.found is a tuple, which would be read back as a list",
    "nested": "outputs.found.rows[0].at is a tuple",
    "moment": "outputs.found is a datetime, which JSON does not know",
    "numbered": "outputs.found has the key 1, which is not text",
    "thing": "outputs.found is a object",
}


def test_results_that_would_not_come_back_as_they_were_are_refused_when_they_are_produced(ground):
    """TaskFlow hands a result on as it is, and after a crash as what its storage made of it: a tuple comes back a list.

    What cannot be stored at all is found out when it is stored, after the task's work.
    """
    plugin(ground, "gives", GIVES)
    for name, why in REFUSED.items():
        ground.wipe()
        ground.playbook(task_step(name, "gives"))
        ended = ground.opsflow("apply", "play.toml", "--yes")
        assert ended.code == 3, ended
        assert why in ended.text
        assert ground.lines("one") == ["do gives", "undo gives"]
        assert ground.seen().states == {f"{name}@one": NodeState.REVERTED}
    ground.wipe()
    uses = step("uses", "one").replace("touch", "echo {{ outputs.fine.found | tojson }} > found; touch")
    ground.playbook(task_step("fine", "gives") + uses)
    assert ground.opsflow("apply", "play.toml", "--yes").code == 0
    assert json.loads((ground.fleet.home("one") / "found").read_text()) == [1, 2]
