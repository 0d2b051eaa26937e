"""`on` in a run: what is done where, and what follows from it."""

import time
from collections import Counter

from world import FakePool, PlayTasks, Stage, World, host, make_plan, step

from opsflow.engine.executors import SerialExecutor
from opsflow.engine.preview import DryRun
from opsflow.engine.stop import Stop
from opsflow.engine.work import Worker
from opsflow.events import NodeFinished
from opsflow.model import Need
from opsflow.playbook import TemplateRenderer

HOSTS = [host("web-1"), host("web-2"), host("lb")]


def stage(tmp_path, steps, **trouble):
    world = World(**trouble)
    play = Stage(tmp_path, make_plan(steps, HOSTS, world), world)
    play.pool = FakePool()
    return play


DRAIN = step("drain", "web-*", on="lb", rollback_scope="host")
STOP = step("stop", "web-*", needs=[Need(step="drain", per="host")], rollback_scope="host")


def test_commands_run_on_the_other_host_and_the_hook_sees_the_nodes_own(tmp_path):
    seen = []
    play = stage(tmp_path, [DRAIN], during=lambda ctx: seen.append((ctx.node, ctx.host)))
    assert play.apply() == 0
    assert set(play.pool.made) == {"lb"}
    assert sorted(seen) == [("drain@web-1", "web-1"), ("drain@web-2", "web-2")]


def test_both_hosts_are_held(tmp_path):
    play = stage(tmp_path, [DRAIN], fail=Counter({"drain@web-1": 1}), fail_revert=Counter({"drain@web-1": 9}))
    assert play.apply() == 4
    assert play.holds() == {"web-1", "web-2", "lb"}


def test_a_failure_puts_back_its_own_host_there(tmp_path):
    """The load balancer drains each host; when one cannot be stopped, that one alone is let in again."""
    play = stage(tmp_path, [DRAIN, STOP], fail=Counter({"stop@web-2": 1}))
    assert play.apply() == 3
    assert play.states() == {
        "drain@web-1": "succeeded", "stop@web-1": "succeeded", "drain@web-2": "reverted", "stop@web-2": "reverted",
    }  # fmt: skip
    assert set(play.pool.made) == {"lb", "web-1", "web-2"}


def test_where_an_attempt_was_done_is_on_record(tmp_path):
    play = stage(tmp_path, [DRAIN, STOP], fail=Counter({"stop@web-2": 1}))
    play.apply()
    assert {a.on for a in play.node("drain@web-2").attempts} == {"lb"}
    assert len(play.node("drain@web-2").attempts) == 2
    assert {a.on for a in play.node("stop@web-2").attempts} == {""}


def test_who_hears_of_the_node_hears_where_it_was_done(tmp_path):
    play = stage(tmp_path, [DRAIN, STOP])
    play.apply()
    ended = {e.node: e.on for e in play.events if isinstance(e, NodeFinished)}
    assert ended == {"drain@web-1": "lb", "drain@web-2": "lb", "stop@web-1": "", "stop@web-2": ""}


def test_no_more_at_once_on_one_host_than_the_step_says(tmp_path):
    at_work, most = set(), []

    def during(ctx):
        at_work.add(ctx.node)
        most.append(len(at_work))
        time.sleep(0.01)
        at_work.discard(ctx.node)

    play = stage(tmp_path, [step("drain", "web-*", on="lb", at_once=1)], during=during)
    assert play.apply(threads=True) == 0
    assert most == [1, 1]


def test_a_dry_run_looks_there_and_tells_it():
    world, pool = World(), FakePool()
    plan = make_plan([DRAIN], HOSTS, world)
    renderer = TemplateRenderer(directory=".", hosts=lambda _: [])
    worker = Worker(tasks=PlayTasks(world), transports=pool, renderer=renderer, secret=str)
    found = DryRun(plan, executor=SerialExecutor(worker), renderer=renderer, stop=Stop(), run_id="p").look()
    assert [(n.node, n.host, n.on) for n in found] == [("drain@web-1", "web-1", "lb"), ("drain@web-2", "web-2", "lb")]
    assert set(pool.made) == {"lb"}
