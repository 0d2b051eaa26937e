"""The engine waits for what it can act upon, and for nothing else."""

import pytest
from world import ShuffledExecutor, Stage, World, host, make_plan, step

from opsflow.engine import run
from opsflow.model import NodeState, OnFailure, Retry

HOSTS = [host("a1"), host("a2"), host("b1")]


@pytest.fixture
def asked(monkeypatch):
    """For how many seconds the engine was ready to wait, each time."""
    found = []
    messages = ShuffledExecutor.messages

    def heard(self, timeout):
        found.append(timeout)
        return messages(self, timeout)

    monkeypatch.setattr(ShuffledExecutor, "messages", heard)
    monkeypatch.setattr(run, "GATHERING", 60.0)  # what gathers may be due at any moment on a busy machine
    return found


@pytest.mark.parametrize("seed", range(8))
def test_a_node_that_may_try_again_keeps_no_engine_awake_that_is_to_stop(tmp_path, asked, seed):
    world = World()
    world.fail["one@a1"] = 1
    world.on_execute = lambda node: (s.stop.request(), asked.clear()) if node == "one@a1" else None
    steps = [step("one", retry=Retry(attempts=2)), step("two")]
    s = Stage(tmp_path, make_plan(steps, HOSTS, world, flow="unordered"), world)
    assert s.apply(seed=seed) == 130
    assert all(asked)


@pytest.mark.parametrize("seed", range(8))
def test_nor_one_that_has_halted(tmp_path, asked, seed):
    world = World()
    world.fail["one@a1"] = 1
    world.fail["two@a1"] = 1
    world.on_execute = lambda node: asked.clear() if node == "two@a1" else None
    again = step("one", retry=Retry(attempts=2, delay=0.002), on_failure=OnFailure.CONTINUE)
    steps = [again, step("two", on_failure=OnFailure.HALT), step("three"), step("four")]
    s = Stage(tmp_path, make_plan(steps, HOSTS, world, flow="unordered"), world)
    s.apply(seed=seed)
    assert s.states()["two@a1"] is NodeState.FAILED
    assert all(asked)
