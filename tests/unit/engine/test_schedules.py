"""Random plans, faults, schedules and deaths of the control process; what must hold in every one of them.

OPSFLOW_SEEDS=N plays N of them; a failure names its seed.
"""

import os
import random
import shutil
from collections import Counter

import pytest
from world import Crash, Stage, World, host, make_plan, step

from opsflow.engine.graph import Spread
from opsflow.journal import SqlJournal
from opsflow.model import NodeState, OnFailure, OnUnknown, Retry, RunState

SEEDS = int(os.environ.get("OPSFLOW_SEEDS", "300"))
CHUNKS = 6
GOOD = {NodeState.SUCCEEDED, NodeState.UNCHANGED, NodeState.SKIPPED}


@pytest.fixture(scope="module")
def empty_journal(tmp_path_factory):
    directory = tmp_path_factory.mktemp("empty")
    SqlJournal.open(f"sqlite:///{directory}/journal.db").close()
    return directory / "journal.db"


class Watch(World):
    """Checks, at the moment of acting, that the graph permits it."""

    def watch(self, plan, strict):
        self.plan_, self.spread, self.strict = plan, Spread(plan), strict
        return self

    def execute(self, ctx):
        for need in self.plan_.needs_of(ctx.node):
            reached = ctx.node in self.spread.dependants([need])
            assert not reached or need in self.applied or need in self.in_place, f"{ctx.node} before {need}"
        return super().execute(ctx)

    def revert(self, ctx):
        if self.strict:
            after = [d for d in self.spread.dependants([ctx.node]) if d in self.applied and d not in self.in_place]
            assert not after, f"{ctx.node} reverted before {after}"
        super().revert(ctx)


def play(seed, tmp_path, empty_journal):
    dice = random.Random(seed)
    hosts = [host(f"h{i}", shard=dice.choice(["a", "b", ["a", "b"]])) for i in range(dice.randint(1, 4))]
    names = [h.name for h in hosts]
    tasks = dice.choice([["act"], ["act", "again"], ["act", "firm"], ["act", "blind", "again"]])
    steps = []
    for i in range(dice.randint(1, 5)):
        earlier = [s.id for s in steps]
        task = dice.choice(tasks)
        on = "all" if i == 0 or dice.random() < 0.6 else dice.choice(names)
        per = (
            dice.choice(["all", "all", "host", "shard"])
            if on == "all" and all(s.hosts == "all" for s in steps)
            else "all"
        )
        steps.append(step(
            f"s{i}", on, needs=dice.sample(earlier, dice.randint(0, len(earlier))), task=task, per=per,
            rollback_scope=dice.choice(["run", "run", "host", "shard"]),
            on_failure=dice.choice([OnFailure.ROLLBACK] * 4 + [OnFailure.HALT, OnFailure.CONTINUE]),
            on_unknown=OnUnknown.RERUN if task == "again" else dice.choice([OnUnknown.ASK, OnUnknown.REVERT]),
            retry=Retry(attempts=dice.choice([1, 1, 2])), at_once=dice.choice([None, None, 1]),
        ))  # fmt: skip
    world = Watch()
    plan = make_plan(steps, hosts, world, flow="graph")
    nodes = [n.id for n in plan.nodes]

    def some(chance):
        return {n for n in nodes if dice.random() < chance}

    world.fail = Counter(some(0.15))
    world.lose, world.unreachable, world.in_place = some(0.05), some(0.05), some(0.1)
    world.fail_revert = Counter(dict.fromkeys(some(0.1), dice.choice([1, 9]))) if dice.random() < 0.3 else Counter()
    injected = Counter(world.fail)
    lost = set(world.lose)
    world.watch(plan, strict=not world.fail_revert and "firm" not in tasks)
    directory = tmp_path / str(seed)
    directory.mkdir()
    shutil.copy(empty_journal, directory / "journal.db")
    stage = Stage(directory, plan, world)
    what, code, crashes = "apply", None, 0
    for _ in range(12):
        crash_at = dice.choice([None, dice.randint(1, 12) / 2]) if crashes < 4 else None
        try:
            code = stage.session(what, seed=seed, crash_at=crash_at)
        except Crash:
            crashes += 1
            what = "resume"
            if stage.run_state() in {RunState.SUCCEEDED, RunState.ROLLED_BACK, RunState.ROLLBACK_INCOMPLETE}:
                code = stage.exit_code()
                break
            continue
        if code in {0, 3} or stage.run.state in {RunState.ROLLBACK_INCOMPLETE, RunState.ROLLED_BACK}:
            break
        if what == "resume" and dice.random() < 0.5:
            break
        what = "resume"
    check(stage, world, code, injected, lost, crashes)


def check(stage, world, code, injected, lost, crashes):
    states = stage.states()
    state = stage.run_state()
    executed = Counter(n for what, n in world.log if what == "execute")
    for node, is_ in states.items():
        effective = node in world.applied
        if is_ is NodeState.SUCCEEDED:
            assert effective, f"{node} reads succeeded and is not there"
        elif is_ in {NodeState.REVERTED, NodeState.SKIPPED, NodeState.UNCHANGED}:
            assert not effective or node in world.in_place, f"{node} reads {is_} and is there"
        elif not executed[node]:
            assert not effective
        assert is_ not in {NodeState.RUNNING, NodeState.REVERTING}, f"{node} is left {is_}"
        idempotent = stage.plan.task_of(node).idempotent
        # A crash may end an attempt before or after its effect; only an idempotent task may then run again.
        spare = injected[node] + (node in lost) + (crashes if idempotent else 0) + (node in world.unreachable) * 30
        assert executed[node] <= 1 + spare, f"{node} ran {executed[node]} times"
    assert (code == 0) == all(s in GOOD for s in states.values())
    assert (state is RunState.SUCCEEDED) == (code == 0)
    if state is RunState.ROLLED_BACK:
        assert not world.applied - world.in_place
    if code == 3:
        assert NodeState.REVERT_FAILED not in states.values()
    if NodeState.UNKNOWN in states.values() or state is RunState.ROLLBACK_INCOMPLETE:
        assert code == 4


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_schedule_breaks_the_invariants(chunk, tmp_path, empty_journal):
    for seed in range(chunk, SEEDS, CHUNKS):
        try:
            play(seed, tmp_path, empty_journal)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
