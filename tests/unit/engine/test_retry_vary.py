"""`retry.vary`: each attempt gets the next value, whichever session makes it."""

from collections import Counter
from contextlib import suppress

import pytest
from world import Crash, FakePool, PlayTasks, Stage, World, host, make_plan, step

from opsflow.engine.executors import SerialExecutor
from opsflow.engine.preview import DryRun
from opsflow.engine.stop import Stop
from opsflow.engine.work import Worker
from opsflow.errors import TaskFailed
from opsflow.model import Asked, NodeState, OnFailure, Phase, Preview, Retry, RunState, Turn

ONE = [host("a1")]
NODE = "one@a1"
PARAMS = {"url": "http://{{ mirror }}/x"}


class Seeing(World):
    """Remembers what the hooks were given."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.during = lambda ctx: self.seen.append(ctx.vars["mirror"])


@pytest.fixture
def world():
    return Seeing()


def varied(name="one", values=("a", "b", "c"), attempts=0, **more):
    retry = Retry(attempts=attempts, vary={"mirror": values if isinstance(values, str) else list(values)})
    return step(name, **{"task": "blind", "params": PARAMS, "retry": retry} | more)


def stage(tmp_path, world, steps, hosts=ONE, **more):
    made = Stage(tmp_path, make_plan(steps, hosts, world, **more), world)
    made.pool = FakePool()
    return made


def given(s, node=NODE):
    """What each attempt was given, and the parameter that it made of it."""
    attempts = [a for a in s.node(node).attempts if a.phase is Phase.EXECUTE]
    assert [a.params["url"] for a in attempts] == [f"http://{a.turn.values['mirror']}/x" for a in attempts]
    return [a.turn.values["mirror"] for a in attempts]


def test_each_attempt_gets_the_next_value_and_without_attempts_there_are_as_many(tmp_path, world):
    world.fail[NODE] = 9
    s = stage(tmp_path, world, [varied()])
    assert s.apply() == 3
    assert given(s) == ["a", "b", "c"]
    # The reverts, newest first, see what the attempts that they undo saw.
    assert world.seen == ["a", "b", "c", "c", "b", "a"]


def test_a_value_that_does_is_the_last_one(tmp_path, world):
    world.fail[NODE] = 1
    s = stage(tmp_path, world, [varied()])
    assert s.apply() == 0
    assert given(s) == ["a", "b"]


def test_more_attempts_than_values_begin_again_with_the_first(tmp_path, world):
    world.fail[NODE] = 9
    s = stage(tmp_path, world, [varied(values=["a", "b"], attempts=5)])
    assert s.apply() == 3
    assert given(s) == ["a", "b", "a", "b", "a"]


def test_fewer_attempts_than_values_leave_the_rest(tmp_path, world):
    world.fail[NODE] = 9
    s = stage(tmp_path, world, [varied(attempts=2)])
    assert s.apply() == 3
    assert given(s) == ["a", "b"]


def test_several_variables_stand_side_by_side(tmp_path, world):
    world.fail[NODE] = 9
    retry = Retry(attempts=0, vary={"mirror": ["a", "b"], "port": [1, 2]})
    s = stage(tmp_path, world, [step("one", task="blind", retry=retry, params={"p": "{{ port }}"})])
    assert s.apply() == 3
    assert [(a.turn.values["mirror"], a.params["p"]) for a in s.node(NODE).attempts[:2]] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("at", range(2, 14))
def test_a_resumed_run_goes_on_with_the_next_value_where_taskflow_repeats_one(tmp_path, world, at):
    """Counted over the whole run: no value comes twice, none is left out, however often the controller dies."""

    def only_c(ctx):
        if ctx.vars["mirror"] != "c":
            raise TaskFailed("not this one")

    world.during = only_c
    s = stage(tmp_path, world, [varied()])
    with suppress(Crash):
        s.apply(crash_at=at / 2)
    for _ in range(20):
        if s.run_state() is RunState.SUCCEEDED:
            break
        with suppress(Crash):
            s.resume(crash_at=3.5)
    assert given(s) == ["a", "b", "c"]


def test_a_run_that_is_resumed_after_its_last_attempt_begins_another_round(tmp_path, world):
    world.fail[NODE] = 3
    s = stage(tmp_path, world, [varied(values=["a", "b"], on_failure=OnFailure.HALT)])
    assert s.apply() == 1
    assert given(s) == ["a", "b"]
    assert s.resume() == 0
    assert given(s) == ["a", "b", "a", "b"]


@pytest.mark.parametrize("at", range(2, 6))
def test_attempts_are_counted_over_the_whole_run(tmp_path, world, at):
    world.fail[NODE] = 99
    s = stage(tmp_path, world, [step("one", task="blind", retry=Retry(attempts=3))])
    world.during = lambda ctx: None
    with pytest.raises(Crash):
        s.apply(crash_at=at)
    assert s.resume() == 3
    assert len([a for a in s.node(NODE).attempts if a.phase is Phase.EXECUTE]) == 3


def test_an_attempt_that_nobody_saw_the_end_of_is_followed_with_its_own_value(tmp_path, world):
    """The link is lost in the first attempt; resume follows it and does not take the next value for it."""
    with_plan = varied(task="act")
    world.lose.add(NODE)
    s = stage(tmp_path, world, [with_plan])
    assert s.apply() == 4
    assert s.resume() == 0
    assert given(s) == ["a"]
    assert set(world.seen) == {"a"}


def test_a_look_that_fails_takes_a_value_too(tmp_path, world):
    plan = world.plan
    world.plan = lambda ctx: Preview.fail("down") if ctx.vars["mirror"] != "c" else plan(ctx)
    s = stage(tmp_path, world, [varied(task="act")])
    assert s.apply() == 0
    assert given(s) == ["c"]


def test_a_cancelled_attempt_is_followed_by_one_with_the_next_value(tmp_path, world):
    s = stage(tmp_path, world, [varied(values=["a", "b"])])

    def cancel(ctx):
        s.ask(Asked.CANCEL, kill=True)
        for _ in range(600):
            ctx.sleep(0.1)

    world.during = cancel
    assert s.apply(threads=True) == 130
    s.stop = Stop()
    world.during = lambda ctx: None
    assert s.resume() == 0
    assert given(s) == ["a", "b"]


def test_a_template_yields_the_list_when_the_attempt_is_prepared(tmp_path, world):
    """From an output of an earlier step; what stands in it is data, not templates."""
    execute = world.execute
    world.execute = lambda ctx: execute(ctx) | ({"mirrors": ["x", "{{ host }}"]} if ctx.step == "find" else {})
    world.during = lambda ctx: world.seen.append(ctx.vars["mirror"]) if ctx.step == "one" else None
    world.fail[NODE] = 1
    s = stage(tmp_path, world, [step("find"), varied(values="{{ outputs.find.mirrors }}")])
    assert s.apply() == 0
    assert given(s) == ["x", "{{ host }}"]
    assert world.seen == ["x", "{{ host }}"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("{{ outputs.find.none }}", "`retry.vary.mirror` is an empty list: there is no value for an attempt"),
        ("{{ outputs.find.value }}", "`retry.vary.mirror` must yield a list, not 'find@a1'"),
    ],
)
def test_what_is_no_list_of_values_fails_the_node_clearly(tmp_path, world, values, said):
    execute = world.execute
    world.execute = lambda ctx: execute(ctx) | {"none": []}
    world.during = lambda ctx: None
    s = stage(tmp_path, world, [step("find"), varied(values=values)])
    assert s.apply() == 3
    assert s.node(NODE).attempts == ()
    assert s.node(NODE).error.message == said


def test_it_beats_the_steps_variables_and_e_beats_it(tmp_path, world):
    world.fail[NODE] = 9
    steps = [varied(values=["a", "b"], attempts=2, vars={"mirror": "own"})]
    s = stage(tmp_path, world, steps, extra={"mirror": "said"})
    assert s.apply() == 3
    attempts = [a for a in s.node(NODE).attempts if a.phase is Phase.EXECUTE]
    assert [(a.params["url"], a.turn) for a in attempts] == [("http://said/x", None)] * 2
    world.fail[NODE] = 9
    other = stage(tmp_path, world, steps)
    assert other.apply() == 3
    assert given(other) == ["a", "b"]


def test_the_condition_decides_before_and_a_skipped_node_needs_no_list(tmp_path, world):
    find = step("find", when="false")
    s = stage(tmp_path, world, [find, varied(values="{{ outputs.find.mirrors }}", when="steps.find.changed")])
    assert s.apply() == 0
    assert s.states()[NODE] is NodeState.SKIPPED


def test_other_variables_that_mention_it_follow_it(tmp_path, world):
    world.fail[NODE] = 1
    s = stage(tmp_path, world, [varied(vars={"base": "http://{{ mirror }}"}, params={"url": "{{ base }}/x"})])
    assert s.apply() == 0
    assert given(s) == ["a", "b"]


def test_the_dry_run_shows_the_first_value(world):
    plan = make_plan([varied(task="act")], ONE, world)
    stage_renderer = Stage("/nowhere", plan, world).renderer
    worker = Worker(tasks=PlayTasks(world), transports=FakePool(), renderer=stage_renderer, secret=str)
    (node,) = DryRun(plan, executor=SerialExecutor(worker), renderer=stage_renderer, stop=Stop(), run_id="x").look()
    assert node.summary == "do it (mirror=a)"


def test_what_an_attempt_was_given_is_told_when_it_begins(tmp_path, world):
    world.fail[NODE] = 1
    s = stage(tmp_path, world, [varied(task="blind")])
    s.apply()
    said = [e.summary for e in s.events if type(e).__name__ == "NodeStarted"]
    assert said == ["blindly (mirror=a)", "blindly (mirror=b)"]


def test_a_turn_survives_its_json():
    turn = Turn.at(4, {"m": ["a", "b", "c"], "n": [1, 2, 3]})
    assert turn == Turn(values={"m": "b", "n": 2}, place=1, of=3)
    assert Turn(**turn.to_json()) == turn


def test_without_retry_nothing_of_it_is_kept(tmp_path, world):
    world.during = lambda ctx: None
    s = stage(tmp_path, world, [step("one")])
    assert s.apply() == 0
    assert s.node(NODE).attempts[0].turn is None
    assert s.run_state() is RunState.SUCCEEDED
    assert Counter(n for _, n in world.log) == {NODE: 1}
