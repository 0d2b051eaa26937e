"""The plan: a playbook and an inventory compiled to a frozen graph of nodes, which then is all that a run knows."""

from opsflow.plan.compile import compile_plan
from opsflow.plan.definition import NodeChanges, node_changes
from opsflow.plan.drift import Accepted, differences
from opsflow.plan.fingerprint import decisive, fingerprint, moved
from opsflow.plan.merge import merged
from opsflow.plan.model import Edge, Join, Node, Origin, Plan, TaskFacts
from opsflow.plan.values import node_variables, values_of, varied

__all__ = [
    "Accepted",
    "Edge",
    "Join",
    "Node",
    "NodeChanges",
    "Origin",
    "Plan",
    "TaskFacts",
    "compile_plan",
    "decisive",
    "differences",
    "fingerprint",
    "merged",
    "moved",
    "node_changes",
    "node_variables",
    "values_of",
    "varied",
]
