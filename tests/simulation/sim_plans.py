"""Random plans, and the tasks in them: what they do depends on what they read, and is done in several operations."""

import random
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from opsflow.errors import InputError, TaskFailed
from opsflow.inventory.static import StaticInventory
from opsflow.model import (
    Connection,
    Host,
    Irreversible,
    Need,
    OnFailure,
    OnUnknown,
    Playbook,
    Preview,
    Retry,
    Rollout,
    Step,
)
from opsflow.plan import Plan, compile_plan
from opsflow.playbook import TemplateRenderer

RENDERER = TemplateRenderer(directory=".", hosts=lambda _: [])
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TASKS = ("act", "firm", "again", "blind")


class Task:
    """`act` can be undone, `firm` cannot, `again` is idempotent, `blind` has no plan hook.

    Args:
        parts: How many operations it takes on a node.
        denied: Nodes whose plan hook fails.
        flawed: Nodes whose hook fails when all is done.
    """

    doc = source = ""

    def __init__(self, name: str, parts: dict[str, int], denied: set[str], flawed: set[str]) -> None:
        self.name = self.digest = name
        self.idempotent = name == "again"
        self.has_plan = name != "blind"
        self.gate = False
        self.reversible = name != "firm"
        self._parts, self._denied, self._flawed = parts, denied, flawed

    def check(self, params, *, ignore=()):
        return []

    def local_paths(self, params, directory):
        return []

    def schema(self):
        return {}

    def outputs(self):
        return None

    def plan(self, ctx, params):
        if not self.has_plan:
            return Preview.change("blindly")
        if ctx.node in self._denied:
            return Preview.fail("cannot be")
        there = ctx.probe(f"parts {ctx.node}").stdout
        if there.count("/") == self._parts[ctx.node]:
            return Preview.unchanged("in place", outputs={"value": ctx.node})
        return Preview.change("do it", before={"there": there})

    def execute(self, ctx, params, preview):
        said = []
        for n in range(self._parts[ctx.node]):
            part = f"{ctx.node}/{n}"
            seen = ctx.probe(f"look {part}").stdout.replace(" ", "_")
            moment = ctx.now().isoformat() if n % 2 else ctx.random()
            said.append(ctx.run(f"do {part} {ctx.attempt} {moment} {seen}").stdout)
        if ctx.node in self._flawed:
            raise TaskFailed("not what it should be")
        return {"value": ctx.node, "said": said}

    def revert(self, ctx, params, preview, outputs):
        for n in reversed(range(self._parts[ctx.node])):
            ctx.run(f"undo {ctx.node}/{n}")


class Tasks:
    """All of them."""

    def __init__(self, parts: dict[str, int], denied: set[str], flawed: set[str]) -> None:
        self._tasks = {name: Task(name, parts, denied, flawed) for name in TASKS}

    def names(self):
        return sorted(self._tasks)

    def get(self, name):
        return self._tasks.get(name)


def random_plan(dice: random.Random, tasks: Tasks) -> Plan:
    """A plan of up to 30 steps on up to 20 hosts; most are small."""
    # A few are as large as they may be.
    width, length = (
        (20, 30) if dice.random() < 0.0015 else (1 + int(20 * dice.random() ** 8), 1 + int(30 * dice.random() ** 7))
    )
    hosts = [
        Host(name=f"h{n}", connection=Connection(transport="fake"), vars={"shard": dice.choice(["a", "b", ["a", "b"]])})
        for n in range(width)
    ]
    steps: list[Step] = []
    mixed = dice.random() < 0.5
    for n in range(length):
        steps.append(_step(dice, f"s{n}", [h.name for h in hosts], steps, plain=not mixed))
    inventory = StaticInventory(path="test", digest="", hosts=hosts, groups=(), directory=Path())
    playbook = Playbook(name="test", steps=tuple(steps), flow="graph", directory=".")
    more = {"inputs": {}, "extra": {}, "now": NOW}
    aside = random.Random()
    aside.setstate(dice.getstate())  # so that all else is as it was before there were rollouts
    if aside.random() < 0.3:
        with suppress(InputError):  # something that is not rolled would be in between, or a need would lead back
            rolled = replace(playbook, rollout=_rollout(aside))
            return compile_plan(rolled, inventory, tasks, RENDERER, **more)
    return compile_plan(playbook, inventory, tasks, RENDERER, **more)


def _rollout(dice: random.Random) -> Rollout:
    by = dice.choice(["shard", "host"])
    return Rollout(
        by=by,
        hosts="all" if by == "host" else "",
        batches=tuple(dice.choice([(1,), (1,), (1, "50%"), ("30%",)])),
        max_failures=dice.choice([0, 0, 1, "50%"]),
        pause=dice.choice([0.0, 0.0, 40.0]),
    )


def _step(dice: random.Random, name: str, hosts: list[str], before: list[Step], *, plain: bool) -> Step:
    at_end = dice.random() < 0.15
    earlier = [s.id for s in before if s.at_end is at_end][-6:]
    task = dice.choice(("act", "act", "again")) if plain else dice.choice(("act", "act", "again", "blind", "firm"))
    few = ",".join(dice.sample(hosts, min(2, len(hosts))))
    needs = [
        Need(step=other, per=dice.choice([None, "all", "host", "shard"]), optional=True)
        for other in dice.sample(earlier, min(len(earlier), dice.choice([0, 1, 1, 2])))
    ]
    unknown = OnUnknown.RERUN if task == "again" else dice.choice([OnUnknown.ASK, OnUnknown.ASK, OnUnknown.REVERT])
    if at_end and unknown is OnUnknown.REVERT:  # which no playbook may say
        unknown = OnUnknown.ASK
    attempts = dice.choice([1, 1, 1, 2, 3])
    return Step(
        id=name,
        task=task,
        hosts=dice.choice(["all", "all", dice.choice(hosts), few]),
        needs=tuple(needs),
        run_once=dice.random() < 0.1,
        rollback_scope=dice.choice(["run", "host", "host", "shard"]),
        on_failure=dice.choice([OnFailure.ROLLBACK] * 4 + [OnFailure.HALT, OnFailure.CONTINUE]),
        on_unknown=unknown,
        irreversible=dice.choice([Irreversible.STOP, Irreversible.ALLOW]),
        at_end=at_end,
        at_once=dice.choice([None, None, None, 1, 2]),
        timeout=dice.choice([None, None, None, 30.0]),
        retry=Retry(
            attempts=attempts,
            delay=dice.choice([0.0, 2.0]),
            revert_between=attempts > 1 and task != "firm" and dice.random() < 0.3,
        ),
    )
