"""The batches of a rollout, as a plan has them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import networkx as nx


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """Units in the order in which they are rolled.

    Attributes:
        by: What makes hosts a unit: a variable, or `host`.
        units: The names of the units of each batch.
        max_failures: Units that may fail; one more, and no further batch begins.
        pause: Seconds between two batches.
        gates: Nodes that somebody has to approve: the first of them before the second batch, and so on; or none.
    """

    by: str
    units: tuple[tuple[str, ...], ...]
    max_failures: int
    pause: float = 0.0
    gates: tuple[str, ...] = ()

    @property
    def numbers(self) -> Mapping[str, int]:
        """The batch of each unit, from 1 on."""
        return {unit: number for number, units in enumerate(self.units, 1) for unit in units}

    def of(self, units: Collection[str], max_failures: int | str) -> "Batches | None":
        """What is left of them where only some units are; None: nothing."""
        left = tuple(filter(None, (tuple(unit for unit in batch if unit in units) for batch in self.units)))
        may_fail = share(max_failures, sum(map(len, left)), up=False)
        return replace(self, units=left, max_failures=may_fail, gates=self.gates[: len(left) - 1]) if left else None


def share(size: int | str, total: int, *, up: bool) -> int:
    """A number of units; of a percentage, rounded up or down."""
    if isinstance(size, int):
        return size
    percent = int(size.removesuffix("%")) * total
    return -(-percent // 100) if up else percent // 100


def in_batches(graph: "nx.DiGraph[str]", batches: Iterable[Iterable[str]]) -> "nx.DiGraph[str]":
    """A graph in which also each batch comes after the one before; with a vertex between them, so at n + m edges.

    Args:
        graph: Of the needs.
        batches: The nodes of each.
    """
    found = graph.copy()
    between = None
    for number, nodes in enumerate(batches, 1):
        after = f"after batch {number}"
        found.add_node(after)
        if between is not None:
            found.add_edge(between, after)
            found.add_edges_from((between, node) for node in nodes)
        found.add_edges_from((node, after) for node in nodes)
        between = after
    return found
