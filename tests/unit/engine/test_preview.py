"""The dry run: what is shown is so, or is called unknown."""

import pytest
from world import FakePool, PlayTasks, World, host, make_plan, step

from opsflow.engine.executors import SerialExecutor
from opsflow.engine.preview import DryRun
from opsflow.engine.stop import Stop
from opsflow.engine.work import Worker
from opsflow.errors import Interrupted, Unreachable
from opsflow.model import Action, Need, Preview
from opsflow.playbook import TemplateRenderer

HOSTS = [host("a1", zone="a"), host("a2", zone="a"), host("b1", zone="b")]


class Looking(World):
    """Nodes whose plan hook raises."""

    def __init__(self):
        super().__init__()
        self.raises = {}
        self.looked = []

    def plan(self, ctx):
        self.looked.append(ctx.node)
        if ctx.node in self.raises:
            raise self.raises[ctx.node]
        return super().plan(ctx)


@pytest.fixture
def world():
    return Looking()


def look(world, steps, hosts=HOSTS, *, stop=None, **more):
    renderer = TemplateRenderer(directory=".", hosts=lambda _: [])
    plan = make_plan(steps, hosts, world, **more)
    worker = Worker(tasks=PlayTasks(world), transports=FakePool(), renderer=renderer, secret=lambda n: n)
    dry = DryRun(plan, executor=SerialExecutor(worker), renderer=renderer, stop=stop or Stop(), run_id="preview")
    found = dry.look()
    assert world.log == [], "a dry run acts on nothing"
    return {p.node: p for p in found}


def actions(found):
    return {node: str(p.action) for node, p in found.items()}


def test_what_would_be_done(world):
    world.in_place = {"one@a1"}
    world.fail_plan = {"one@a2"}
    found = look(world, [step("one", when="zone == 'a'")])
    assert actions(found) == {"one@a1": "unchanged", "one@a2": "fail", "one@b1": "skip"}
    assert found["one@a2"].summary == "cannot be"


def test_a_change_after_a_change_is_a_change(world):
    assert set(actions(look(world, [step("one"), step("two")])).values()) == {"change"}


@pytest.mark.parametrize("kind", ["in_place", "fail_plan"])
def test_after_a_change_unchanged_and_fail_are_not_known(world, kind):
    setattr(world, kind, {"two@a1"})
    found = look(world, [step("one", "a1"), step("two", "a1")])
    assert actions(found) == {"one@a1": "change", "two@a1": "unknown"}
    assert "now: " in found["two@a1"].summary


def test_without_a_change_before_them_they_are_known(world):
    world.in_place = {"one@a1", "two@a1"}
    world.fail_plan = {"three@a1"}
    found = look(world, [step("one", "a1"), step("two", "a1"), step("three", "a1")])
    assert list(actions(found).values()) == ["unchanged", "unchanged", "fail"]


def test_what_is_not_known_makes_what_follows_unknown(world):
    world.in_place = {"two@a1", "three@a1"}
    found = look(world, [step("one", "a1"), step("two", "a1"), step("three", "a1")])
    assert list(actions(found).values()) == ["change", "unknown", "unknown"]


def test_a_skipped_node_between_does_not_make_anything_known(world):
    world.in_place = {"three@a1"}
    world.fail_plan = {"four@a1"}
    found = look(world, [step("one", "a1"), step("two", "a1", when="1 == 2"), step("three", "a1"), step("four", "a1")])
    assert list(actions(found).values()) == ["change", "skip", "unknown", "unknown"]


def test_through_a_barrier_every_host_is_downstream(world):
    world.in_place = {f"one@{h}" for h in ("a1", "a2")} | {f"two@{h.name}" for h in HOSTS}
    found = look(world, [step("one"), step("two")])
    assert {found[f"two@{h.name}"].action for h in HOSTS} == {Action.UNKNOWN}


def test_per_host_and_per_value_only_their_own_are_downstream(world):
    world.in_place = {"one@a1", "one@a2"} | {f"two@{h.name}" for h in HOSTS}
    found = look(world, [step("one"), step("two", per="host")])
    assert actions(found)["two@a1"] == "unchanged"
    assert actions(found)["two@b1"] == "unknown"
    world.in_place -= {"one@a1"}
    found = look(world, [step("one"), step("two", per="zone")])
    assert actions(found)["two@a2"] == "unknown"


def test_parameters_that_hang_on_what_is_not_there_yet_are_not_asked_about(world):
    found = look(world, [step("one", "a1"), step("two", "a1", params={"v": "{{ outputs.one.value }}"})])
    assert actions(found)["two@a1"] == "unknown"
    assert "two@a1" not in world.looked


def test_parameters_that_hang_on_what_fails_are_not_a_failure_of_their_own(world):
    world.fail_plan = {"one@a1"}
    found = look(world, [step("one", "a1"), step("two", "a1", params={"v": "{{ outputs.one.value }}"})])
    assert actions(found) == {"one@a1": "fail", "two@a1": "unknown"}


def test_parameters_that_hang_on_what_is_in_place_are_known(world):
    world.in_place = {"one@a1"}
    found = look(world, [step("one", "a1"), step("two", "a1", params={"v": "{{ outputs.one.value }}"})])
    assert actions(found)["two@a1"] == "change"
    assert "two@a1" in world.looked


@pytest.mark.parametrize("error", [Unreachable("no route"), Interrupted("link lost")])
def test_a_host_that_does_not_answer_fails_whatever_comes_before_it(world, error):
    """It is not what earlier steps will change: nothing is touched while a host does not answer."""
    world.raises = {"two@b1": error}
    found = look(world, [step("one", "a1"), step("two", "b1")])
    assert actions(found) == {"one@a1": "change", "two@b1": "fail"}


def test_whether_it_can_be_undone(world):
    world.final = {"one@a2"}
    found = look(world, [step("one", "a1,a2"), step("two", "a1", task="firm")])
    assert {n: p.reversible for n, p in found.items()} == {"one@a1": True, "one@a2": False, "two@a1": False}


def test_needs_and_order_are_the_plans(world):
    found = look(world, [step("one"), step("two", needs=[Need(step="one", per="host")])])
    assert list(found) == [f"{s}@{h.name}" for s in ("one", "two") for h in HOSTS]
    assert found["two@b1"].needs == ("one@b1",)


def test_a_wish_to_stop_ends_it(world):
    stop = Stop()
    stop.request()
    assert look(world, [step("one")], stop=stop) == {}


def test_reasons_are_told(world):
    world.plan = lambda ctx: Preview.change("do it", reversible=False, why="the old one is gone")
    found = look(world, [step("one", "a1")])
    assert found["one@a1"].summary == "do it (the old one is gone)"


def test_a_task_without_a_plan_hook_would_change(world):
    assert actions(look(world, [step("one", "a1", task="blind")])) == {"one@a1": "change"}
