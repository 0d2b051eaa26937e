"""What goes on, and what cannot any more, when a part of a run failed or was put back."""

import pytest
from world import Stage, World, host, make_plan, step

from opsflow.engine.stop import Stop
from opsflow.model import Need, NodeState, OnFailure

HOSTS = [host("a1", shard="a"), host("b1", shard="b")]


def test_what_failed_and_needs_what_was_rolled_back_is_not_tried_again(tmp_path):
    world = World()
    world.fail_plan = {"fails@a1", "undoes@a1"}
    steps = [
        step("first", "a1", rollback_scope="host"),
        step("fails", "a1", needs=["first"], rollback_scope="shard", on_failure=OnFailure.CONTINUE),
        step("goes", "a1", needs=["first"], rollback_scope="host"),
        step("undoes", "a1", needs=["goes"], rollback_scope="host"),
    ]
    s = Stage(tmp_path, make_plan(steps, HOSTS, world, flow="graph"), world)
    assert s.apply() == 1
    assert (s.states()["fails@a1"], s.states()["first@a1"]) == (NodeState.FAILED, NodeState.REVERTED)
    world.fail_plan.clear()
    assert s.resume() == 1
    assert ("execute", "fails@a1") not in world.log
    assert s.states()["fails@a1"] is NodeState.FAILED


def test_nor_does_its_failure_halt_the_run_once_more(tmp_path):
    found = 0
    for seed in range(12):
        directory = tmp_path / str(seed)
        directory.mkdir()
        world = World()
        world.fail_plan = {"halts@a1", "undoes@a1"}
        chain = [
            step(
                f"later{n}",
                "b1",
                needs=[f"later{n - 1}"] if n else [Need(step="first", per="host")],
                rollback_scope="shard",
            )
            for n in range(8)
        ]
        steps = [
            step("first", rollback_scope="host"),
            step("halts", "a1", needs=[Need(step="first", per="host")], rollback_scope="shard", on_failure=OnFailure.HALT),
            step("undoes", "a1", needs=[Need(step="first", per="host")], rollback_scope="host"),
            *chain,
        ]  # fmt: skip
        s = Stage(directory, make_plan(steps, HOSTS, world, flow="graph"), world)
        s.apply(seed=seed)
        if (s.states()["halts@a1"], s.states()["later7@b1"]) != (NodeState.FAILED, NodeState.PENDING):
            continue  # it was blocked before it had looked, or all else was through
        found += 1
        world.fail_plan.clear()
        assert s.resume(seed=seed) == 1
        assert ("execute", "halts@a1") not in world.log
        assert s.states()["later7@b1"] is NodeState.SUCCEEDED
    assert found


@pytest.mark.parametrize(("verdict", "state"), [("failed", NodeState.FAILED), ("reverted", NodeState.REVERTED)])
@pytest.mark.parametrize("at_end", [False, True])
def test_what_waits_for_a_node_that_is_marked_is_blocked_where_it_waited_again(tmp_path, verdict, state, at_end):
    world = World()
    world.lose = {"first@a1"}
    steps = [
        step("first", "a1", task="blind", on_failure=OnFailure.CONTINUE, at_end=at_end),
        step("then", "a1", needs=["first"], on_failure=OnFailure.CONTINUE, at_end=at_end),
    ]
    s = Stage(tmp_path, make_plan(steps, HOSTS, world, flow="graph"), world)
    assert s.apply() == 4
    s.stop.request()
    assert s.resume() == 130  # it looked forward to finding out
    assert s.states() == {"first@a1": NodeState.UNKNOWN, "then@a1": NodeState.PENDING}
    s.mark("first@a1", verdict)
    s.stop = Stop()
    s.resume()
    assert ("execute", "then@a1") not in world.log
    assert s.states() == {"first@a1": state, "then@a1": NodeState.BLOCKED}
