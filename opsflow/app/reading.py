"""The use cases that change nothing and connect to nothing but the journal."""

from collections.abc import Sequence
from dataclasses import dataclass

from opsflow import inventory as inventories
from opsflow.app import wiring
from opsflow.app.running import Request
from opsflow.app.settings import Settings
from opsflow.model import NodeRecord, RequestRecord, RollbackRecord, RunRecord
from opsflow.ports import Inventory, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """All that the journal knows of a run, output excepted. `driven`: a living process drives it."""

    run: RunRecord
    nodes: Sequence[NodeRecord]
    rollbacks: Sequence[RollbackRecord]
    requests: Sequence[RequestRecord]
    driven: bool


def validate(request: Request, settings: Settings) -> None:
    """Find everything that is wrong with a playbook, with the inventory's help if one is named.

    Raises:
        InputError: everything that is wrong.
    """
    tasks = wiring.registry(settings)
    wiring.compiled(request.playbook, request.inventory, request.extra, tasks, settings=settings, run=False)


def runs(settings: Settings, *, limit: int = 50) -> Sequence[RunRecord]:
    """Runs, newest first."""
    with wiring.journal(settings) as journal:
        return journal.runs(limit=limit)


def show(run: str | None, settings: Settings) -> RunDetail:
    """One run; None: the newest. Raises `UnknownRun`."""
    with wiring.journal(settings) as journal:
        found = journal.find(run)
        return RunDetail(
            run=found,
            nodes=journal.nodes(found.id),
            rollbacks=journal.rollbacks(found.id),
            requests=journal.requests(found.id),
            driven=journal.driven(found.id),
        )


def tasks(settings: Settings) -> Sequence[Task]:
    """All tasks, by name."""
    registry = wiring.registry(settings)
    return [task for name in registry.names() if (task := registry.get(name))]


def hosts(inventory: str, settings: Settings) -> Inventory:
    """What an inventory resolves to."""
    return inventories.load(inventory, project=settings.project, defaults=settings.ssh)
