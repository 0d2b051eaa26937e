"""The order of a plan's steps, small enough to be looked at: what `opsflow graph` draws."""

from collections.abc import Iterator
from dataclasses import dataclass

import networkx as nx

from opsflow.model import PER_ALL
from opsflow.plan.batches import Batches
from opsflow.plan.model import Plan
from opsflow.plan.needs import per_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureStep:
    """A step.

    Attributes:
        id, task: As in the playbook.
        where: The pattern of its hosts.
        hosts: Those that it names; None: no inventory says.
        nodes: How many nodes it has; None: the same.
        at_end: It runs when nothing else is left.
        on: On which other host it is done, as in the playbook; empty: on its own.
        rolled: It is done in batches, on some of its hosts at least.
    """

    id: str
    task: str
    where: str
    hosts: tuple[str, ...] | None
    nodes: int | None
    at_end: bool
    on: str = ""
    rolled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureNeed:
    """`after` waits for `before`; `per`: for whom, if not for it on all its hosts."""

    before: str
    after: str
    per: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Steps in the order of the playbook, and their needs; what runs at the end needs nothing of what is before.

    What asks between two batches is no step of the picture.
    """

    name: str
    steps: tuple[PictureStep, ...]
    needs: tuple[PictureNeed, ...]
    batches: Batches | None = None

    @property
    def graph(self) -> "nx.DiGraph[str]":
        """Over ids of steps."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(step.id for step in self.steps)
        graph.add_edges_from((need.before, need.after) for need in self.needs)
        return graph


def picture(plan: Plan) -> Picture:
    """The picture of a plan, or of a playbook that was compiled without an inventory."""
    known = bool(plan.nodes)
    asking = {plan.by_id[gate].step for gate in plan.batches.gates} if plan.batches else set()
    steps = tuple(
        PictureStep(
            id=step.id,
            task=step.task,
            where=step.hosts,
            hosts=tuple(dict.fromkeys(node.host for node in plan.by_step[step.id])) if known else None,
            nodes=len(plan.by_step[step.id]) if known else None,
            at_end=step.at_end,
            on=step.on,
            rolled=any(node.unit for node in plan.by_step[step.id]),
        )
        for step in plan.playbook.steps
        if step.id not in asking
    )
    return Picture(name=plan.playbook.name, steps=steps, needs=tuple(_needs(plan)), batches=plan.batches)


def _needs(plan: Plan) -> Iterator[PictureNeed]:
    found: dict[tuple[str, str], str] = {}
    for step in plan.playbook.steps:
        for need in plan.needs.get(step.id, ()):
            if need.step in plan.steps:
                per = per_of(step, need, plan.steps[need.step])
                found[need.step, step.id] = "" if per == PER_ALL else per
    if plan.left_out:  # what they needed has been inherited
        found |= {pair: found.get(pair, "") for pair in _of_nodes(plan)}
    order = {step.id: index for index, step in enumerate(plan.playbook.steps)}
    for before, after in sorted(found, key=lambda pair: (order[pair[1]], order[pair[0]])):
        yield PictureNeed(before=before, after=after, per=found[before, after])


def _of_nodes(plan: Plan) -> Iterator[tuple[str, str]]:
    behind: dict[str, set[str]] = {join.id: set() for join in plan.joins}
    for before, after in plan.graph.edges:
        if after in behind:
            behind[after].add(plan.by_id[before].step)
    for before, after in plan.graph.edges:
        if after not in behind:
            for step in behind.get(before) or {plan.by_id[before].step}:
                yield step, plan.by_id[after].step
