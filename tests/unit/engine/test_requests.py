"""What other processes ask of a run: cancel, cancel --kill, mark; of one that is driven, and of one that is not."""

import threading
from collections import Counter

import pytest
from world import Crash, FakePool, Stage, World, host, make_plan, step

from opsflow.engine.stop import Stop
from opsflow.errors import OpsflowError
from opsflow.journal import store
from opsflow.model import Asked, AttemptState, Irreversible, NodeState, OnFailure, Phase, RunState

HOSTS = [host("a1"), host("a2")]
BOTH = {"one@a1", "one@a2"}


@pytest.fixture(autouse=True)
def _hear_at_once(monkeypatch):
    monkeypatch.setattr(store, "_HEAR_SECONDS", 0.0)


@pytest.fixture
def world():
    return World()


def stage(tmp_path, world, steps, hosts=HOSTS, **more):
    made = Stage(tmp_path, make_plan(steps, hosts, world, **more), world)
    made.pool = FakePool()
    return made


class Held:
    """Nodes that wait in their hook until they are let go; `then` is called once when they all are there."""

    def __init__(self, world, nodes, then, phase=Phase.EXECUTE):
        self.nodes, self.then, self.phase = set(nodes), then, phase
        self.there, self.go = set(), threading.Event()
        self.lock = threading.Lock()
        world.during = self

    def __call__(self, ctx):
        if ctx.node not in self.nodes or ctx.phase is not self.phase:
            return
        with self.lock:
            self.there.add(ctx.node)
            all_there = self.there == self.nodes
        if all_there:
            self.nodes = set()
            self.then()
        for _ in range(600):
            if self.go.is_set():
                return
            ctx.sleep(0.1)
        raise AssertionError("nobody let it go")


def executed(s, node):
    return [(a.n, a.state, a.error.kind if a.error else "") for a in s.node(node).attempts if a.phase is Phase.EXECUTE]


# Cancel


def test_cancel_waits_for_what_runs_and_starts_nothing_more(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), step("two")])
    held = Held(world, BOTH, lambda: s.ask(Asked.CANCEL))
    s.listen(lambda event: held.go.set() if type(event).__name__ == "RunStopping" else None)
    assert s.apply(threads=True) == 130
    assert s.run_state() is RunState.SUSPENDED
    assert s.states() == {
        "one@a1": NodeState.SUCCEEDED, "one@a2": NodeState.SUCCEEDED,
        "two@a1": NodeState.PENDING, "two@a2": NodeState.PENDING,
    }  # fmt: skip
    (answer,) = s.answers()
    assert (set(answer["at_work"]), answer["kill"]) == (BOTH, False)
    stopping = [e for e in s.events if type(e).__name__ == "RunStopping"]
    assert [(e.by, e.kill) for e in stopping] == [("ops@far", False)]
    s.stop = Stop()
    assert s.resume() == 0


def test_cancel_asked_twice_does_not_detach(tmp_path, world):
    s = stage(tmp_path, world, [step("one")])

    def ask():
        s.ask(Asked.CANCEL)
        s.ask(Asked.CANCEL, again=True)

    held = Held(world, BOTH, ask)
    heard = []

    def let_go(event):
        heard.extend([event] if type(event).__name__ == "RunStopping" else [])
        if len(heard) == 2:
            held.go.set()

    s.listen(let_go)
    assert s.apply(threads=True) == 0  # both were waited for, and nothing was left to be done
    assert set(s.states().values()) == {NodeState.SUCCEEDED}


def test_kill_ends_the_attempts_without_a_rollback_and_a_resume_makes_new_ones(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), step("two")])
    Held(world, BOTH, lambda: s.ask(Asked.CANCEL, kill=True))
    assert s.apply(threads=True) == 130
    assert s.run_state() is RunState.SUSPENDED
    assert set(s.states().values()) == {NodeState.PENDING}
    for node in BOTH:
        assert executed(s, node) == [(1, AttemptState.FAILED, "Cancelled")]
        assert s.node(node).attempts[0].error.message == "cancelled by ops@far"
    assert s.holds() == {"a1", "a2"}
    assert world.log == []

    s.stop = Stop()
    assert s.resume() == 0
    for node in BOTH:
        assert [state for _, state, _ in executed(s, node)] == [AttemptState.FAILED, AttemptState.SUCCEEDED]
    assert not [what for what, _ in world.log if what == "revert"]


def test_kill_after_a_cancel_ends_what_the_cancel_waits_for(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), step("two")])
    Held(world, BOTH, lambda: s.ask(Asked.CANCEL))
    s.listen(
        lambda event: (
            s.ask(Asked.CANCEL, kill=True) if type(event).__name__ == "RunStopping" and not event.kill else None
        )
    )
    assert s.apply(threads=True) == 130
    assert {executed(s, node)[0][1:] for node in BOTH} == {(AttemptState.FAILED, "Cancelled")}


def test_a_hook_that_swallows_its_end_has_not_succeeded(tmp_path, world):
    s = stage(tmp_path, world, [step("one")])
    held = Held(world, BOTH, lambda: s.ask(Asked.CANCEL, kill=True))

    def swallow(ctx):
        try:
            held(ctx)
        except BaseException:
            return {}

    world.execute = swallow
    assert s.apply(threads=True) == 130
    assert set(s.states().values()) == {NodeState.PENDING}
    assert world.applied == set()


def test_what_had_ended_before_it_noticed_is_told_as_it_was(tmp_path, world):
    """The hook asks for nothing after the kill: it has done all there was to do."""
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1")])
    told = threading.Event()
    s.listen(lambda event: told.set() if type(event).__name__ == "RunStopping" else None)

    def after_effect(_node):
        s.ask(Asked.CANCEL, kill=True)
        assert told.wait(60)

    world.on_execute = after_effect
    assert s.apply(threads=True) == 130
    assert s.states() == {"one@a1": NodeState.SUCCEEDED, "two@a1": NodeState.PENDING}


def test_a_killed_revert_has_failed_and_stays_to_be_made(tmp_path, world):
    world.fail["two@a1"] = 1
    s = stage(tmp_path, world, [step("one"), step("two", "a1")])
    Held(world, BOTH, lambda: s.ask(Asked.CANCEL, kill=True), phase=Phase.REVERT)
    assert s.apply(threads=True) == 130
    assert s.run_state() is RunState.SUSPENDED
    for node in BOTH:
        found = s.node(node)
        assert found.state is NodeState.REVERTING
        assert [(a.state, a.error.kind) for a in found.attempts if a.phase is Phase.REVERT] == [
            (AttemptState.FAILED, "Cancelled")
        ]
    assert world.applied == BOTH

    s.stop = Stop()
    assert s.resume() == 3
    assert s.run_state() is RunState.ROLLED_BACK
    assert world.applied == set()


def test_a_killed_revert_does_not_count_as_one_that_did_not_work(tmp_path, world):
    world.fail["two@a1"] = world.fail_revert["one@a1"] = 1
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1")])
    held = Held(world, {"one@a1"}, lambda: s.ask(Asked.CANCEL, kill=True), phase=Phase.REVERT)
    world.during = lambda ctx: held(ctx) if ("revert", "one@a1") in world.log else None
    assert s.apply(threads=True) == 130
    assert s.states()["one@a1"] is NodeState.REVERTING
    s.stop = Stop()
    assert s.resume() == 3


def test_kill_while_a_rollback_waits_for_others_puts_back_what_they_had_begun(tmp_path, world):
    world.fail["bad@a2"] = 1
    s = stage(tmp_path, world, [step("one", "a1"), step("bad", "a2", needs=[])])
    started = threading.Event()
    held = Held(world, {"one@a1"}, started.set)

    def during(ctx):
        if ctx.node == "bad@a2":
            assert started.wait(60)
        held(ctx)

    world.during = during

    def kill(event):
        if type(event).__name__ == "NodeFinished" and event.node == "bad@a2" and event.state is NodeState.FAILED:
            s.ask(Asked.CANCEL, kill=True)

    s.listen(kill)
    assert s.apply(threads=True) == 130
    assert executed(s, "one@a1") == [(1, AttemptState.FAILED, "Cancelled")]
    s.stop = Stop()
    assert s.resume() == 3
    assert ("revert", "one@a1") in world.log
    assert ("execute", "one@a1") not in world.log


def test_kill_ends_what_only_looks_and_leaves_no_trace_of_it(tmp_path, world):
    s = stage(tmp_path, world, [step("one", "a1")])
    plan = world.plan

    def look(ctx):
        if s.run_id and ctx.run_id == s.run_id:
            s.ask(Asked.CANCEL, kill=True)
            ctx.sleep(60)
        return plan(ctx)

    world.plan = look
    assert s.apply(threads=True) == 130
    assert s.states() == {"one@a1": NodeState.PENDING}
    assert s.node("one@a1").attempts == ()
    world.plan, s.stop = plan, Stop()
    assert s.resume() == 0


# Kill, when nobody drives the run


def crashed(tmp_path, state, steps, fail=()):
    """A run whose process died when nodes were in the given state."""
    for at in range(1, 20):
        world = World(fail=Counter(fail))
        directory = tmp_path / str(at)
        directory.mkdir()
        s = stage(directory, world, steps)
        with pytest.raises(Crash):
            s.apply(crash_at=at)
        if left := {n for n, found in s.states().items() if found is state}:
            return s, left
    raise AssertionError(f"never {state}")


def test_kill_of_a_run_without_a_process_ends_its_attempts_and_a_resume_makes_new_ones(tmp_path):
    s, left = crashed(tmp_path, NodeState.RUNNING, [step("one"), step("two")])
    assert s.kill() == {}
    assert s.run_state() is RunState.SUSPENDED
    assert s.exit_code() == 130
    for node in left:
        assert s.node(node).state is NodeState.PENDING
        assert executed(s, node) == [(1, AttemptState.FAILED, "Cancelled")]
    assert s.resume() == 0
    assert all([n for n, *_ in executed(s, node)] == [1, 2] for node in left)


def test_kill_names_hosts_that_do_not_answer_and_leaves_their_attempts(tmp_path):
    s, left = crashed(tmp_path, NodeState.RUNNING, [step("one"), step("two")])
    node = min(left)
    s.pool.to(node.partition("@")[2]).unreachable = True
    unanswered = s.kill()
    assert set(unanswered) == {n for n in left if n.partition("@")[2] == node.partition("@")[2]}
    assert "unreachable" in unanswered[node].message
    assert s.node(node).state is NodeState.RUNNING
    assert executed(s, node) == [(1, AttemptState.RUNNING, "")]
    s.pool.to(node.partition("@")[2]).unreachable = False
    assert s.kill() == {}
    assert s.node(node).state is NodeState.PENDING


def test_kill_of_a_dead_rollback_leaves_its_reverts_to_be_made(tmp_path):
    steps = [step("one"), step("two", "a1")]
    s, reverting = crashed(tmp_path, NodeState.REVERTING, steps, fail={"two@a1": 1})
    assert s.kill() == {}
    assert s.run_state() is RunState.SUSPENDED
    for node in reverting:
        last = s.node(node).attempts[-1]
        assert (last.phase, last.state, last.error.kind) == (Phase.REVERT, AttemptState.FAILED, "Cancelled")
        assert s.node(node).state is NodeState.REVERTING
    assert s.resume() == 3
    assert s.world.applied == set()


# Mark


def lost(tmp_path, world, steps, node="one@a1"):
    """A run that ended with a node of unknown fate."""
    world.lose.add(node)
    world.plan_of = world.plan
    s = stage(tmp_path, world, steps)
    assert s.apply() == 4
    assert s.states()[node] is NodeState.UNKNOWN
    return s


BLIND = {"task": "blind"}


def test_marked_succeeded_what_was_blocked_goes_on_with_the_outputs_given(tmp_path, world):
    s = lost(tmp_path, world, [step("one", **BLIND), step("two", params={"v": "{{ outputs.one.value }}"})])
    assert s.mark("one@a1", "succeeded", outputs={"value": "by hand"}) == {
        "node": "one@a1", "before": "unknown", "state": "succeeded",
    }  # fmt: skip
    assert s.states()["two@a1"] is NodeState.BLOCKED
    assert s.resume() == 0
    assert executed(s, "one@a1") == [(1, AttemptState.SUCCEEDED, "")]
    assert s.node("one@a1").outputs == {"value": "by hand"}
    assert s.node("two@a1").attempts[0].params["v"] == "by hand"
    assert [n for what, n in world.log if what == "execute"].count("one@a1") == 1


def test_marked_skipped_what_was_blocked_goes_on_and_a_rollback_puts_it_back_all_the_same(tmp_path, world):
    s = lost(tmp_path, world, [step("one", **BLIND), step("two")])
    s.mark("one@a1", "skipped")
    assert s.resume() == 0
    assert s.states()["one@a1"] is NodeState.SKIPPED
    assert s.states()["two@a1"] is NodeState.SUCCEEDED
    assert s.rollback() == 0
    assert ("revert", "one@a1") in world.log
    assert s.run_state() is RunState.ROLLED_BACK


def test_marked_failed_its_scope_is_rolled_back_when_the_run_goes_on(tmp_path, world):
    s = lost(tmp_path, world, [step("zero"), step("one", **BLIND), step("two")])
    s.mark("one@a1", "failed")
    found = s.node("one@a1")
    assert executed(s, "one@a1") == [(1, AttemptState.FAILED, "Marked")]
    assert "ops@far" in found.error.message
    assert "seen" in found.error.message
    assert s.resume() == 3
    assert s.run_state() is RunState.ROLLED_BACK
    assert world.applied == set()


def test_marked_failed_where_that_halts_it_is_tried_again(tmp_path, world):
    s = lost(tmp_path, world, [step("one", on_failure=OnFailure.HALT, **BLIND), step("two")])
    s.mark("one@a1", "failed")
    assert s.resume() == 0
    assert [n for n, *_ in executed(s, "one@a1")] == [1, 2]


def test_marked_reverted_nothing_starts_over_it_and_a_rollback_leaves_it_alone(tmp_path, world):
    s = lost(tmp_path, world, [step("one", **BLIND), step("two")])
    s.mark("one@a1", "reverted")
    assert s.resume() == 1
    assert s.states()["one@a1"] is NodeState.REVERTED
    assert s.states()["two@a1"] is NodeState.BLOCKED
    assert s.rollback() == 0
    assert s.run_state() is RunState.ROLLED_BACK
    assert ("revert", "one@a1") not in world.log
    assert s.holds() == set()


def test_marked_reverted_an_unknown_node_that_cannot_be_undone_no_longer_keeps_a_rollback_from_its_end(tmp_path, world):
    world.lose.add("firm@a1")
    s = stage(tmp_path, world, [step("one", "a1"), step("firm", "a1", task="firm"), step("two", "a1")])
    world.in_place.discard("firm@a1")
    plan = world.plan
    world.plan = lambda ctx: plan(ctx) if ctx.node != "firm@a1" else type(plan(ctx)).change("firmly")
    assert s.apply() == 4
    assert s.rollback() == 4
    assert s.run_state() is RunState.ROLLBACK_INCOMPLETE
    assert s.states()["one@a1"] is NodeState.SUCCEEDED  # it is before what stays

    s.mark("firm@a1", "reverted")

    assert s.rollback() == 0
    assert s.run_state() is RunState.ROLLED_BACK
    assert s.states() == {
        "one@a1": NodeState.REVERTED, "firm@a1": NodeState.REVERTED, "two@a1": NodeState.BLOCKED,
    }  # fmt: skip
    assert s.holds() == set()


def test_marked_reverted_a_revert_that_failed_frees_what_is_before_it(tmp_path, world):
    world.fail["three@a1"], world.fail_revert["two@a1"] = 1, 9
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1"), step("three", "a1")])
    assert s.apply() == 4
    assert s.states()["two@a1"] is NodeState.REVERT_FAILED
    s.mark("two@a1", "reverted")
    assert s.rollback() == 0
    assert s.run_state() is RunState.ROLLED_BACK
    assert s.states()["one@a1"] is NodeState.REVERTED


@pytest.mark.parametrize("verdict", ["succeeded", "skipped"])
def test_a_failed_node_that_was_mended_by_hand_lets_what_needs_it_go_on(tmp_path, world, verdict):
    world.fail["one@a1"] = 1
    s = stage(tmp_path, world, [step("one", on_failure=OnFailure.HALT), step("two")])
    assert s.apply() == 1
    s.mark("one@a1", verdict)
    assert s.resume() == 0
    assert s.states()["one@a1"] == verdict
    assert executed(s, "one@a1") == [(1, AttemptState.FAILED, "TaskFailed")]
    assert s.states()["two@a1"] is NodeState.SUCCEEDED


def test_what_opsflow_knows_itself_cannot_be_marked(tmp_path, world):
    world.fail["two@a1"], world.fail_revert["one@a1"] = 1, 9
    s = stage(tmp_path, world, [step("one"), step("two", "a1", irreversible=Irreversible.ALLOW)])
    assert s.apply() == 4
    states = s.states()
    assert states == {
        "one@a1": NodeState.REVERT_FAILED, "one@a2": NodeState.REVERTED, "two@a1": NodeState.REVERTED,
    }  # fmt: skip
    assert "one@a2 is reverted" in s.mark("one@a2", "succeeded")["refused"]
    assert "can be marked reverted, not succeeded" in s.mark("one@a1", "succeeded")["refused"]
    assert "no node three@a1" in s.mark("three@a1", "failed")["refused"]
    assert s.states() == states


def test_a_mark_while_the_run_is_driven_is_applied_by_its_process(tmp_path, world):
    world.lose.add("one@a1")
    s = stage(tmp_path, world, [step("one", **BLIND, per="host"), step("two", per="host")])
    held = Held(world, {"two@a2"}, lambda: None)

    def mark(event):
        if type(event).__name__ != "NodeFinished":
            return
        if event.node == "one@a1" and event.state is NodeState.UNKNOWN:
            s.ask(Asked.MARK, node="two@a2", verdict="failed", why="no")
            s.ask(Asked.MARK, node="one@a1", verdict="succeeded", why="seen", outputs={"value": 1})
        elif event.node == "one@a1":
            held.go.set()

    s.listen(mark)
    assert s.apply(threads=True) == 1
    refused, done = s.answers()
    assert "two@a2 is" in refused["refused"]
    assert done["state"] == "succeeded"
    assert s.states() == {
        "one@a1": NodeState.SUCCEEDED, "one@a2": NodeState.SUCCEEDED,
        "two@a1": NodeState.BLOCKED, "two@a2": NodeState.SUCCEEDED,
    }  # fmt: skip
    assert s.resume() == 0


def test_marked_failed_while_the_run_is_driven_its_scope_is_rolled_back_at_once(tmp_path, world):
    world.lose.add("one@a1")
    s = stage(tmp_path, world, [step("zero"), step("one", **BLIND, per="host"), step("two", per="host")])
    held = Held(world, {"two@a2"}, lambda: None)

    def mark(event):
        if type(event).__name__ == "NodeFinished" and event.node == "one@a1":
            if event.state is NodeState.UNKNOWN:
                s.ask(Asked.MARK, node="one@a1", verdict="failed", why="seen")
            else:
                held.go.set()

    s.listen(mark)
    assert s.apply(threads=True) == 3
    assert s.run_state() is RunState.ROLLED_BACK
    assert world.applied == set()


def test_a_mark_that_dies_before_its_commit_has_changed_nothing(tmp_path, world, monkeypatch):
    s = lost(tmp_path, world, [step("one", **BLIND)])
    monkeypatch.setattr(store.SqlJournal, "commit", lambda *_: (_ for _ in ()).throw(OpsflowError("gone")))
    with pytest.raises(OpsflowError):
        s.mark("one@a1", "succeeded")
    assert s.states()["one@a1"] is NodeState.UNKNOWN
    assert s.answers() == [{}]
