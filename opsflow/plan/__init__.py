"""The plan: a playbook and an inventory compiled to a frozen graph of nodes, which then is all that a run knows."""

from opsflow.plan.batches import Batches
from opsflow.plan.compile import compile_plan
from opsflow.plan.contract import contracted, selected
from opsflow.plan.definition import NodeChanges, node_changes
from opsflow.plan.drift import Accepted, differences
from opsflow.plan.fingerprint import decisive, fingerprint, moved
from opsflow.plan.merge import merged
from opsflow.plan.model import ALL, Edge, Join, Node, Origin, Plan, Selection, TaskFacts
from opsflow.plan.picture import Picture, PictureNeed, PictureStep, picture
from opsflow.plan.values import node_variables, together, values_of, varied

__all__ = [
    "ALL",
    "Accepted",
    "Batches",
    "Edge",
    "Join",
    "Node",
    "NodeChanges",
    "Origin",
    "Picture",
    "PictureNeed",
    "PictureStep",
    "Plan",
    "Selection",
    "TaskFacts",
    "compile_plan",
    "contracted",
    "decisive",
    "differences",
    "fingerprint",
    "merged",
    "moved",
    "node_changes",
    "node_variables",
    "picture",
    "selected",
    "together",
    "values_of",
    "varied",
]
