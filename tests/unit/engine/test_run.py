"""What a run does, forward and back."""

import pytest
from world import Stage, World, host, make_plan, step

from opsflow.model import Irreversible, Need, NodeState, OnFailure, OnUnknown, Retry, RunState

HOSTS = [host("a1", shard="a"), host("a2", shard="a"), host("b1", shard="b")]


@pytest.fixture
def world():
    return World()


def stage(tmp_path, world, steps, hosts=HOSTS, **more):
    return Stage(tmp_path, make_plan(steps, hosts, world, **more), world)


def order(world, kind="execute"):
    return [node for what, node in world.log if what == kind]


def test_a_linear_playbook_runs_step_after_step(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), step("two")])
    assert s.apply() == 0
    assert s.run_state() is RunState.SUCCEEDED
    assert set(s.states().values()) == {NodeState.SUCCEEDED}
    ran = order(world)
    assert {n.split("@")[0] for n in ran[:3]} == {"one"}
    assert len(ran) == 6


def test_per_host_lets_a_host_go_on_alone(tmp_path, world):
    world.fail["one@a1"] = 1
    s = stage(tmp_path, world, [step("one", per="host"), step("two", per="host", on_failure=OnFailure.CONTINUE)])
    s = stage(tmp_path, world, [
        step("one", on_failure=OnFailure.CONTINUE), step("two", per="host", on_failure=OnFailure.CONTINUE),
    ])  # fmt: skip
    assert s.apply() == 1
    states = s.states()
    assert states["one@a1"] is NodeState.FAILED
    assert states["two@a1"] is NodeState.BLOCKED
    assert states["two@a2"] is states["two@b1"] is NodeState.SUCCEEDED


def test_a_failure_under_a_barrier_blocks_its_own_host_only(tmp_path, world):
    world.fail["one@a1"] = 1
    s = stage(tmp_path, world, [step("one", on_failure=OnFailure.CONTINUE), step("two")])
    assert s.apply() == 1
    assert [n for n, state in s.states().items() if state is NodeState.BLOCKED] == ["two@a1"]


def test_a_failure_under_a_barrier_blocks_all_if_the_waiting_step_runs_elsewhere(tmp_path, world):
    world.fail["one@a1"] = 1
    s = stage(tmp_path, world, [step("one", "a1,a2", on_failure=OnFailure.CONTINUE), step("two", "b1")])
    assert s.apply() == 1
    assert s.states()["two@b1"] is NodeState.BLOCKED


def test_a_failure_reverts_what_was_changed_newest_first(tmp_path, world):
    world.fail["three@a1"] = 1
    s = stage(tmp_path, world, [step("one"), step("two"), step("three"), step("four")])
    assert s.apply() == 3
    assert s.run_state() is RunState.ROLLED_BACK
    assert world.applied == set()
    states = s.states()
    assert states["three@a1"] is NodeState.REVERTED
    assert {states[f"four@{h}"] for h in ("a1", "a2", "b1")} == {NodeState.BLOCKED}
    reverted = order(world, "revert")
    assert {n.split("@")[0] for n in reverted[-3:]} == {"one"}


def test_nothing_is_reverted_that_the_run_did_not_change(tmp_path, world):
    world.in_place = {"one@a1"}
    world.fail["two@b1"] = 1
    s = stage(tmp_path, world, [step("one"), step("two", "b1")])
    assert s.apply() == 3
    assert "one@a1" not in order(world, "revert")
    assert s.states()["one@a1"] is NodeState.UNCHANGED


def test_a_host_scope_rolls_back_its_host_and_the_others_go_on(tmp_path, world):
    world.fail["two@a1"] = 1
    scope = {"rollback_scope": "host", "per": "host"}
    s = stage(tmp_path, world, [step("one", **scope), step("two", **scope), step("three", **scope)])
    assert s.apply() == 3
    assert s.run_state() is RunState.FAILED
    assert world.applied == {f"{t}@{h}" for t in ("one", "two", "three") for h in ("a2", "b1")}
    assert s.states()["one@a1"] is NodeState.REVERTED


def test_a_variable_scope_rolls_back_all_hosts_of_its_value(tmp_path, world):
    world.fail["two@a1"] = 1
    scope = {"rollback_scope": "shard", "per": "shard"}
    s = stage(tmp_path, world, [step("one", **scope), step("two", **scope)])
    assert s.apply() == 3
    assert world.applied == {"one@b1", "two@b1"}


def test_scopes_that_a_shared_host_joins_are_reverted_together(tmp_path, world):
    hosts = [host("a1", shard="a"), host("b1", shard="b"), host("db", shard=["a", "b"]), host("c1", shard="c")]
    world.fail["two@a1"] = 1
    scope = {"rollback_scope": "shard", "per": "shard"}
    s = stage(tmp_path, world, [step("one", **scope), step("two", "a1,b1,c1", **scope)], hosts)
    assert s.apply() == 3
    assert world.applied == {"one@c1", "two@c1"}


def test_a_change_of_another_scope_that_needs_a_reverted_one_is_reverted_too(tmp_path, world):
    """`late` fails on db after `use` ran on a1, which needs what db had changed."""
    world.fail["late@b1"] = 1
    s = stage(tmp_path, world, [
        step("base", "b1", needs=[], rollback_scope="host"),
        step("use", "a1", needs=["base"], rollback_scope="host"),
        step("other", "a2", needs=[], rollback_scope="host"),
        step("late", "b1", needs=["use"], rollback_scope="host"),
    ])  # fmt: skip
    assert s.apply() == 3
    assert world.applied == {"other@a2"}
    assert order(world, "revert") == ["late@b1", "use@a1", "base@b1"]


def test_halt_leaves_everything_as_it_is_and_resume_goes_on(tmp_path, world):
    world.fail["two@a1"] = 1
    s = stage(tmp_path, world, [step("one"), step("two", on_failure=OnFailure.HALT, at_once=1), step("three")])
    assert s.apply() == 1
    assert s.run_state() is RunState.FAILED
    assert not order(world, "revert")
    assert s.resume() == 0
    assert set(s.states().values()) == {NodeState.SUCCEEDED}
    assert order(world).count("one@a1") == 1


def test_a_retry_makes_a_new_attempt(tmp_path, world):
    world.fail["one@a1"] = 2
    s = stage(tmp_path, world, [step("one", "a1", retry=Retry(attempts=3), task="blind")])
    assert s.apply() == 0
    attempts = s.run.nodes["one@a1"].attempts.values()
    assert [a.state for a in attempts] == ["failed", "failed", "succeeded"]


def test_a_later_attempt_that_finds_all_in_place_still_counts_as_a_change(tmp_path, world):
    world.fail["one@a1"] = 1
    world.fail["two@a1"] = 1
    s = stage(tmp_path, world, [step("one", "a1", retry=Retry(attempts=2)), step("two", "a1")])
    assert s.apply() == 3
    assert order(world, "revert") == ["two@a1", "one@a1"]
    assert world.applied == set()


def test_retries_that_are_used_up_fail_and_every_attempt_is_reverted(tmp_path, world):
    world.fail["one@a1"] = 9
    s = stage(tmp_path, world, [step("one", "a1", retry=Retry(attempts=3), task="blind")])
    assert s.apply() == 3
    assert order(world, "revert") == ["one@a1"] * 3


def test_a_revert_that_fails_once_is_retried(tmp_path, world):
    world.fail["two@a1"] = 1
    world.fail_revert["one@a1"] = 1
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1", retry=Retry(attempts=1))])
    assert s.apply() == 3
    assert world.applied == set()


def test_a_revert_that_fails_leaves_what_is_before_it_on_its_host(tmp_path, world):
    again = Retry(attempts=2)
    world.fail["three@b1"] = 9
    world.fail_revert["two@a1"] = 9
    s = stage(tmp_path, world, [step("one", retry=again), step("two", retry=again), step("three", "b1")])
    assert s.apply() == 4
    assert s.run_state() is RunState.ROLLBACK_INCOMPLETE
    states = s.states()
    assert states["two@a1"] is NodeState.REVERT_FAILED
    assert states["one@a1"] is NodeState.SUCCEEDED
    assert states["one@a2"] is states["one@b1"] is NodeState.REVERTED
    world.fail_revert.clear()
    assert s.rollback() == 0
    assert s.run_state() is RunState.ROLLED_BACK
    assert world.applied == set()


def test_a_change_that_cannot_be_undone_stops_the_rollback_there(tmp_path, world):
    world.fail["three@a1"] = 1
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1", task="firm"), step("three", "a1")])
    assert s.apply() == 4
    assert order(world, "revert") == ["three@a1"]
    assert world.applied == {"one@a1", "two@a1"}


def test_a_preview_that_says_irreversible_counts_as_well(tmp_path, world):
    world.fail["three@a1"] = 1
    world.final = {"two@a1"}
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1"), step("three", "a1")])
    assert s.apply() == 4
    assert world.applied == {"one@a1", "two@a1"}


def test_irreversible_allow_is_stepped_over(tmp_path, world):
    world.fail["three@a1"] = 1
    allowed = step("two", "a1", task="firm", irreversible=Irreversible.ALLOW)
    s = stage(tmp_path, world, [step("one", "a1"), allowed, step("three", "a1")])
    assert s.apply() == 3
    assert s.run_state() is RunState.FAILED  # not everything was reverted
    assert world.applied == {"two@a1"}


def test_a_lost_link_leaves_the_node_unknown_and_reverts_nothing(tmp_path, world):
    world.lose = {"one@a1"}
    s = stage(tmp_path, world, [step("one"), step("two")])
    assert s.apply() == 4
    states = s.states()
    assert states["one@a1"] is NodeState.UNKNOWN
    assert states["two@a1"] is NodeState.BLOCKED
    assert not order(world, "revert")


def test_resume_settles_an_unknown_node_by_looking(tmp_path, world):
    world.lose = {"one@a1"}
    s = stage(tmp_path, world, [step("one"), step("two")])
    s.apply()
    assert s.resume() == 0
    assert order(world).count("one@a1") == 1
    assert s.states()["one@a1"] is NodeState.SUCCEEDED
    assert s.run.nodes["one@a1"].outputs == {"value": "one@a1"}


def test_resume_asks_if_looking_does_not_tell(tmp_path, world):
    world.lose = {"one@a1"}
    s = stage(tmp_path, world, [step("one", "a1", task="blind")])
    s.apply()
    assert s.resume() == 4
    assert order(world) == ["one@a1"]


def test_resume_runs_an_idempotent_task_again_if_told_so(tmp_path, world):
    world.lose = {"one@a1"}
    s = stage(tmp_path, world, [step("one", "a1", task="again", on_unknown=OnUnknown.RERUN)])
    s.apply()
    world.applied.clear()
    assert s.resume() == 0
    assert order(world) == ["one@a1"] * 2


def test_resume_reverts_an_unknown_attempt_if_told_so(tmp_path, world):
    world.lose = {"two@a1"}
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1", task="blind", on_unknown=OnUnknown.REVERT)])
    s.apply()
    assert s.resume() == 3
    assert world.applied == set()
    assert order(world, "revert") == ["two@a1", "one@a1"]


def test_an_unreachable_host_fails_its_node_and_there_is_nothing_to_revert_on_it(tmp_path, world):
    world.unreachable = {"two@a1"}
    s = stage(tmp_path, world, [step("one", "a2"), step("two", "a1")])
    assert s.apply() == 3
    assert order(world, "revert") == ["one@a2"]
    assert s.states()["two@a1"] is NodeState.FAILED


def test_rollback_reverts_a_successful_run(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), step("two")])
    s.apply()
    assert s.rollback() == 0
    assert s.run_state() is RunState.ROLLED_BACK
    assert world.applied == set()
    assert {n.split("@")[0] for n in order(world, "revert")[:3]} == {"two"}


def test_when_false_skips_and_counts_as_a_met_need(tmp_path, world):
    s = stage(tmp_path, world, [step("one", when="shard == 'a'"), step("two")])
    assert s.apply() == 0
    assert s.states()["one@b1"] is NodeState.SKIPPED
    assert s.states()["two@b1"] is NodeState.SUCCEEDED


def test_a_condition_that_cannot_be_told_fails_the_node(tmp_path, world):
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1", when="outputs.one.value")])
    assert s.apply() == 3
    assert s.states()["two@a1"] is NodeState.FAILED


def test_outputs_of_the_same_host_reach_later_steps(tmp_path, world):
    s = stage(
        tmp_path, world, [step("one"), step("two", needs=[], per="host", params={"v": "{{ outputs.one.value }}"})]
    )
    assert s.apply() == 0
    assert next(iter(s.run.nodes["two@b1"].attempts.values())).params == {"v": "one@b1"}


def test_outputs_of_all_hosts_can_be_had_by_host(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), step("two", "b1", params={"v": "{{ outputs.one.by_host['a2'].value }}"})])
    assert s.apply() == 0
    assert next(iter(s.run.nodes["two@b1"].attempts.values())).params == {"v": "one@a2"}


def test_a_wish_to_stop_suspends_the_run_and_resume_ends_it(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), step("two")])
    s.stop.request()
    assert s.apply() == 130
    assert s.run_state() is RunState.SUSPENDED
    assert not world.log
    s.stop = type(s.stop)()
    assert s.resume() == 0


def test_shards_do_not_wait_for_one_another(tmp_path, world):
    plan = make_plan([step("one"), step("two", per="shard")], HOSTS, world)
    assert set(plan.needs_of("two@a1")) == {"one@a1", "one@a2"}
    assert plan.needs_of("two@b1") == ("one@b1",)


def test_one_need_can_say_its_own_per(tmp_path, world):
    plan = make_plan([step("one"), step("two", needs=[Need(step="one", per="host")])], HOSTS, world)
    assert plan.needs_of("two@a1") == ("one@a1",)


def test_threads_do_the_same(tmp_path, world):
    world.fail["three@a1"] = 1
    s = stage(tmp_path, world, [step("one"), step("two"), step("three"), step("four")])
    assert s.apply(threads=True) == 3
    assert world.applied == set()


def test_at_once_bounds_the_nodes_of_a_step_in_both_directions(tmp_path, world):
    hosts = [host(f"h{i}") for i in range(6)]
    world.fail["two@h0"] = 1
    s = stage(tmp_path, world, [step("one", at_once=1), step("two", "h0")], hosts)
    s.apply()
    open_nodes: set = set()
    for event in s.events:
        name = type(event).__name__
        if getattr(event, "node", "").startswith("one@"):
            if name == "NodeStarted":
                open_nodes.add(event.node)
                assert len(open_nodes) == 1
            elif name == "NodeFinished":
                open_nodes.discard(event.node)
    assert len(order(world, "revert")) == 7


def test_a_listener_that_raises_hears_no_more_and_the_run_goes_on(tmp_path, world):
    s = stage(tmp_path, world, [step("one", "a1")])
    heard = []

    def broken(event):
        heard.append(event)
        raise ValueError("theirs")

    s.listeners.append(broken)
    assert s.apply() == 0
    assert len(heard) == 1
    assert [e.error for e in s.events if type(e).__name__ == "ListenerFailed"] == ["ValueError: theirs"]


def test_a_local_file_that_changed_since_the_plan_fails_its_node(tmp_path, world):
    artifact = tmp_path / "game.tar"
    artifact.write_text("2.0")
    s = stage(tmp_path, world, [step("one", "a1"), step("two", "a1", params={"file": str(artifact)})])
    assert list(s.plan.files) == [str(artifact)]
    artifact.write_text("evil")
    assert s.apply() == 3
    assert "is not what it was when the plan was made" in s.run.nodes["two@a1"].error.message
    assert order(world) == ["one@a1"]


def test_a_local_file_that_the_run_itself_makes_may_change(tmp_path, world):
    artifact = tmp_path / "game.tar"
    artifact.write_text("old")
    steps = [step("build", "localhost"), step("deploy", "a1", params={"file": str(artifact)})]
    s = stage(tmp_path, world, steps)
    artifact.write_text("new")
    assert s.apply() == 0
