"""The rules of "what happens when" where several scopes, sessions or directions meet."""

import time

import pytest
from world import Stage, World, host, make_plan, step

from opsflow.engine.stop import Stop
from opsflow.model import Irreversible, NodeState, OnFailure, Retry, RunState

HOSTS = [host("a1"), host("a2")]
OWN = {"rollback_scope": "host"}
SCHEDULES = pytest.mark.parametrize("seed", range(6))


@pytest.fixture
def world():
    return World()


def stage(tmp_path, world, steps, hosts=HOSTS, **more):
    return Stage(tmp_path, make_plan(steps, hosts, world, **more), world)


def ran(world, kind="execute"):
    return [node for what, node in world.log if what == kind]


# Failure spreads along needs


@SCHEDULES
def test_what_needs_a_node_of_a_closed_scope_is_blocked_with_it(tmp_path, world, seed):
    """`m` never began because its host was rolled back: `x`, elsewhere, must not start without it."""
    world.fail["bad@a1"] = 1
    s = stage(tmp_path, world, [
        step("bad", "a1", needs=[], **OWN),
        step("slow", "a2", needs=[], **OWN),
        step("m", "a1", needs=["slow"], **OWN),
        step("x", "a2", needs=["m"], on_failure=OnFailure.CONTINUE, **OWN),
    ])  # fmt: skip
    assert s.apply(seed=seed) == 3
    assert "x@a2" not in ran(world) or "m@a1" in ran(world)
    assert "x@a2" not in world.applied


@SCHEDULES
def test_a_node_blocked_by_a_closed_scope_counts_as_failed_in_its_own(tmp_path, world, seed):
    world.fail["bad@a1"] = 1
    s = stage(tmp_path, world, [
        step("bad", "a1", needs=[], **OWN),
        step("slow", "a2", needs=[], **OWN),
        step("m", "a1", needs=["slow"], **OWN),
        step("x", "a2", needs=["m"], **OWN),
    ])  # fmt: skip
    assert s.apply(seed=seed) == 3
    # Either `x` was blocked, and its host rolled back with it; or it ran, and was put back for `m`'s sake only.
    assert world.applied == ({"slow@a2"} if "x@a2" in ran(world) else set())


# A revert fails


@SCHEDULES
def test_what_is_before_a_stuck_revert_stays_though_another_scope_is_rolled_back_later(tmp_path, world, seed):
    world.fail["after@a1"] = 2
    world.fail_revert["after@a1"] = 9
    waits = [step(f"wait{i}", "a2", needs=[f"wait{i - 1}"] if i else []) for i in range(12)]
    s = stage(tmp_path, world, [
        step("base", "a1", needs=[]),
        step("after", "a1", needs=["base"], task="blind", **OWN, retry=Retry(attempts=2)),
        *waits,
        step("late", "a2", needs=["wait11"]),
    ])  # fmt: skip
    seen = []

    def fail_late(event):
        if getattr(event, "state", None) is NodeState.REVERT_FAILED:
            seen.append("late@a2" in ran(world))
            world.fail["late@a2"] = 1

    s.listen(fail_late)
    assert s.apply(seed=seed) == 4
    assert seen == [False], "a schedule that shows nothing: make the way to `late` longer"
    assert s.states()["after@a1"] is NodeState.REVERT_FAILED
    assert "base@a1" in world.applied, "it was taken away from below what still stands on it"
    assert s.run_state() is RunState.ROLLBACK_INCOMPLETE
    assert not any(n.endswith("@a2") for n in world.applied)


@SCHEDULES
def test_what_is_before_an_irreversible_change_stays_though_another_scope_is_rolled_back_later(tmp_path, world, seed):
    world.fail["bad@a1"] = 1
    world.fail["late@a2"] = 1
    s = stage(tmp_path, world, [
        step("base", "a1", needs=[]),
        step("firm", "a1", needs=["base"], task="firm", **OWN),
        step("bad", "a1", needs=["firm"], **OWN),
        step("wait", "a2", needs=[]),
        step("late", "a2", needs=["wait", "firm"]),
    ])  # fmt: skip
    assert s.apply(seed=seed) == 4
    assert {"base@a1", "firm@a1"} <= world.applied
    assert not {"wait@a2", "late@a2", "bad@a1"} & world.applied


@SCHEDULES
def test_an_incomplete_rollback_is_not_forgotten_when_the_run_is_suspended_and_resumed(tmp_path, world, seed):
    world.fail["one@a1"] = 2
    world.fail_revert["one@a1"] = 9
    waits = [step(f"wait{i}", "a2", needs=[f"wait{i - 1}"] if i else [], **OWN) for i in range(12)]
    s = stage(tmp_path, world, [step("one", "a1", needs=[], task="blind", retry=Retry(attempts=2), **OWN), *waits])
    stop = s.stop
    s.listen(lambda e: getattr(e, "state", None) is NodeState.REVERT_FAILED and stop.request())
    assert s.apply(seed=seed) == 130
    s.stop = Stop()
    assert s.resume(seed=seed) == 4
    assert s.run_state() is RunState.ROLLBACK_INCOMPLETE
    assert "wait11@a2" in world.applied


# Exit codes


def test_resuming_a_run_whose_failed_scopes_are_all_back_changes_nothing(tmp_path, world):
    world.fail["one@a1"] = 1
    s = stage(tmp_path, world, [step("one", per="host", **OWN)])
    assert s.apply() == 3
    assert s.run_state() is RunState.FAILED
    before = list(world.log)
    assert s.resume() == 3
    assert s.run_state() is RunState.FAILED
    assert world.log == before


@pytest.mark.parametrize("rule", [OnFailure.HALT, OnFailure.CONTINUE])
def test_a_rollback_that_was_asked_for_succeeds_though_a_node_had_failed_before_it_changed_anything(
    tmp_path, world, rule
):
    world.fail_plan = {"two@a1"}
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1", on_failure=rule)])
    assert s.apply() == 1
    assert s.rollback() == 0
    assert s.run_state() is RunState.ROLLED_BACK


def test_a_rollback_that_was_asked_for_and_steps_over_something_says_so_and_holds_nothing(tmp_path, world):
    world.fail_plan = {"three@a1"}
    allowed = step("two", "a1", task="firm", irreversible=Irreversible.ALLOW)
    steps = [step("one", "a1"), allowed, step("three", "a1", on_failure=OnFailure.HALT), step("four", "a1")]
    s = stage(tmp_path, world, steps)
    assert s.apply() == 1
    assert s.rollback() == 0
    assert world.applied == {"two@a1"}
    assert NodeState.PENDING not in s.states().values(), "it never goes forward again"
    assert not s.holds()


def test_a_halted_run_holds_its_hosts_though_nothing_is_pending(tmp_path, world):
    world.fail["one@a1"] = 1
    s = stage(tmp_path, world, [step("one", "a1", on_failure=OnFailure.HALT)])
    assert s.apply() == 1
    assert s.holds()


def test_a_run_that_rolled_back_holds_nothing(tmp_path, world):
    world.fail["one@a1"] = 1
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1")])
    assert s.apply() == 3
    assert not s.holds()


# Retries


def test_a_rollback_does_not_wait_for_the_retry_of_a_node_that_it_blocked(tmp_path, world):
    world.fail["slow@a1"] = 9
    world.fail["bad@a2"] = 1
    s = stage(tmp_path, world, [
        step("slow", "a1", needs=[], retry=Retry(attempts=2, delay=12), task="blind"),
        step("other", "a2", needs=[]),
        step("bad", "a2", needs=["other"]),
    ])  # fmt: skip
    began = time.monotonic()
    assert s.apply() == 3
    assert time.monotonic() - began < 10


# at_once


@SCHEDULES
def test_at_once_holds_for_both_directions_together(tmp_path, world, seed):
    hosts = [host(f"h{i}") for i in range(5)]
    world.fail["two@h0"] = 1
    s = stage(tmp_path, world, [
        step("two", "h0", needs=["one"], per="host", **OWN),
        step("one", needs=[], at_once=1, **OWN),
    ], hosts, flow="graph")  # fmt: skip
    open_, most = set(), 0

    def count(event):
        nonlocal most
        name, node = type(event).__name__, getattr(event, "node", "")
        if node.startswith("one@"):
            if name == "NodeStarted":
                open_.add(node)
            elif name in {"NodeFinished", "NodeRetrying"}:
                open_.discard(node)
            most = max(most, len(open_))

    s.listen(count)
    assert s.apply(seed=seed) == 3
    assert "one@h0" in ran(world, "revert")
    assert most == 1


# Stops


def test_what_has_come_in_is_kept_when_the_operator_lets_go(tmp_path, world):
    s = stage(tmp_path, world, [step("one", "a1")])

    def twice(node):
        s.stop.request()
        s.stop.request()

    world.on_execute = twice
    assert s.apply() == 130 or s.run_state() is RunState.SUCCEEDED
    assert s.states()["one@a1"] is NodeState.SUCCEEDED
