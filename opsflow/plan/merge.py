"""A run goes on with another plan: the new one, with what of the old one has been done."""

from collections.abc import Collection, Iterator
from dataclasses import replace

import networkx as nx

from opsflow.errors import InputError
from opsflow.plan.model import Edge, Join, Node, Plan


def merged(old: Plan, new: Plan, settled: Collection[str]) -> Plan:
    """The plan with which a run goes on.

    Its files are those of `new`. Nodes that are only in `old` are in it as retired. What has begun keeps the needs that
    it had, too, for it is reverted before them; what has not has only those that it has now.

    Args:
        old: The plan that the run followed.
        new: What would be planned now.
        settled: Nodes of `old` that have begun, or that need not.

    Raises:
        InputError: by the new needs something would come before what has come before it.
    """
    gone = [node for node in old.nodes if node.id not in new.by_id]
    steps = [step for step in old.playbook.steps if step.id not in new.steps]
    parts = [part for part in old.playbook.parts if part.id not in {other.id for other in new.playbook.parts}]
    tasks = {step.task: old.tasks[step.task] for step in steps}
    nodes = (*new.nodes, *gone)
    graph = _Edges(new, nodes)
    for node in old.nodes:
        if node.id in settled:
            graph.keep(old, node.id)
    plan = replace(
        new,
        playbook=replace(new.playbook, steps=(*new.playbook.steps, *steps), parts=(*new.playbook.parts, *parts)),
        hosts={**{name: old.hosts[name] for name in _still_in_use(old, gone, settled)}, **new.hosts},
        tasks={**tasks, **new.tasks},
        references={**{step.id: old.references.get(step.id, ()) for step in steps}, **new.references},
        nodes=nodes,
        joins=tuple(graph.joins),
        edges=tuple(graph.edges()),
        retired=tuple(node.id for node in gone),
    )
    _refuse_circle(plan)
    return plan


def _still_in_use(old: Plan, gone: Collection[Node], settled: Collection[str]) -> Iterator[str]:
    """Hosts of nodes that are gone, and those on which something has begun."""
    for node in gone:
        yield from (node.host, node.at)
    for node in old.nodes:
        if node.on and node.id in settled:
            yield node.on


class _Edges:
    """The edges of the new plan, and of the old one those that lead to what has begun.

    Joins of the two stay apart: a failure passes a join to the nodes behind it; those behind an old one have begun.
    """

    def __init__(self, new: Plan, nodes: Collection[Node]) -> None:
        self._places = {node.id: index for index, node in enumerate(nodes)}
        self._found: dict[tuple[str, str], bool] = {
            (a, b): edge["barrier"] for a, b, edge in new.graph.edges(data=True)
        }
        self._kept: dict[str, str] = {}  # names of the old plan's joins
        self.joins: list[Join] = list(new.joins)
        for join in new.joins:
            self._places[join.id] = len(self._places)

    def keep(self, old: Plan, node: str) -> None:
        """Keep what a node needed."""
        for before, _, edge in old.graph.in_edges(node, data=True):
            if before in old.by_id:
                self._found.setdefault((before, node), edge["barrier"])
            else:
                self._found[self._join(old, before), node] = edge["barrier"]

    def edges(self) -> Iterator[Edge]:
        """All of them."""
        for (before, after), barrier in self._found.items():
            yield Edge(self._places[before], self._places[after], barrier)

    def _join(self, old: Plan, join: str) -> str:
        if join in self._kept:
            return self._kept[join]
        name = f"{join}, as it was"
        while name in self._places:
            name += " before"
        self._kept[join] = name
        self._places[name] = len(self._places)
        self.joins.append(Join(id=name))
        for before, _, edge in old.graph.in_edges(join, data=True):
            self._found[before, name] = edge["barrier"]
        return name


def _refuse_circle(plan: Plan) -> None:
    if nx.is_directed_acyclic_graph(plan.order):  # linear; finding a circle where there is none is not
        return
    circle = [before for before, _ in nx.find_cycle(plan.order)]
    steps = dict.fromkeys(plan.by_id[vertex].step for vertex in circle if vertex in plan.by_id)
    raise InputError(
        f"the order of these steps has been turned round, and they have begun in the old one: {', '.join(steps)}",
        hint="put their order back; or roll the run back and begin a new one",
    )
