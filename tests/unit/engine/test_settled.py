"""Hosts hear with a job of attempts whose outcome is durable."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from world import FakePool, Stage, World, host, make_plan, step

from opsflow.engine.settled import Settled
from opsflow.model import AttemptFinished, AttemptState, Job, JobKind

PLAN = SimpleNamespace(
    by_id={
        "stop@a": SimpleNamespace(at="a", step="stop"),
        "sub/stop@a": SimpleNamespace(at="a", step="root"),
        "stop@b": SimpleNamespace(at="b", step="stop"),
    },
    user_of={"stop@a": "", "sub/stop@a": "root", "stop@b": ""}.__getitem__,
)


@pytest.fixture
def settled():
    return Settled("run", PLAN)


def ended(node, phase="execute", state=AttemptState.SUCCEEDED):
    return AttemptFinished(id=f"run/{node}/{phase}/1", state=state, finished=datetime.now(UTC))


def job(host, become=""):
    return Job(kind=JobKind.PREPARE, run_id="run", node=f"x@{host}", step="x", host=host, task="t", become=become)


def test_each_host_and_user_hears_of_its_own_once(settled):
    settled.committed([ended("stop@a"), ended("stop@b"), ended("sub/stop@a"), ended("stop@a", "revert")])
    assert settled.told(job("a")).settled == ("run/stop@a/execute/1", "run/stop@a/revert/1")
    assert settled.told(job("a")).settled == ()
    assert settled.told(job("a", "root")).settled == ("run/sub/stop@a/execute/1",)
    assert settled.told(job("b")).settled == ("run/stop@b/execute/1",)


@pytest.mark.parametrize("state", [AttemptState.UNKNOWN, AttemptState.RUNNING])
def test_what_may_be_asked_after_is_kept(settled, state):
    settled.committed([ended("stop@a", state=state)])
    assert settled.told(job("a")).settled == ()


def test_a_step_tells_its_host_what_came_of_the_step_before(tmp_path):
    world = World()
    steps = [step("one"), step("two"), step("three")]
    stage = Stage(tmp_path, make_plan(steps, [host("a"), host("b")], world), world)
    stage.pool = FakePool()
    assert stage.apply() == 0
    told = {name: [a.partition("/")[2] for a in stage.pool.made[name].forgotten] for name in ("a", "b")}
    assert set(told["a"]) >= {"one@a/execute/1", "two@a/execute/1"}
    assert "one@b/execute/1" in told["b"]
    assert all(len(names) == len(set(names)) for names in told.values())
