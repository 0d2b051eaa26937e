"""What the journal knows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsflow.app import wiring
from opsflow.app.settings import Settings
from opsflow.journal import SqlJournal
from opsflow.model import (
    AT_WORK,
    UNTOUCHED,
    WELL,
    BatchRecord,
    NodeRecord,
    NodeState,
    RequestRecord,
    RollbackRecord,
    RunRecord,
)
from opsflow.plan import Accepted, Plan, differences


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """All that the journal knows of a run, output excepted.

    Attributes:
        driven: A living process drives it.
        at_end: Steps that run when nothing else is left (`finally`).
        accepted: The plans that took the place of the first, with what was different.
        left_out: Nodes that were not selected when it was planned.
        batches: In which it is rolled out; none: all at once.
    """

    run: RunRecord
    nodes: Sequence[NodeRecord]
    rollbacks: Sequence[RollbackRecord]
    requests: Sequence[RequestRecord]
    driven: bool
    at_end: frozenset[str]
    accepted: Sequence[Accepted]
    left_out: Sequence[str]
    batches: Sequence[BatchRecord]


def runs(settings: Settings, *, limit: int = 50) -> Sequence[RunRecord]:
    """Runs, newest first."""
    with wiring.journal(settings) as journal:
        return journal.runs(limit=limit)


def show(run: str | None, settings: Settings) -> RunDetail:
    """One run; None: the newest. Raises `UnknownRun`."""
    with wiring.journal(settings) as journal:
        found = journal.find(run)
        plan, nodes = journal.plan(found.id), journal.nodes(found.id)
        return RunDetail(
            run=found,
            nodes=nodes,
            rollbacks=journal.rollbacks(found.id),
            requests=journal.requests(found.id),
            driven=journal.driven(found.id),
            at_end=frozenset(step["id"] for step in plan["playbook"]["steps"] if step.get("at_end")),
            accepted=_accepted(found.id, journal),
            left_out=plan.get("left_out", ()),
            batches=_batches(plan, nodes),
        )


def _accepted(run_id: str, journal: SqlJournal) -> list[Accepted]:
    later = journal.later_plans(run_id)
    plans = [Plan.from_json(journal.plan(run_id, number)) for number in range(len(later) + 1)] if later else []
    return [
        Accepted(number=plan.number, at=plan.at, operator=plan.operator, differences=differences(before, after))
        for plan, before, after in zip(later, plans[:-1], plans[1:], strict=True)
    ]


def _batches(plan: Mapping[str, Any], nodes: Iterable[NodeRecord]) -> list[BatchRecord]:
    if not plan.get("batches"):
        return []
    unit_of = {node["id"]: node["unit"] for node in plan["nodes"]}
    states: dict[str, set[NodeState]] = {}
    for node in nodes:
        states.setdefault(unit_of.get(node.id, ""), set()).add(node.state)
    return [_batch(number, units, states) for number, units in enumerate(plan["batches"]["units"], 1)]


def _batch(number: int, units: Sequence[str], states: Mapping[str, set[NodeState]]) -> BatchRecord:
    every: set[NodeState] = set().union(*(states.get(unit, set()) for unit in units))
    state = "pending" if every <= UNTOUCHED else "begun" if every & AT_WORK else "done"
    failed = tuple(unit for unit in units if state != "pending" and states.get(unit, set()) - WELL)
    return BatchRecord(number=number, units=tuple(units), failed=failed, state=state)
