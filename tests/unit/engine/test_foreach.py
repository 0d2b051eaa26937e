"""Steps with `foreach` in a run: each item is a node of its own."""

import time
from collections import Counter

import pytest
from world import Crash, FakePool, Stage, World, host, make_plan, step

from opsflow.engine.jobs import Jobs
from opsflow.engine.run import NodeStatus
from opsflow.model import NodeState, OnFailure
from opsflow.playbook import TemplateRenderer

TWO = [host("a1"), host("b1")]
RENDERER = TemplateRenderer(directory=".", hosts=lambda _: [])


def stage(tmp_path, steps, hosts=TWO, **trouble):
    world = World(**trouble)
    return Stage(tmp_path, make_plan(steps, hosts, world), world)


def facts(steps, node, states=None, hosts=TWO):
    plan = make_plan(steps, hosts, World())
    nodes = {
        n.id: NodeStatus(id=n.id, step=n.step, host=n.host, state=NodeState.SUCCEEDED, outputs={"from": n.id})
        for n in plan.nodes
    }
    for name, state in (states or {}).items():
        nodes[name].state = state
    return Jobs(plan, nodes, "run", RENDERER).prepare(node).facts


# What templates see


def test_templates_see_the_item():
    assert facts([step("one", foreach=({"key": "k", "v": 1},))], "one[k]@a1")["item"] == {"key": "k", "v": 1}
    assert "item" not in facts([step("one")], "one@a1")


def using(text, hosts="all", **more):
    return step("two", hosts, needs=["one"], params={"v": text}, **more)


def test_outputs_are_those_for_the_same_item_on_the_same_host():
    steps = [step("one", foreach=("x", "y")), using("{{ outputs.one.from }}", foreach=("y", "z"))]
    assert facts(steps, "two[y]@b1")["outputs"]["one"] == {"from": "one[y]@b1"}
    assert facts(steps, "two[z]@b1")["outputs"]["one"] == {}


def test_outputs_for_an_item_are_found_elsewhere_too():
    steps = [step("one", "localhost", foreach=("x", "y")), using("{{ outputs.one.from }}", foreach=("y",))]
    assert facts(steps, "two[y]@b1")["outputs"]["one"] == {"from": "one[y]@localhost"}
    steps = [step("one", "a1", foreach=("x", "y")), using("{{ outputs.one.from }}", "b1", foreach=("y",), per="item")]
    assert facts(steps, "two[y]@b1")["outputs"]["one"] == {"from": "one[y]@a1"}


def test_outputs_of_a_step_without_items_are_the_hosts():
    steps = [step("one"), using("{{ outputs.one.from }}", foreach=("x",))]
    assert facts(steps, "two[x]@b1")["outputs"]["one"] == {"from": "one@b1"}


def test_of_several_items_a_template_has_to_say_which():
    steps = [step("one", foreach=("x", "y")), using("{{ outputs.one.by_item.x.from }}")]
    found = facts(steps, "two@b1", {"one[y]@b1": NodeState.SKIPPED})["outputs"]["one"]
    assert found["by_item"] == {"x": {"from": "one[x]@b1"}}
    assert found["by_host"]["a1"] == {"x": {"from": "one[x]@a1"}, "y": {"from": "one[y]@a1"}}
    assert found.keys() == {"by_item", "by_host"}


def test_an_item_that_is_on_several_other_hosts_has_no_one_output():
    steps = [step("one", foreach=("x",)), using("{{ outputs.one.by_item }}", "localhost")]
    assert facts(steps, "two@localhost")["outputs"]["one"]["by_item"] == {}


def test_the_state_of_a_step_is_that_of_its_items_here():
    steps = [step("one", foreach=("x", "y")), using("{{ steps.one.state }}")]
    states = {"one[x]@a1": NodeState.UNCHANGED, "one[y]@a1": NodeState.UNCHANGED}
    assert facts(steps, "two@a1", states)["steps"]["one"] == {"state": "unchanged", "changed": False}
    assert facts(steps, "two@a1", {"one[x]@a1": NodeState.SKIPPED})["steps"]["one"]["state"] == "mixed"


# Running


def test_each_item_is_done_and_an_empty_list_is_skipped(tmp_path):
    hosts = [host("a1", them=["x", "y"]), host("b1", them=[])]
    play = stage(tmp_path, [step("one", foreach="{{ them }}"), step("two", per="host")], hosts)
    assert play.apply() == 0
    assert play.states() == {
        "one[x]@a1": "succeeded", "one[y]@a1": "succeeded", "one@b1": "skipped",
        "two@a1": "succeeded", "two@b1": "succeeded",
    }  # fmt: skip


def test_a_failed_item_blocks_what_waits_for_its_host_only(tmp_path):
    steps = [step("one", foreach=("x", "y"), on_failure=OnFailure.CONTINUE), step("two", foreach=("u", "v"))]
    play = stage(tmp_path, steps, fail=Counter({"one[x]@a1": 1}))
    assert play.apply() == 1
    assert {n: s for n, s in play.states().items() if n.startswith("two")} == {
        "two[u]@a1": "blocked", "two[v]@a1": "blocked", "two[u]@b1": "succeeded", "two[v]@b1": "succeeded",
    }  # fmt: skip


def test_a_failed_item_puts_back_only_its_own_scope(tmp_path):
    steps = [
        step("one", "localhost", foreach=("x", "y"), rollback_scope="item"),
        step("two", "localhost", foreach=("x", "y"), rollback_scope="item", per="item"),
    ]
    play = stage(tmp_path, steps, fail=Counter({"two[y]@localhost": 1}))
    assert play.apply() == 3
    assert play.states() == {
        "one[x]@localhost": "succeeded", "one[y]@localhost": "reverted",
        "two[x]@localhost": "succeeded", "two[y]@localhost": "reverted",
    }  # fmt: skip


def test_a_run_of_items_that_died_goes_on_where_it_was(tmp_path):
    play = stage(tmp_path, [step("one", foreach=("x", "y"))])
    play.pool = FakePool()
    with pytest.raises(Crash):
        play.apply(crash_at=4)
    before = [node for what, node in play.world.log if what == "execute"]
    assert 0 < len(before) < 4
    assert play.resume() == 0
    assert set(play.states().values()) == {"succeeded"}
    assert play.world.applied == {"one[x]@a1", "one[y]@a1", "one[x]@b1", "one[y]@b1"}


def test_no_more_items_at_once_than_the_step_says(tmp_path):
    at_work, most = set(), []

    def during(ctx):
        at_work.add(ctx.node)
        most.append(len(at_work))
        time.sleep(0.01)
        at_work.discard(ctx.node)

    play = stage(tmp_path, [step("one", foreach=("x", "y", "z"), at_once=1)], during=during)
    assert play.apply(threads=True) == 0
    assert max(most) == 1
    assert len(most) == 6
