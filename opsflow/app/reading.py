"""The use cases that change nothing and connect to nothing but the journal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsflow import plan as plans
from opsflow.app import wiring
from opsflow.app.running import Request, selected
from opsflow.app.settings import Settings
from opsflow.errors import InputError, Problem
from opsflow.journal import SqlJournal
from opsflow.model import GroupMembers, HostExplanation, NodeRecord, RequestRecord, RollbackRecord, RunRecord
from opsflow.plan import Accepted, Picture, Plan, differences
from opsflow.playbook.jsonschema import playbook_schema as schema_of_playbooks
from opsflow.ports import Inventory, Task
from opsflow.tomlfile import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """All that the journal knows of a run, output excepted.

    Attributes:
        driven: A living process drives it.
        at_end: Steps that run when nothing else is left (`finally`).
        accepted: The plans that took the place of the first, with what was different.
        left_out: Nodes that were not selected when it was planned.
    """

    run: RunRecord
    nodes: Sequence[NodeRecord]
    rollbacks: Sequence[RollbackRecord]
    requests: Sequence[RequestRecord]
    driven: bool
    at_end: frozenset[str]
    accepted: Sequence[Accepted]
    left_out: Sequence[str]


def validate(request: Request, settings: Settings) -> Sequence[Problem]:
    """Find everything that is wrong with a playbook, with the inventory's help if one is named.

    Returns:
        What of the inventory is not understood, and taken as if it was not there.

    Raises:
        InputError: everything that is wrong.
    """
    notices: list[Problem] = []
    _compiled(request, settings, notices)
    return notices


def picture(request: Request, settings: Settings) -> Picture:
    """The order of a playbook's steps, with the hosts of an inventory if one is named. Raises `InputError`."""
    return plans.picture(_compiled(request, settings, []))


def _compiled(request: Request, settings: Settings, notices: list[Problem]) -> Plan:
    return wiring.compiled(
        request.playbook,
        request.inventory,
        request.extra,
        wiring.registry(settings),
        settings=settings,
        selection=selected(request.selection, settings),
        run=False,
        noticed=notices.append,
    )


def runs(settings: Settings, *, limit: int = 50) -> Sequence[RunRecord]:
    """Runs, newest first."""
    with wiring.journal(settings) as journal:
        return journal.runs(limit=limit)


def show(run: str | None, settings: Settings) -> RunDetail:
    """One run; None: the newest. Raises `UnknownRun`."""
    with wiring.journal(settings) as journal:
        found = journal.find(run)
        plan = journal.plan(found.id)
        return RunDetail(
            run=found,
            nodes=journal.nodes(found.id),
            rollbacks=journal.rollbacks(found.id),
            requests=journal.requests(found.id),
            driven=journal.driven(found.id),
            at_end=frozenset(step["id"] for step in plan["playbook"]["steps"] if step.get("at_end")),
            accepted=_accepted(found.id, journal),
            left_out=plan.get("left_out", ()),
        )


def _accepted(run_id: str, journal: SqlJournal) -> list[Accepted]:
    later = journal.later_plans(run_id)
    plans = [Plan.from_json(journal.plan(run_id, number)) for number in range(len(later) + 1)] if later else []
    return [
        Accepted(number=plan.number, at=plan.at, operator=plan.operator, differences=differences(before, after))
        for plan, before, after in zip(later, plans[:-1], plans[1:], strict=True)
    ]


def tasks(settings: Settings) -> Sequence[Task]:
    """All tasks, by name."""
    registry = wiring.registry(settings)
    return [task for name in registry.names() if (task := registry.get(name))]


def task(name: str, settings: Settings) -> Task:
    """The task of that name. Raises `InputError`: there is none."""
    registry = wiring.registry(settings)
    found = registry.get(name)
    if found is None:
        like = did_you_mean(name, registry.names())
        raise InputError(f"there is no task {name!r}", hint=like or "opsflow task list")
    return found


def hosts(inventory: str, settings: Settings) -> Inventory:
    """What an inventory resolves to."""
    return wiring.hosts(inventory, settings)


def host(inventory: str, name: str, settings: Settings) -> HostExplanation:
    """A host, and where all that is known of it comes from. Raises `InputError`, also if there is no such host."""
    return wiring.explained(inventory, name, settings)


def playbook_schema(settings: Settings) -> Mapping[str, Any]:
    """JSON Schema of playbooks, the parameters of all tasks included."""
    return schema_of_playbooks(wiring.registry(settings))


def members(inventory: str, settings: Settings) -> Mapping[str, GroupMembers]:
    """What each group of an inventory is made of, `all` first. Raises `InputError`."""
    return wiring.members(inventory, settings)
