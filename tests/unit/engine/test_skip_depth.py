"""`skip_depth = "all"`: what needs a skipped node is skipped, too."""

from collections import Counter

import pytest
from world import Crash, FakePool, PlayTasks, Stage, World, host, make_plan, step

from opsflow.engine.executors import SerialExecutor
from opsflow.engine.preview import DryRun
from opsflow.engine.stop import Stop
from opsflow.engine.work import Worker
from opsflow.model import Mark, Need, OnFailure
from opsflow.playbook import TemplateRenderer

TWO = [host("a1", old=True), host("b1", old=False)]
RENDERER = TemplateRenderer(directory=".", hosts=lambda _: [])


def stage(tmp_path, steps, hosts=TWO, **trouble):
    world = World(**trouble)
    return Stage(tmp_path, make_plan(steps, hosts, world), world)


DECIDES = {"when": "old", "skips_all": True}


def test_what_needs_a_skipped_node_is_skipped_all_the_way_on_its_host(tmp_path):
    play = stage(tmp_path, [step("one", **DECIDES), step("two"), step("three", per="host"), step("four")])
    assert play.apply() == 0
    assert play.states() == {
        f"{s}@{h}": "succeeded" if h == "a1" else "skipped"
        for s in ("one", "two", "three", "four")
        for h in ("a1", "b1")
    }
    assert all(node.endswith("@a1") for _, node in play.world.log)


def test_without_it_a_skipped_node_is_a_met_need(tmp_path):
    play = stage(tmp_path, [step("one", when="old"), step("two")])
    assert play.apply() == 0
    assert play.states()["two@b1"] == "succeeded"


def test_where_the_waiting_step_is_on_other_hosts_all_of_it_is_skipped(tmp_path):
    play = stage(
        tmp_path, [step("one", "localhost", when="false", skips_all=True), step("two"), step("three", needs=[])]
    )
    assert play.apply() == 0
    assert {n for n, s in play.states().items() if s == "skipped"} == {"one@localhost", "two@a1", "two@b1"}


def test_what_needs_other_nodes_too_is_skipped_all_the_same(tmp_path):
    steps = [step("one", "b1", **DECIDES), step("other", "b1", needs=[]), step("two", "b1", needs=["one", "other"])]
    play = stage(tmp_path, steps)
    assert play.apply() == 0
    assert play.states() == {"one@b1": "skipped", "other@b1": "succeeded", "two@b1": "skipped"}


def test_that_something_else_failed_leaves_it_blocked_and_skipped_when_that_is_mended(tmp_path):
    """Blocked first, then decided over: `resume` must not run it because its other need is met by then."""
    steps = [
        step("bad", "b1", on_failure=OnFailure.CONTINUE),
        step("slow", "b1", needs=[]),
        step("one", "b1", needs=["slow"], **DECIDES),
        step("two", "b1", needs=["bad", "one"]),
    ]
    play = stage(tmp_path, steps, fail=Counter({"bad@b1": 1}))
    play.apply()
    assert play.states()["one@b1"] == "skipped"
    assert play.resume() == 0
    assert play.states()["two@b1"] == "skipped"
    assert ("execute", "two@b1") not in play.world.log


@pytest.mark.parametrize("at", [n / 2 for n in range(1, 9)])
def test_a_run_that_dies_while_it_decides_comes_to_the_same(tmp_path, at):
    play = stage(tmp_path, [step("one", **DECIDES), step("two"), step("three", per="host")])
    play.pool = FakePool()
    try:
        code = play.apply(crash_at=at)
    except Crash:
        code = play.resume()
    assert code == 0
    assert {n for n, s in play.states().items() if s == "skipped"} == {"one@b1", "two@b1", "three@b1"}


def test_a_node_that_an_operator_called_skipped_decides_over_nothing(tmp_path):
    steps = [step("one", "a1", on_failure=OnFailure.HALT, **DECIDES), step("two", "a1")]
    play = stage(tmp_path, steps, fail_plan={"one@a1"})
    assert play.apply() == 1
    assert play.mark("one@a1", Mark.SKIPPED)["state"] == "skipped"
    assert play.resume() == 0
    assert play.states() == {"one@a1": "skipped", "two@a1": "succeeded"}


def test_at_the_end_it_holds_among_what_runs_there(tmp_path):
    steps = [step("one"), step("last", at_end=True, **DECIDES), step("after", at_end=True, per="host")]
    play = stage(tmp_path, steps)
    assert play.apply() == 0
    assert {n for n, s in play.states().items() if s == "skipped"} == {"last@b1", "after@b1"}


def test_a_dry_run_tells_what_is_skipped_with_it():
    steps = [step("one", **DECIDES), step("two", needs=[Need(step="one", per="host")])]
    world = World()
    plan = make_plan(steps, TWO, world)
    worker = Worker(tasks=PlayTasks(world), transports=FakePool(), renderer=RENDERER, secret=str)
    found = DryRun(plan, executor=SerialExecutor(worker), renderer=RENDERER, stop=Stop(), run_id="p").look()
    assert [(n.node, str(n.action), n.summary) for n in found if n.host == "b1"] == [
        ("one@b1", "skip", "skipped: its condition is false"),
        ("two@b1", "skip", "skipped with one@b1"),
    ]
