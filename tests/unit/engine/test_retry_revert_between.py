"""`retry.revert_between`: a failed attempt is reverted before the next one, whoever dies in between."""

from contextlib import suppress

import pytest
from world import Crash, FakePool, Stage, World, host, make_plan, step

from opsflow.engine import reverting
from opsflow.engine.stop import Stop
from opsflow.errors import InputError
from opsflow.model import Asked, AttemptState, NodeState, OnFailure, OnUnknown, Phase, Retry, RunState

HOSTS = [host("a1"), host("a2")]
NODE = "one@a1"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(reverting, "_ONCE_MORE", Retry(attempts=2))


@pytest.fixture
def world():
    return World()


def stage(tmp_path, world, steps, hosts=HOSTS, **more):
    made = Stage(tmp_path, make_plan(steps, hosts, world, **more), world)
    made.pool = FakePool()
    return made


def trying(attempts=3, **more):
    return step("one", "a1", retry=Retry(attempts=attempts, revert_between=True), **more)


def told(s, node=NODE):
    """The attempts of a node, in order: what each is, undoes, and came to."""
    return [(a.phase.value, a.n, a.undoes, a.state.value) for a in s.node(node).attempts]


def test_the_failed_attempt_is_reverted_before_the_next_begins(tmp_path, world):
    world.fail[NODE] = 2
    s = stage(tmp_path, world, [trying()])
    assert s.apply() == 0
    assert [what for what, _ in world.log] == ["execute", "revert", "execute", "revert", "execute"]
    assert told(s) == [
        ("execute", 1, None, "failed"), ("revert", 1, 1, "succeeded"),
        ("execute", 2, None, "failed"), ("revert", 2, 2, "succeeded"),
        ("execute", 3, None, "succeeded"),
    ]  # fmt: skip
    assert world.applied == {NODE}


def test_what_is_reverted_already_is_not_reverted_by_the_rollback(tmp_path, world):
    world.fail[NODE] = 2
    s = stage(tmp_path, world, [trying(attempts=2)])
    assert s.apply() == 3
    assert told(s) == [
        ("execute", 1, None, "failed"), ("revert", 1, 1, "succeeded"),
        ("execute", 2, None, "failed"), ("revert", 2, 2, "succeeded"),
    ]  # fmt: skip
    assert s.run_state() is RunState.ROLLED_BACK


def test_each_revert_sees_what_its_attempt_was_given(tmp_path, world):
    world.fail[NODE] = 1
    seen = []
    world.during = lambda ctx: seen.append((ctx.phase.value, ctx.attempt, ctx.vars["mirror"]))
    retry = Retry(attempts=0, vary={"mirror": ["x", "y"]}, revert_between=True)
    s = stage(tmp_path, world, [step("one", "a1", retry=retry)])
    assert s.apply() == 0
    assert seen == [("execute", 1, "x"), ("revert", 1, "x"), ("execute", 2, "y")]


def test_an_attempt_that_never_reached_the_host_has_nothing_to_revert(tmp_path, world):
    world.unreachable.add(NODE)
    s = stage(tmp_path, world, [trying(attempts=2)])
    assert s.apply() == 3
    assert [what for what, _ in world.log] == ["execute", "execute"]


def test_a_revert_that_fails_is_retried(tmp_path, world):
    world.fail[NODE] = world.fail_revert[NODE] = 1
    s = stage(tmp_path, world, [trying()])
    assert s.apply() == 0
    assert told(s) == [
        ("execute", 1, None, "failed"), ("revert", 1, 1, "failed"), ("revert", 2, 1, "succeeded"),
        ("execute", 2, None, "succeeded"),
    ]  # fmt: skip


def test_one_that_fails_for_good_fails_the_node_and_the_rollback_tries_once_more(tmp_path, world):
    world.fail[NODE], world.fail_revert[NODE] = 1, 3
    s = stage(tmp_path, world, [trying(), step("two", "a1")])
    assert s.apply() == 3
    assert [what for what, _ in world.log] == ["execute", "revert", "revert", "revert", "revert"]
    assert s.run_state() is RunState.ROLLED_BACK
    assert s.states() == {NODE: NodeState.REVERTED, "two@a1": NodeState.BLOCKED}


def test_or_the_run_is_left_incomplete(tmp_path, world):
    world.fail[NODE], world.fail_revert[NODE] = 1, 99
    s = stage(tmp_path, world, [trying()])
    assert s.apply() == 4
    assert s.states()[NODE] is NodeState.REVERT_FAILED


@pytest.mark.parametrize("at", range(2, 24))
def test_a_controller_that_dies_anywhere_is_followed_by_one_that_finishes_the_revert_first(tmp_path, world, at):

    def once(ctx):
        if ctx.node == NODE and ctx.phase is Phase.EXECUTE and ctx.attempt < 3:
            world.applied.add(ctx.node)
            raise RuntimeError("as told")

    world.during = once
    s = stage(tmp_path, world, [trying(), step("two", "a1")])
    with suppress(Crash):
        s.apply(crash_at=at / 2)
    for _ in range(20):
        if s.run_state() is RunState.SUCCEEDED:
            break
        with suppress(Crash):
            s.resume(crash_at=4.5)
    assert s.run_state() is RunState.SUCCEEDED
    executed = [a for a in s.node(NODE).attempts if a.phase is Phase.EXECUTE]
    assert [(a.n, a.state) for a in executed] == [
        (1, AttemptState.FAILED), (2, AttemptState.FAILED), (3, AttemptState.SUCCEEDED),
    ]  # fmt: skip
    order = [(a.phase, a.n if a.phase is Phase.EXECUTE else a.undoes, a.state) for a in s.node(NODE).attempts]
    for n in (1, 2):
        reverted = order.index((Phase.REVERT, n, AttemptState.SUCCEEDED))
        assert order.index((Phase.EXECUTE, n, AttemptState.FAILED)) < reverted
        assert reverted < next(i for i, (phase, m, _) in enumerate(order) if (phase, m) == (Phase.EXECUTE, n + 1))
    assert order.count((Phase.REVERT, 1, AttemptState.SUCCEEDED)) == 1


def test_an_attempt_of_unknown_fate_is_not_simply_repeated(tmp_path, world):
    world.lose.add(NODE)
    s = stage(tmp_path, world, [trying(task="blind", on_unknown=OnUnknown.ASK)])
    assert s.apply() == 4
    assert s.states()[NODE] is NodeState.UNKNOWN
    assert [what for what, _ in world.log] == ["execute"]


@pytest.mark.parametrize("seed", range(8))
def test_a_scope_that_closes_meanwhile_takes_over_what_is_left(tmp_path, world, seed):
    world.fail[NODE] = 1
    world.fail_revert[NODE] = 1
    world.fail["bad@a2"] = 1
    s = stage(tmp_path, world, [trying(needs=[]), step("bad", "a2", needs=[])])
    assert s.apply(seed=seed) == 3
    assert world.applied == set()
    assert s.run_state() is RunState.ROLLED_BACK
    succeeded = [undoes for what, _, undoes, state in told(s) if (what, state) == ("revert", "succeeded")]
    assert len(succeeded) == len(set(succeeded)), "an attempt was reverted twice"
    assert s.states()[NODE] in {NodeState.REVERTED, NodeState.BLOCKED, NodeState.FAILED}


def test_a_halt_elsewhere_lets_the_revert_end_and_the_resumed_run_goes_on(tmp_path, world):
    world.fail[NODE] = world.fail["bad@a2"] = 1
    s = stage(tmp_path, world, [trying(needs=[]), step("bad", "a2", needs=[], on_failure=OnFailure.HALT)])
    assert s.apply() == 1
    assert s.resume() == 0
    assert [what for what, node in world.log if node == NODE] == ["execute", "revert", "execute"]


def test_a_node_that_failed_for_good_is_reverted_before_the_resumed_run_tries_it_again(tmp_path, world):
    world.fail[NODE] = 1
    s = stage(tmp_path, world, [trying(attempts=2, on_failure=OnFailure.HALT)])
    world.fail[NODE] = 2
    assert s.apply() == 1
    assert world.applied == {NODE}
    assert s.resume() == 0
    assert [what for what, _ in world.log] == ["execute", "revert", "execute", "revert", "execute"]


def test_stopping_in_the_middle_leaves_the_rest_to_the_resumed_run(tmp_path, world):
    world.fail[NODE] = 1
    world.fail_revert[NODE] = 1
    s = stage(tmp_path, world, [trying()])
    s.listen(lambda e: s.stop.request() if getattr(e, "phase", None) is Phase.REVERT else None)
    assert s.apply() == 130
    assert s.states()[NODE] is NodeState.RUNNING
    s.stop = Stop()
    s.listeners = []
    assert s.resume() == 0
    assert told(s)[-1] == ("execute", 2, None, "succeeded")


def test_a_rollback_by_the_operator_takes_it_from_there(tmp_path, world):
    world.fail[NODE] = 1
    world.fail_revert[NODE] = 1
    s = stage(tmp_path, world, [step("zero"), trying()])
    s.listen(lambda e: s.stop.request() if getattr(e, "phase", None) is Phase.REVERT else None)
    assert s.apply() == 130
    s.stop = Stop()
    s.listeners = []
    assert s.rollback() == 0
    assert world.applied == set()
    assert s.run_state() is RunState.ROLLED_BACK


def test_a_cancelled_attempt_is_reverted_before_the_next(tmp_path, world):
    s = stage(tmp_path, world, [trying()])

    def cancel(ctx):
        s.ask(Asked.CANCEL, kill=True)
        for _ in range(600):
            ctx.sleep(0.1)

    world.during = cancel
    assert s.apply(threads=True) == 130
    s.stop = Stop()
    world.during = lambda ctx: None
    assert s.resume() == 0
    assert [what for what, *_ in told(s)] == ["execute", "revert", "execute"]


def test_a_change_that_cannot_be_undone_is_not_tried_again_and_that_is_said(tmp_path, world):
    world.fail[NODE] = 1
    world.final.add(NODE)
    s = stage(tmp_path, world, [trying(on_failure=OnFailure.HALT)])
    assert s.apply() == 1
    error = s.node(NODE).error
    assert error.message == "as told"
    assert "cannot be undone" in error.hint
    assert "retry.revert_between" in error.hint
    assert s.resume() == 1
    assert [what for what, _ in world.log] == ["execute"]


def test_a_task_that_cannot_be_reverted_is_refused(world):
    with pytest.raises(InputError, match="a failed attempt of the task 'firm' cannot be reverted"):
        make_plan([trying(task="firm")], HOSTS, world)


def test_at_once_holds_for_these_reverts_too(tmp_path, world):
    at_work, most = set(), []

    def count(ctx):
        at_work.add(ctx.node)
        most.append(len(at_work))
        ctx.sleep(0.01)
        at_work.discard(ctx.node)

    world.during = count
    hosts = [host(f"a{n}") for n in range(6)]
    for n in range(6):
        world.fail[f"one@a{n}"] = 1
    s = stage(tmp_path, world, [step("one", retry=Retry(attempts=2, revert_between=True), at_once=1)], hosts)
    assert s.apply(threads=True) == 0
    assert max(most) == 1
    assert len(world.log) == 18
