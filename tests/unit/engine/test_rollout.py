"""Rolling batches: when one begins, what ends a rollout, and what a session after a death knows of it."""

import shutil
import time

import pytest
from test_gates import decide, executed, said
from world import Crash, FakePool, Stage, World, host, make_plan, step

from opsflow.engine import rolling
from opsflow.engine.replan import refuse_moved_units
from opsflow.errors import InputError
from opsflow.journal import store
from opsflow.model import Need, NodeState, OnFailure, Rollout, RunState

SHARDS = [host(f"{kind}-{shard}", shard=shard) for shard in "abcd" for kind in ("game", "db")]
WEBS = [host(f"w{n}") for n in range(1, 5)]
PAUSE = 0.3


@pytest.fixture(autouse=True)
def _quick(monkeypatch, empty_journal, tmp_path):
    monkeypatch.setattr(store, "_HEAR_SECONDS", 0.0)
    shutil.copy(empty_journal, tmp_path / "journal.db")


@pytest.fixture
def world():
    return World()


def rolled(name, hosts="w*", **more):
    return step(name, hosts, rollback_scope=more.pop("rollback_scope", "host"), **more)


def by_host(*batches, **more):
    return Rollout(by="host", hosts="w*", batches=batches or (1,), **more)


def stage(tmp_path, world, steps, rollout, hosts=WEBS, **more):
    made = Stage(tmp_path, make_plan(steps, hosts, world, rollout=rollout, **more), world)
    made.pool = FakePool()
    return made


def two(tmp_path, world, rollout, **more):
    return stage(tmp_path, world, [rolled("one", **more), rolled("two", **more)], rollout)


def hosts_of(nodes):
    return sorted(dict.fromkeys(node.partition("@")[2] for node in nodes))


def began(s):
    return [(event.number, list(event.units)) for event in said(s, "BatchBegan")]


def batches_in_order(s, world):
    """Whether nothing of a batch began before what is before it had ended."""
    order = [s.plan.batch_of[node] for node in executed(world) if node in s.plan.batch_of]
    return order == sorted(order)


@pytest.mark.parametrize("threads", [False, True])
def test_a_batch_begins_when_the_one_before_is_over(tmp_path, world, threads):
    s = two(tmp_path, world, by_host(1, 2))
    assert s.apply(threads=threads) == 0
    assert batches_in_order(s, world)
    assert began(s) == [(1, ["w1"]), (2, ["w2", "w3"]), (3, ["w4"])]
    assert [event.total for event in said(s, "BatchBegan")] == [3, 3, 3]


def test_within_a_batch_all_waits_for_the_batch_only(tmp_path, world):
    s = two(tmp_path, world, by_host(2))
    s.apply()
    assert {n.partition("@")[0] for n in executed(world)[:2]} == {"one"}
    assert {n.partition("@")[0] for n in executed(world)[2:4]} == {"two"}


def test_units_by_variable_are_rolled_on_all_their_hosts_together(tmp_path, world):
    steps = [step("stop", "game-*", rollback_scope="shard"), step("migrate", "db-*", rollback_scope="shard")]
    s = stage(tmp_path, world, steps, Rollout(by="shard", batches=(1, 2)), SHARDS)
    assert s.apply() == 0
    assert executed(world)[:2] == ["stop@game-a", "migrate@db-a"]
    assert batches_in_order(s, world)


def test_what_is_not_rolled_runs_once_before_the_first_batch_or_after_the_last(tmp_path, world):
    steps = [step("open", "localhost"), rolled("one"), step("close", "localhost")]
    s = stage(tmp_path, world, steps, by_host(1))
    assert s.apply() == 0
    assert executed(world) == ["open@localhost", *(f"one@w{n}" for n in range(1, 5)), "close@localhost"]


def test_what_no_rolled_step_is_joined_to_by_a_need_waits_for_no_batch(tmp_path, world):
    steps = [rolled("one"), step("beside", "localhost", needs=[])]
    s = stage(tmp_path, world, steps, by_host(1, pause=PAUSE))
    assert s.apply() == 0
    assert executed(world).index("beside@localhost") < executed(world).index("one@w2")


def test_a_failed_canary_is_rolled_back_and_no_further_batch_begins(tmp_path, world):
    world.fail["two@w1"] = 1
    s = two(tmp_path, world, by_host(1, "50%"))
    assert s.apply() == 1
    assert s.run_state() is RunState.FAILED
    states = s.states()
    assert states["one@w1"] is states["two@w1"] is NodeState.REVERTED
    assert {states[f"one@w{n}"] for n in (2, 3, 4)} == {NodeState.PENDING}
    assert world.applied == set()
    (stopped,) = said(s, "RolloutStopped")
    assert (list(stopped.failed), stopped.max_failures, stopped.left) == (["w1"], 0, 2)
    assert "opsflow resume" in said(s, "RunFinished")[-1].hint
    assert s.holds() >= {"w1", "w4"}


def test_a_unit_is_rolled_back_while_others_of_its_batch_go_on(tmp_path, world):
    world.fail["two@w2"] = 1
    steps = [rolled("one"), rolled("two", per="host"), rolled("three", per="host")]
    s = stage(tmp_path, world, steps, by_host(3))
    assert s.apply() == 1
    assert world.applied == {f"{name}@{h}" for name in ("one", "two", "three") for h in ("w1", "w3")}


def test_a_failed_unit_takes_nothing_along_that_comes_before_or_after_all_batches(tmp_path, world):
    world.fail["one@w2"] = 1
    steps = [step("open", "lb", rollback_scope="host"), rolled("one"), step("close", "lb", rollback_scope="host")]
    s = stage(tmp_path, world, steps, by_host(1), [*WEBS, host("lb")])
    assert s.apply() == 1
    assert world.applied == {"open@lb", "one@w1"}
    assert s.states()["one@w3"] is NodeState.PENDING
    assert s.resume() == 3
    assert world.applied == {"open@lb", "one@w1", "one@w3", "one@w4"}


def test_up_to_max_failures_the_rollout_goes_on_and_all_that_failed_is_put_back(tmp_path, world):
    world.fail["two@w1"] = world.fail["one@w3"] = 1
    s = two(tmp_path, world, by_host(1, max_failures=2))
    assert s.apply() == 3
    assert world.applied == {f"{name}@{h}" for name in ("one", "two") for h in ("w2", "w4")}
    assert said(s, "RolloutStopped") == []
    assert s.holds() == set()


def test_failures_count_over_the_whole_run(tmp_path, world):
    world.fail["two@w1"] = world.fail["one@w3"] = 1
    s = two(tmp_path, world, by_host(1, max_failures=1))
    assert s.apply() == 1
    assert hosts_of(executed(world)) == ["w1", "w2", "w3"]
    assert list(said(s, "RolloutStopped")[0].failed) == ["w1", "w3"]


def test_an_unreachable_unit_counts(tmp_path, world):
    world.unreachable = {"one@w1"}
    s = two(tmp_path, world, by_host(1))
    assert s.apply() == 1
    assert hosts_of(executed(world)) == ["w1"]


def test_a_unit_counts_once_whatever_fails_of_it(tmp_path, world):
    world.fail["stop@game-a"] = world.fail["migrate@db-a"] = 1
    steps = [
        step("stop", "game-*", rollback_scope="shard"),
        step("migrate", "db-*", needs=[], rollback_scope="shard"),
    ]
    s = stage(tmp_path, world, steps, Rollout(by="shard", max_failures=1), SHARDS)
    assert s.apply() == 3
    assert {"game-d", "db-d"} <= set(hosts_of(executed(world)))


def test_a_unit_that_is_gone_on_from_counts_too(tmp_path, world):
    world.fail["one@w1"] = 1
    s = two(tmp_path, world, by_host(1), on_failure=OnFailure.CONTINUE)
    assert s.apply() == 1
    assert hosts_of(executed(world)) == ["w1"]
    assert s.resume() == 0  # it failed once only, and is tried again in its batch
    assert batches_in_order(s, world)


def test_a_unit_of_unknown_fate_counts(tmp_path, world):
    world.lose = {"one@w1"}
    s = two(tmp_path, world, by_host(1))
    assert s.apply() == 4
    assert hosts_of(executed(world)) == ["w1"]
    s.mark("one@w1", "succeeded")
    assert s.resume() == 0
    assert batches_in_order(s, world)


def test_a_halt_leaves_the_later_batches(tmp_path, world):
    world.fail["one@w2"] = 1
    s = two(tmp_path, world, by_host(1, max_failures=9), on_failure=OnFailure.HALT)
    assert s.apply() == 1
    assert hosts_of(executed(world)) == ["w1", "w2"]
    assert s.resume() == 0
    assert batches_in_order(s, world)


def test_who_resumes_goes_on_with_what_did_not_begin_and_only_further_failures_count(tmp_path, world):
    world.fail["two@w1"] = world.fail["two@w3"] = 1
    s = two(tmp_path, world, by_host(1))
    assert s.apply() == 1
    assert s.resume() == 1
    assert hosts_of(executed(world)) == ["w1", "w2", "w3"]
    assert list(said(s, "RolloutStopped")[-1].failed) == ["w3"]
    assert s.resume() == 3
    assert world.applied == {f"{name}@{h}" for name in ("one", "two") for h in ("w2", "w4")}
    assert [units for _, units in began(s)] == [["w1"], ["w2"], ["w3"], ["w4"]]


def test_what_failed_before_a_death_is_remembered_after_it(tmp_path, world):
    world.fail["two@w1"] = world.fail["two@w3"] = 1
    s = two(tmp_path, world, by_host(1, max_failures=1))
    s.listen(lambda event: _die() if getattr(event, "node", "") == "one@w2" else None)
    with pytest.raises(Crash):
        s.apply()
    s.executor.abandon()
    s.listeners.pop()
    assert s.resume() == 1
    assert hosts_of(executed(world)) == ["w1", "w2", "w3"]
    assert list(said(s, "RolloutStopped")[-1].failed) == ["w1", "w3"]


def _die():
    raise Crash


@pytest.mark.parametrize("at", [n / 2 for n in range(3, 27, 2)])
def test_a_death_at_any_commit_leaves_a_rollout_that_goes_on_in_its_batch(tmp_path, at):
    world = World(fail_plan={"two@w2"})
    s = two(tmp_path, world, by_host(1, 2, max_failures=1))
    try:
        code = s.apply(crash_at=at)
    except Crash:
        s.executor.abandon()
        code = s.resume()
    assert code == 3
    assert batches_in_order(s, world)
    assert world.applied == {f"{name}@{h}" for name in ("one", "two") for h in ("w1", "w3", "w4")}


def test_a_batch_that_had_begun_is_gone_on_with_though_too_many_of_it_have_failed(tmp_path, world):
    world.fail["two@w1"] = 1
    world.on_execute = lambda node: s.stop.request() if node == "two@w1" else None
    steps = [rolled("one"), rolled("two", per="host", at_once=1)]
    s = stage(tmp_path, world, steps, by_host(2))
    assert s.apply() == 130
    s.stop = type(s.stop)()
    world.on_execute = lambda node: None
    assert s.resume() == 1
    assert "two@w2" in world.applied
    assert "one@w3" not in executed(world)


def test_between_batches_there_is_a_pause(tmp_path, world):
    moments = {}
    world.on_execute = lambda node: moments.setdefault(node, time.monotonic())
    s = two(tmp_path, world, by_host(2, pause=PAUSE))
    assert s.apply() == 0
    ended = max(moments[node] for node in s.plan.by_batch[0])
    assert min(moments[node] for node in s.plan.by_batch[1]) - ended >= PAUSE
    assert [(e.number, e.delay) for e in said(s, "RolloutPaused")] == [(2, PAUSE)]


def test_a_stop_in_the_pause_interrupts_and_a_resume_goes_on_with_the_next_batch(tmp_path, world):
    s = two(tmp_path, world, by_host(2, pause=30.0))
    s.listen(lambda event: s.stop.request() if type(event).__name__ == "RolloutPaused" else None)
    assert s.apply() == 130
    assert s.run_state() is RunState.SUSPENDED
    assert hosts_of(executed(world)) == ["w1", "w2"]
    s.listeners.clear()
    s.stop = type(s.stop)()
    with _no_pause():
        assert s.resume() == 0
    assert batches_in_order(s, world)


@pytest.mark.parametrize(("pause", "left"), [(3600.0, True), (0.001, False)])
def test_a_pause_goes_on_while_nobody_drives_the_run(tmp_path, world, pause, left):
    s = two(tmp_path, world, by_host(2, pause=pause))
    s.listen(lambda event: s.stop.request() if type(event).__name__ == "RolloutPaused" else None)
    assert s.apply() == 130
    time.sleep(0.01)
    s.stop = type(s.stop)()
    s.events.clear()
    assert s.resume() == (130 if left else 0)
    paused = [event.delay for event in said(s, "RolloutPaused")]
    assert [0 < delay < pause for delay in paused] == ([True] if left else [])


class _no_pause:
    """The clock of pauses runs away."""

    def __enter__(self):
        self.time, later = rolling.time, iter(range(0, 10**9, 60))

        class Clock:
            monotonic = staticmethod(lambda: next(later))

        rolling.time = Clock

    def __exit__(self, *_):
        rolling.time = self.time


def test_a_stop_as_a_batch_ends_interrupts_too(tmp_path, world):
    world.on_execute = lambda node: s.stop.request() if node == "two@w1" else None
    s = two(tmp_path, world, by_host(1))
    assert s.apply() == 130
    s.stop = type(s.stop)()
    assert s.resume() == 0
    assert batches_in_order(s, world)


GATES = ["batch/2@localhost", "batch/3@localhost"]


def test_with_approval_each_batch_but_the_first_waits_for_somebody(tmp_path, world):
    s = two(tmp_path, world, by_host(1, 2, approve=True))
    assert s.apply() == 7
    assert hosts_of(executed(world)) == ["w1"]
    assert [event.step for event in said(s, "NodeWaiting")] == ["batch/2"]
    assert f"opsflow approve {s.run_id} batch/2" in said(s, "RunFinished")[-1].hint
    assert s.resume() == 7
    decide(s, GATES[0])
    assert s.resume() == 7
    assert hosts_of(executed(world)) == ["w1", "w2", "w3"]
    decide(s, GATES[1])
    assert s.resume() == 0
    assert batches_in_order(s, world)


def test_a_batch_that_is_refused_does_not_begin_and_nothing_is_put_back(tmp_path, world):
    s = two(tmp_path, world, by_host(2, approve=True))
    s.apply()
    decide(s, GATES[0], reject=True)
    assert s.resume() == 1
    assert world.applied == {"one@w1", "one@w2", "two@w1", "two@w2"}
    assert s.states()["one@w3"] is NodeState.PENDING
    assert s.resume() == 7  # it asks once more
    decide(s, GATES[0])
    assert s.resume() == 0


def test_nobody_is_asked_for_a_batch_that_may_not_begin(tmp_path, world):
    world.fail["two@w1"] = 1
    s = two(tmp_path, world, by_host(1, approve=True))
    assert s.apply() == 1
    assert said(s, "NodeWaiting") == []
    assert s.resume() == 7
    assert [event.step for event in said(s, "NodeWaiting")] == ["batch/2"]


def test_where_nothing_of_any_batch_can_begin_nobody_is_asked_and_nothing_is_waited_for(tmp_path, world):
    world.fail["open@localhost"] = 1
    for pause in ({"approve": True}, {"pause": 60.0}):
        s = stage(
            tmp_path,
            world,
            [step("open", "localhost", rollback_scope="host"), rolled("one")],
            by_host(1, max_failures=9, **pause),
        )
        world.fail["open@localhost"] = 1
        assert s.apply() == 3
        assert said(s, "NodeWaiting") == said(s, "RolloutPaused") == []
        assert NodeState.PENDING not in s.states().values()


def test_a_gate_that_was_passed_by_asks_when_its_batch_can_begin_after_all(tmp_path, world):
    world.fail["open@localhost"] = 1
    steps = [step("open", "localhost", on_failure=OnFailure.CONTINUE), rolled("one", on_failure=OnFailure.CONTINUE)]
    s = stage(tmp_path, world, steps, by_host(2, max_failures=9, approve=True))
    assert s.apply() == 1
    assert s.states()[GATES[0]] is NodeState.BLOCKED
    assert s.resume() == 7
    assert hosts_of(executed(world)) == ["localhost", "w1", "w2"]


@pytest.mark.parametrize("threads", [False, True])
def test_a_rollback_goes_back_batch_by_batch_the_newest_first(tmp_path, world, threads):
    s = two(tmp_path, world, by_host(1, 2))
    assert s.apply() == 0
    assert s.rollback(threads=threads) == 0
    order = [s.plan.batch_of[node] for what, node in world.log if what == "revert"]
    assert order == sorted(order, reverse=True)
    assert len(order) == 8


def test_where_the_run_is_put_back_together_a_failure_takes_all_batches_back(tmp_path, world):
    world.fail["two@w3"] = 1
    s = two(tmp_path, world, by_host(1, max_failures=9, pause=0.01), rollback_scope="run")
    assert s.apply() == 3
    assert s.run_state() is RunState.ROLLED_BACK
    assert hosts_of(node for what, node in world.log if what == "revert") == ["w1", "w2", "w3"]
    assert hosts_of([node for what, node in world.log if what == "revert"][:2]) == ["w3"]
    assert "one@w4" not in executed(world)


def test_no_batch_begins_while_something_is_being_put_back(tmp_path, world):
    world.fail["two@w1"] = 1
    world.fail_revert["one@w1"] = 1
    s = two(tmp_path, world, by_host(1, max_failures=1))
    assert s.apply() == 3
    last = max(place for place, (what, _) in enumerate(world.log) if what == "revert")
    assert world.log.index(("execute", "one@w2")) > last


def test_steps_at_the_end_run_after_the_last_batch_or_the_one_that_ended_it(tmp_path, world):
    steps = [rolled("one"), step("notice", "localhost", at_end=True)]
    s = stage(tmp_path, world, steps, by_host(1, pause=0.05))
    assert s.apply() == 0
    assert executed(world)[-1] == "notice@localhost"
    world.log.clear()
    world.applied.clear()
    world.fail["one@w2"] = 1
    s = stage(tmp_path, world, steps, by_host(1))
    assert s.apply() == 1
    assert executed(world) == ["one@w1", "one@w2", "notice@localhost"]


def test_joined_units_go_back_together(tmp_path, world):
    hosts = [host("a", shard="a"), host("b", shard="b"), host("ab", shard=["a", "b"]), host("c", shard="c")]
    steps = [step("one", rollback_scope="shard"), step("two", rollback_scope="shard", per="shard")]
    world.fail["two@b"] = 1
    s = stage(tmp_path, world, steps, Rollout(by="shard"), hosts)
    assert s.apply() == 1
    assert world.applied == set()
    assert hosts_of(executed(world)) == ["a", "ab", "b"]


def test_a_step_that_waits_within_a_batch_for_what_failed_elsewhere_fails_its_unit_too(tmp_path, world):
    """`per = "all"` means all of the batch: units in it hang together where a step says so."""
    world.fail["migrate@db-a"] = 1
    steps = [
        step("migrate", "db-*", rollback_scope="shard"),
        step("start", "game-*", rollback_scope="shard", needs=[Need(step="migrate")]),
    ]
    s = stage(tmp_path, world, steps, Rollout(by="shard", batches=(2,)), SHARDS)
    assert s.apply() == 1
    assert s.states()["start@game-b"] is NodeState.BLOCKED
    assert world.applied == set()


def test_what_has_begun_stays_in_its_unit_and_its_batch(world):
    steps = [rolled("one")]
    old = make_plan(steps, WEBS, world, rollout=by_host(1))
    more = make_plan(steps, [*WEBS, host("w9")], world, rollout=by_host(1), earlier=old)
    refuse_moved_units(old, more, frozenset({"one@w1", "one@w2"}))
    larger = make_plan(steps, WEBS, world, rollout=by_host(1, 3), earlier=old)
    refuse_moved_units(old, larger, frozenset({"one@w1", "one@w2"}))
    for changed in (larger, make_plan(steps, WEBS, world)):
        with pytest.raises(InputError, match="has begun"):
            refuse_moved_units(old, changed, frozenset({"one@w1", "one@w2", "one@w3"}))
