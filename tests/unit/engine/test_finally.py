"""`finally`: steps that run at the end, whatever happened before."""

from contextlib import suppress

import pytest
from world import Crash, FakePool, PlayTasks, Stage, World, host, make_plan, step

from opsflow.engine.executors import SerialExecutor
from opsflow.engine.preview import DryRun
from opsflow.engine.stop import Stop
from opsflow.engine.work import Worker
from opsflow.errors import Interrupted
from opsflow.model import Action, Asked, NodeState, OnFailure, Phase, Retry, RunState

HOSTS = [host("a1"), host("a2")]


@pytest.fixture
def world():
    return World()


def stage(tmp_path, world, steps, hosts=HOSTS, **more):
    made = Stage(tmp_path, make_plan(steps, hosts, world, **more), world)
    made.pool = FakePool()
    return made


def last(name="last", hosts="a1", **more):
    return step(name, hosts, at_end=True, **more)


def ran(world, kind="execute"):
    return [node for what, node in world.log if what == kind]


# When


@pytest.mark.parametrize("seed", range(6))
def test_they_run_after_all_else_in_their_order_on_all_their_hosts(tmp_path, world, seed):
    s = stage(tmp_path, world, [last("z", "all"), step("one"), last("y", "all"), step("two")])
    assert s.apply(seed=seed) == 0
    assert [{n.split("@")[0] for n in ran(world)[i : i + 2]} for i in range(0, 8, 2)] == [
        {"one"}, {"two"}, {"z"}, {"y"},
    ]  # fmt: skip
    assert s.run_state() is RunState.SUCCEEDED
    assert s.holds() == set()


def test_after_a_failure_they_run_when_all_is_rolled_back(tmp_path, world):
    world.fail["two@a1"] = 1
    s = stage(tmp_path, world, [step("one"), step("two"), last()])
    assert s.apply() == 3
    assert world.log[-1] == ("execute", "last@a1")
    assert s.run_state() is RunState.ROLLED_BACK
    assert s.states()["last@a1"] is NodeState.SUCCEEDED
    assert world.applied == {"last@a1"}, "what runs at the end is not put back"


@pytest.mark.parametrize("rule", [OnFailure.HALT, OnFailure.CONTINUE])
def test_after_a_failure_that_leaves_all_as_it_is(tmp_path, world, rule):
    world.fail["one@a1"] = 1
    s = stage(tmp_path, world, [step("one", "a1", on_failure=rule), last()])
    assert s.apply() == 1
    assert world.log[-1] == ("execute", "last@a1")
    assert s.run_state() is RunState.FAILED


def test_after_a_rollback_that_is_incomplete(tmp_path, world):
    world.fail["two@a1"], world.fail_revert["one@a1"] = 1, 99
    s = stage(tmp_path, world, [step("one"), step("two", "a1"), last()])
    assert s.apply() == 4
    assert world.log[-1] == ("execute", "last@a1")
    assert s.run_state() is RunState.ROLLBACK_INCOMPLETE


def test_where_a_nodes_fate_is_unknown(tmp_path, world):
    world.lose.add("one@a1")
    s = stage(tmp_path, world, [step("one", "a1", task="blind"), last()])
    assert s.apply() == 4
    assert world.log[-1] == ("execute", "last@a1")


def test_a_run_of_nothing_else(tmp_path, world):
    s = stage(tmp_path, world, [last()])
    assert s.apply() == 0
    assert ran(world) == ["last@a1"]


def test_they_wait_for_rollbacks_of_other_scopes_and_for_nodes_that_go_on(tmp_path, world):
    world.fail["one@a1"] = 1
    own = {"rollback_scope": "host", "per": "host"}
    waits = [step(f"w{n}", "a2", needs=[f"w{n - 1}"] if n else [], **own) for n in range(4)]
    s = stage(tmp_path, world, [step("one", "a1", needs=[], **own), *waits, last(needs=[])])
    assert s.apply() == 3
    assert ran(world)[-1] == "last@a1"
    assert len(ran(world)) == 6


# When not


def test_an_interrupted_run_has_not_come_to_its_end(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), step("two"), last()])
    s.listen(lambda e: s.stop.request() if type(e).__name__ == "NodeFinished" else None)
    assert s.apply() == 130
    assert s.run_state() is RunState.SUSPENDED
    assert "last@a1" not in ran(world)
    s.stop, s.listeners = Stop(), []
    assert s.resume() == 0
    assert ran(world)[-1] == "last@a1"


def test_nor_has_one_that_is_stopped_just_before(tmp_path, world):
    s = stage(tmp_path, world, [step("one", "a1"), last()])
    world.during = lambda ctx: s.stop.request() if ctx.step == "one" else None
    assert s.apply() == 130
    assert ran(world) == ["one@a1"]
    assert s.run_state() is RunState.SUSPENDED
    s.stop = Stop()
    assert s.resume() == 0
    assert ran(world) == ["one@a1", "last@a1"]


def test_nor_has_a_cancelled_one(tmp_path, world):
    s = stage(tmp_path, world, [step("one", "a1"), last()])

    def cancel(ctx):
        if ctx.step == "one":
            s.ask(Asked.CANCEL, kill=True)
            for _ in range(600):
                ctx.sleep(0.1)

    world.during = cancel
    assert s.apply(threads=True) == 130
    assert world.log == []
    assert s.states()["last@a1"] is NodeState.PENDING


@pytest.mark.parametrize("at", range(1, 20))
def test_a_controller_that_dies_anywhere_is_followed_by_one_that_gets_to_the_end_once(tmp_path, world, at):
    world.fail["two@a1"] = 1
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1"), last("y"), last("z")])
    with suppress(Crash):
        s.apply(crash_at=at / 2)
    for _ in range(20):
        if s.run_state() in {RunState.ROLLED_BACK, RunState.SUCCEEDED}:
            break
        with suppress(Crash):
            s.resume(crash_at=4.5)
    for node in ("y@a1", "z@a1"):
        attempts = s.node(node).attempts
        assert [a.state for a in attempts] == ["succeeded"], "each end has each of them once"
    assert world.log.index(("execute", "y@a1")) > max(
        (i for i, (_, node) in enumerate(world.log) if node in {"one@a1", "two@a1"}), default=0
    )


def left_between_two_attempts(tmp_path, world):
    """A run whose controller is gone since it put back the first attempt of z, which needs y, at its end."""
    world.fail["z@a1"] = 1
    steps = [step("one", "a1"), last("y"), last("z", retry=Retry(attempts=2, revert_between=True))]
    s = stage(tmp_path, world, steps)

    def detach(ctx):
        if (ctx.node, ctx.phase) == ("z@a1", Phase.REVERT):
            s.stop.request()
            s.stop.request()
            raise Interrupted("nobody saw how it ended")

    world.during = detach
    assert s.apply() == 130
    assert s.states()["z@a1"] is NodeState.RUNNING
    s.stop = Stop()
    world.log.clear()
    return s


@pytest.mark.parametrize("seed", range(6))
def test_what_was_between_two_attempts_waits_at_the_next_end_for_what_it_needs(tmp_path, world, seed):
    s = left_between_two_attempts(tmp_path, world)
    world.applied.discard("y@a1")
    seen = []
    world.during = lambda ctx: seen.append((ctx.node, ctx.phase, s.states()["y@a1"]))
    assert s.rollback(seed=seed) == 0
    assert ("z@a1", Phase.EXECUTE, NodeState.SUCCEEDED) in seen
    assert ran(world) == ["y@a1", "z@a1"]
    assert set(s.states().values()) == {NodeState.SUCCEEDED, NodeState.REVERTED}


@pytest.mark.parametrize("seed", range(6))
def test_and_does_not_begin_if_that_fails(tmp_path, world, seed):
    s = left_between_two_attempts(tmp_path, world)
    world.fail_plan.add("y@a1")
    world.during = lambda ctx: None
    assert s.rollback(seed=seed) == 1
    assert ran(world) == []
    assert "needs y@a1" in s.node("z@a1").error.message
    assert s.states() == {
        "one@a1": NodeState.REVERTED, "y@a1": NodeState.FAILED, "z@a1": NodeState.BLOCKED,
    }  # fmt: skip


# What becomes of the run


def test_a_run_whose_end_failed_has_failed_and_is_resumed_by_what_failed_alone(tmp_path, world):
    world.fail["y@a1"] = 1
    s = stage(tmp_path, world, [step("one", "a1"), last("x", needs=[]), last("y", needs=[]), last("z", needs=["y"])])
    assert s.apply() == 1
    assert s.run_state() is RunState.FAILED
    assert s.states() == {
        "one@a1": NodeState.SUCCEEDED, "x@a1": NodeState.SUCCEEDED,
        "y@a1": NodeState.FAILED, "z@a1": NodeState.BLOCKED,
    }  # fmt: skip
    assert "revert" not in [what for what, _ in world.log]
    world.applied.discard("y@a1")
    assert s.resume() == 0
    assert ran(world) == ["one@a1", "x@a1", "y@a1", "y@a1", "z@a1"]
    assert s.run_state() is RunState.SUCCEEDED


def test_a_run_that_is_rolled_back_stays_so_though_its_end_failed_and_can_be_resumed(tmp_path, world):
    world.fail["two@a1"] = 1
    world.fail_plan.add("last@a1")
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1"), last()])
    assert s.apply() == 1
    assert s.run_state() is RunState.ROLLED_BACK
    assert s.holds() == set()
    hint = next(e.hint for e in s.events if type(e).__name__ == "RunFinished")
    assert hint.endswith(f"then opsflow resume {s.run_id}")
    world.fail_plan.clear()
    assert s.resume() == 3
    assert s.run_state() is RunState.ROLLED_BACK
    assert ran(world) == ["one@a1", "two@a1", "last@a1"]
    assert ran(world, "revert") == ["two@a1", "one@a1"]


def test_an_end_of_unknown_fate_needs_a_person(tmp_path, world):
    world.lose.add("last@a1")
    s = stage(tmp_path, world, [step("one", "a1"), last(task="blind")])
    assert s.apply() == 4
    assert s.run_state() is RunState.FAILED
    assert s.holds() != set()
    s.mark("last@a1", "succeeded")
    assert s.resume() == 0
    assert ran(world) == ["one@a1", "last@a1"]


def test_so_does_one_after_a_complete_rollback(tmp_path, world):
    world.fail["one@a1"] = 1
    world.lose.add("last@a1")
    s = stage(tmp_path, world, [step("one", "a1"), last(task="blind")])
    assert s.apply() == 4
    assert s.run_state() is RunState.FAILED
    assert s.holds() != set()
    s.mark("last@a1", "skipped")
    assert s.resume() == 3
    assert s.run_state() is RunState.ROLLED_BACK


def test_one_that_fails_is_retried_as_its_step_says(tmp_path, world):
    world.fail["last@a1"] = 1
    s = stage(tmp_path, world, [step("one", "a1"), last(retry=Retry(attempts=2, revert_between=True))])
    assert s.apply() == 0
    assert world.log[1:] == [("execute", "last@a1"), ("revert", "last@a1"), ("execute", "last@a1")]


def test_what_needs_a_failed_one_is_blocked_and_the_others_go_on(tmp_path, world):
    world.fail["y@a1"] = 1
    s = stage(tmp_path, world, [last("y", "all"), last("z", "all", per="host"), last("x", needs=[])])
    assert s.apply() == 1
    assert s.states() == {
        "y@a1": NodeState.FAILED, "y@a2": NodeState.SUCCEEDED,
        "z@a1": NodeState.BLOCKED, "z@a2": NodeState.SUCCEEDED, "x@a1": NodeState.SUCCEEDED,
    }  # fmt: skip


# Each end has its own


def test_a_run_that_goes_on_after_a_halt_comes_to_another_end(tmp_path, world):
    world.fail["two@a1"] = 1
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1", on_failure=OnFailure.HALT), last(task="blind")])
    assert s.apply() == 1
    world.applied.discard("two@a1")
    assert s.resume() == 0
    assert ran(world) == ["one@a1", "two@a1", "last@a1", "two@a1", "last@a1"]


def test_a_rollback_that_the_operator_wants_has_its_own_end(tmp_path, world):
    s = stage(tmp_path, world, [step("one", "a1"), last(task="blind")])
    assert s.apply() == 0
    assert s.rollback() == 0
    assert world.log == [
        ("execute", "one@a1"), ("execute", "last@a1"), ("revert", "one@a1"), ("execute", "last@a1"),
    ]  # fmt: skip
    assert s.run_state() is RunState.ROLLED_BACK


def test_and_nothing_in_it_runs_over_what_an_operator_has_put_back(tmp_path, world):
    world.lose.add("y@a1")
    s = stage(tmp_path, world, [step("one", "a1"), last("y", task="blind"), last("z", needs=["y"])])
    assert s.apply() == 4
    s.mark("y@a1", "reverted")
    assert s.rollback() == 1
    assert s.states() == {
        "one@a1": NodeState.REVERTED, "y@a1": NodeState.REVERTED, "z@a1": NodeState.BLOCKED,
    }  # fmt: skip
    assert ran(world) == ["one@a1", "y@a1"]


def test_which_fails_if_its_end_does(tmp_path, world):
    s = stage(tmp_path, world, [step("one", "a1"), last(task="blind")])
    assert s.apply() == 0
    world.fail["last@a1"] = 1
    assert s.rollback() == 1
    assert s.run_state() is RunState.ROLLED_BACK


def test_a_rollback_after_one_that_died_at_its_end_follows_what_it_left(tmp_path, world):
    steps = [step("one", "a1"), last(task="blind")]
    for at in range(1, 12):
        directory = tmp_path / str(at)
        directory.mkdir()
        world = World()
        s = stage(directory, world, steps)
        with suppress(Crash):
            s.apply(crash_at=at / 2)
        if s.run_state() is RunState.PLANNED or s.states()["last@a1"] is not NodeState.RUNNING:
            continue
        assert s.rollback() == 0
        assert len([a for a in s.node("last@a1").attempts if a.phase is Phase.EXECUTE]) == 1
        assert s.run_state() is RunState.ROLLED_BACK
        return
    raise AssertionError("it never died there")


def test_what_an_earlier_end_did_is_not_taken_back_when_the_next_one_is_tried_again(tmp_path, world):
    retry = Retry(attempts=2, revert_between=True)
    s = stage(tmp_path, world, [step("one", "a1"), last(task="blind", retry=retry)])
    assert s.apply() == 0
    world.fail["last@a1"] = 1
    assert s.rollback() == 0
    undone = [a.undoes for a in s.node("last@a1").attempts if a.phase is Phase.REVERT]
    assert undone == [2]


# What they see


def test_they_may_speak_of_what_ran_before_without_waiting_for_it(tmp_path, world):
    world.fail["two@a1"] = 1
    params = {"state": "{{ steps.two.state }}", "value": "{{ outputs.one.value | default('none') }}"}
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1"), last(params=params)])
    assert s.apply() == 3
    assert s.node("last@a1").attempts[0].params == {"state": "reverted", "value": "none"}


def test_an_output_that_is_not_there_fails_the_node_with_a_sentence(tmp_path, world):
    world.fail["two@a1"] = 1
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1"), last(params={"v": "{{ outputs.one.value }}"})])
    assert s.apply() == 1
    error = s.node("last@a1").error
    assert "there is no 'value'" in error.message
    assert error.hint == "step one is reverted: say what to use instead, outputs.one.KEY | default(...)"


def test_outputs_of_one_another_are_needs(tmp_path, world):
    s = stage(tmp_path, world, [
        last("z", needs=[], params={"v": "{{ outputs.y.value }}"}), last("y", needs=[]), step("one", "a1"),
    ])  # fmt: skip
    assert s.apply() == 0
    assert ran(world) == ["one@a1", "y@a1", "z@a1"]
    assert s.node("z@a1").attempts[0].params["v"] == "y@a1"


# The dry run


def look(steps, world, hosts=HOSTS):
    plan = make_plan(steps, hosts, world)
    renderer = Stage("/nowhere", plan, world).renderer
    worker = Worker(tasks=PlayTasks(world), transports=FakePool(), renderer=renderer, secret=str)
    dry = DryRun(plan, executor=SerialExecutor(worker), renderer=renderer, stop=Stop(), run_id="x")
    return {n.node: n for n in dry.look()}


def test_the_dry_run_shows_them_last_and_marked(world):
    seen = []
    plan = world.plan
    world.plan = lambda ctx: (seen.append(ctx.node), plan(ctx))[1]
    found = look([last(), step("one", "a1"), step("two", "a1")], world)
    assert seen == ["one@a1", "two@a1", "last@a1"]
    assert {n for n, planned in found.items() if planned.at_end} == {"last@a1"}
    assert found["last@a1"].action is Action.CHANGE


def test_what_they_find_in_place_is_unknown_if_something_changes_before(world):
    world.in_place.add("last@a1")
    assert look([step("one", "a1"), last()], world)["last@a1"].action is Action.UNKNOWN
    world.in_place.add("one@a1")
    assert look([step("one", "a1"), last()], world)["last@a1"].action is Action.UNCHANGED


def test_what_hangs_on_outputs_that_are_not_there_yet_is_not_asked(world):
    found = look([step("one", "a1"), last(params={"v": "{{ outputs.one.value }}"})], world)
    assert found["last@a1"].action is Action.UNKNOWN


def test_a_mark_waits_for_the_end(tmp_path, world):
    world.lose.add("one@a1")
    s = stage(tmp_path, world, [step("one", "a1", task="blind"), last()])

    def mark(ctx):
        if ctx.step == "last":
            s.ask(Asked.MARK, node="one@a1", verdict="failed", why="no")
            for _ in range(100):
                if s.answers()[0]:
                    return
                ctx.sleep(0.1)

    world.during = mark
    assert s.apply(threads=True) == 4
    (answer,) = s.answers()
    assert "refused" in answer
    assert s.states()["one@a1"] is NodeState.UNKNOWN
