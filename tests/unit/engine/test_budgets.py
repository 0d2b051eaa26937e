"""How many commits a run may cost."""

import time

import pytest
from sqlalchemy import select
from world import Stage, World, host, make_plan, step

from opsflow.engine import run
from opsflow.journal import SqlJournal
from opsflow.journal.tables import owners

STEPS = 20


def commits(stage):
    journal = SqlJournal.open(stage.url)
    try:
        with journal.engine.connect() as connection:
            return connection.scalar(select(owners.c.serial))
    finally:
        journal.close()


@pytest.mark.parametrize("task", ["act", "blind"])
@pytest.mark.parametrize("hosts", [1, 3])
def test_an_outcome_and_the_intent_that_follows_from_it_share_a_commit(tmp_path, monkeypatch, task, hosts):
    monkeypatch.setattr(run, "GATHERING", 60.0)  # a slow machine is no other design
    steps = [step(f"s{n}", task=task, per="host") for n in range(STEPS)]
    stage = Stage(tmp_path, make_plan(steps, [host(f"h{n}") for n in range(hosts)], World()), World())
    assert stage.apply() == 0
    begin, end = 1, 2
    assert commits(stage) <= STEPS * hosts + begin + end


def test_outcomes_do_not_wait_for_somebody_who_looks_for_long(tmp_path, monkeypatch):
    """The first node's outcome is durable although the second one's look never ends by itself."""
    monkeypatch.setattr(run, "GATHERING", 0.001)
    world = World()
    stage = Stage(tmp_path, make_plan([step("one"), step("two")], [host("h")], world), world)
    seen = []

    def plan(ctx, _plan=world.plan):
        if ctx.node == "two@h":
            time.sleep(0.05)
            ends = time.monotonic() + 10
            while stage.states()["one@h"] != "succeeded" and time.monotonic() < ends:
                time.sleep(0.01)
            seen.append(stage.states()["one@h"])
        return _plan(ctx)

    world.plan = plan
    assert stage.apply(threads=True) == 0
    assert seen == ["succeeded"]
