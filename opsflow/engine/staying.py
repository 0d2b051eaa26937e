"""What a rollback leaves as it is, and why."""

from collections.abc import Iterable

import networkx as nx

from opsflow.engine.reverting import cannot_be_undone
from opsflow.engine.run import Run
from opsflow.model import Irreversible


def staying(run: Run, nodes: Iterable[str]) -> dict[str, str]:
    """Of nodes that are to be reverted those that stay, and why: what cannot be undone, and all that is before it."""
    wanted = list(nodes)
    graph = run.plan.graph
    why = {node: "it cannot be undone" for node in wanted if cannot_be_undone(run, node, run.nodes[node].to_revert())}
    before: dict[str, str] = {}
    for node in why:
        if rule(run, node) is Irreversible.STOP and node not in before:
            before |= dict.fromkeys(nx.ancestors(graph, node), f"it is before {node}, which cannot be undone")
    return {node: why.get(node) or before[node] for node in wanted if node in why or node in before}


def rule(run: Run, node: str) -> Irreversible:
    """What a rollback does at a node that cannot be undone."""
    return run.plan.steps[run.nodes[node].step].irreversible
