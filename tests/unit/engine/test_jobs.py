"""What a node's templates see of other nodes."""

import pytest
from world import World, host, make_plan, step

from opsflow.engine.jobs import Jobs
from opsflow.engine.run import NodeStatus
from opsflow.model import NodeState
from opsflow.playbook import TemplateRenderer

HOSTS = [host("a1", zone="a"), host("a2", zone="a"), host("b1", zone="b"), host("ab", zone=["a", "b"])]


class Counting(TemplateRenderer):
    def __init__(self):
        super().__init__(directory=".", hosts=lambda _: [])
        self.calls = 0

    def render(self, *arguments):
        self.calls += 1
        return super().render(*arguments)


def facts(steps, node, states=None, hosts=HOSTS, renderer=None):
    plan = make_plan(steps, hosts, World())
    nodes = {
        n.id: NodeStatus(id=n.id, step=n.step, host=n.host, state=NodeState.SUCCEEDED, outputs={"from": n.id})
        for n in plan.nodes
    }
    for name, state in (states or {}).items():
        nodes[name].state = state
    return Jobs(plan, nodes, "run", renderer or Counting()).prepare(node).facts


def using(text="{{ outputs.one.from }}", on="all", **more):
    return step("two", on, needs=["one"], params={"v": text}, **more)


def test_the_same_host_comes_first():
    found = facts([step("one"), using(per="zone")], "two@a2")
    assert found["outputs"] == {"one": {"from": "one@a2"}}
    assert found["host"] == "a2"


def test_then_the_same_value():
    steps = [step("one", "a1,b1"), using(on="a2", per="zone")]
    assert facts(steps, "two@a2")["outputs"] == {"one": {"from": "one@a1"}}


def test_then_the_only_one():
    assert facts([step("one", run_once=True), using()], "two@b1")["outputs"] == {"one": {"from": "one@a1"}}
    once = step("one", "a1", run_once=True)
    assert facts([once, using(per="zone")], "two@b1")["outputs"] == {"one": {"from": "one@a1"}}
    assert facts([step("one", "localhost"), using(per="zone")], "two@b1")["outputs"] == {
        "one": {"from": "one@localhost"}
    }
    assert facts([step("one", "localhost"), using()], "two@b1")["outputs"] == {"one": {"from": "one@localhost"}}


def test_several_that_could_be_meant_are_none():
    assert facts([step("one", "a1,a2"), using(on="b1")], "two@b1")["outputs"] == {"one": {}}
    assert facts([step("one", "a1,ab"), using(on="a2", per="zone")], "two@a2")["outputs"] == {"one": {}}


def test_a_node_that_matches_by_two_values_is_still_one():
    hosts = [host("x", zone=["a", "b"]), host("y", zone=["a", "b"])]
    found = facts([step("one", "x"), using(on="y", per="zone")], "two@y", hosts=hosts)
    assert found["outputs"] == {"one": {"from": "one@x"}}


@pytest.mark.parametrize("state", [NodeState.FAILED, NodeState.SKIPPED, NodeState.REVERTED, NodeState.UNKNOWN])
def test_outputs_are_of_nodes_that_are_through(state):
    assert facts([step("one"), using()], "two@a1", {"one@a1": state})["outputs"] == {"one": {}}


def test_unchanged_nodes_have_outputs_too():
    found = facts([step("one"), using()], "two@a1", {"one@a1": NodeState.UNCHANGED})
    assert found["outputs"] == {"one": {"from": "one@a1"}}


def test_by_host_has_all_that_are_through():
    found = facts([step("one"), using("{{ outputs.one.by_host['b1'].from }}")], "two@a1", {"one@a2": NodeState.SKIPPED})
    assert found["outputs"]["one"]["by_host"] == {h: {"from": f"one@{h}"} for h in ("a1", "b1", "ab")}


def test_states_and_whether_anything_changed():
    steps = [step("one"), using("{{ steps.one.state }}")]
    assert facts(steps, "two@a1")["steps"]["one"] == {"state": "succeeded", "changed": True}
    found = facts(steps, "two@a1", {"one@a1": NodeState.UNCHANGED})
    assert found["steps"]["one"] == {"state": "unchanged", "changed": False}
    apart = [step("one", "a1,a2"), using("{{ steps.one.state }}", on="b1")]
    found = facts(apart, "two@b1", {"one@a1": NodeState.UNCHANGED})
    assert found["steps"]["one"] == {"state": "mixed", "changed": True}


def test_steps_that_are_not_mentioned_are_not_sent_along():
    assert "outputs" not in facts([step("one"), using("plain")], "two@a1")


def test_finding_the_one_node_costs_the_nodes_not_their_square():
    many = [host(f"a{i}", zone=str(i)) for i in range(100)] + [host(f"b{i}", zone=str(i)) for i in range(100)]
    steps = [
        step("one", ",".join(f"a{i}" for i in range(100))),
        using(on=",".join(f"b{i}" for i in range(100)), per="zone"),
    ]
    plan, renderer = make_plan(steps, many, World()), Counting()
    nodes = {
        n.id: NodeStatus(id=n.id, step=n.step, host=n.host, state=NodeState.SUCCEEDED, outputs={"from": n.id})
        for n in plan.nodes
    }
    jobs = Jobs(plan, nodes, "run", renderer)
    for i in range(100):
        assert jobs.prepare(f"two@b{i}").facts["outputs"] == {"one": {"from": f"one@a{i}"}}
    assert renderer.calls <= 1000
