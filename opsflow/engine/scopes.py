"""Which nodes are put back together (`rollback_scope`)."""

from collections import defaultdict
from functools import cached_property

from opsflow.model import LOCALHOST, PER_ITEM, SCOPE_HOST, SCOPE_RUN
from opsflow.plan import Plan, together, values_of
from opsflow.ports import Renderer


class Scopes:
    """The scopes of a plan: `run`, `host=NAME`, `VARIABLE=VALUE`; those that share a node are one.

    What runs at the end is in none.

    A scope's key is the smallest of the names that it joins.
    """

    def __init__(self, plan: Plan, renderer: Renderer) -> None:
        self._plan = plan
        self._renderer = renderer

    def of(self, node: str) -> str:
        """Key of a node's scope."""
        return self._keys[node]

    def members(self, key: str) -> list[str]:
        """Nodes of a scope, in plan order."""
        return self._members[key]

    @cached_property
    def _members(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for node, key in self._keys.items():
            found[key].append(node)
        return found

    @cached_property
    def _keys(self) -> dict[str, str]:
        names = {node.id: self._names(node.id) for node in self._plan.nodes if node.id not in self._plan.at_end}
        joined = together(names.values())
        return {node: joined[own[0]][0] for node, own in names.items()}

    def _names(self, node_id: str) -> tuple[str, ...]:
        node = self._plan.by_id[node_id]
        step = self._plan.steps[node.step]
        if step.rollback_scope == SCOPE_RUN:
            return (SCOPE_RUN,)
        batches = self._plan.batches
        if batches and not node.unit and step.rollback_scope == batches.by:
            return (f"node={node_id}",)  # what comes before and after all batches is no unit
        if step.rollback_scope == SCOPE_HOST:
            return (f"host={node.host}",)
        variable, host = step.rollback_scope, self._plan.hosts[node.host]
        stands_alone = node.host == LOCALHOST and variable != PER_ITEM
        values = None if stands_alone else values_of(step, node, host, variable, self._renderer)
        # A node that belongs to no value stands for itself.
        return tuple(f"{step.rollback_scope}={v}" for v in values) if values else (f"node={node_id}",)
