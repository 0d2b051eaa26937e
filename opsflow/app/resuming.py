"""Going on with a run that an earlier session left: forward, or back."""

from collections.abc import Callable, Sequence

from opsflow.app import wiring
from opsflow.app.changes import changes
from opsflow.app.driving import NOT_CONFIRMED, RunSummary, drive, load
from opsflow.app.origins import at_home
from opsflow.app.pins import seen_keys
from opsflow.app.refusals import (
    refuse_changes,
    refuse_ended,
    refuse_later_changes,
    refuse_other_plugins,
    refuse_rolled_back,
)
from opsflow.app.settings import Settings
from opsflow.engine.run import Run
from opsflow.engine.stop import Stop
from opsflow.errors import InputError
from opsflow.events import Listener, NodePlanned
from opsflow.journal import SqlJournal
from opsflow.model import Action, RunRecord, RunState
from opsflow.plan import Plan
from opsflow.ports import Confirm

_OVER = frozenset({RunState.SUCCEEDED, RunState.ROLLED_BACK})


def resume(
    run: str | None,
    settings: Settings,
    listeners: Sequence[Listener],
    *,
    accept_changes: bool = False,
    stop: Stop | None = None,
) -> RunSummary:
    """Go on with a run that was interrupted, suspended, halted or failed; None: the newest.

    Args:
        run: Its id or the beginning of it.
        settings: How.
        listeners: Hear of everything.
        accept_changes: Also with other plugins than those that the plan was made with.
        stop: The operator's wish to stop.

    Raises:
        UnknownRun: there is no such run.
        PlanDrift: plugins changed since the plan was made.
        InputError: nothing of it is left to go on with.
        HostsHeld: somebody drives it at this moment, or another run holds its hosts.
    """
    with wiring.journal(settings) as journal:
        record = journal.find(run)
        refuse_ended(record)
        plan, settings = at_home(Plan.from_json(journal.plan(record.id)), settings)
        tasks = wiring.registry(settings)
        found = changes(plan, tasks, settings)
        if not accept_changes:
            refuse_changes(record, found)
        elif found.wrong:
            raise found.wrong
        loaded = load(_taken(record, journal, refuse_ended), plan, journal, listeners, tasks)
        with wiring.executor(settings, plan, tasks, listeners, pins=seen_keys(loaded)) as (executor, transports):
            return drive(loaded, executor, transports, journal, stop or Stop(), "resume")


def rollback(
    run: str | None,
    settings: Settings,
    listeners: Sequence[Listener],
    *,
    dry_run: bool = False,
    force: bool = False,
    accept_changes: bool = False,
    confirm: Confirm | None = None,
    stop: Stop | None = None,
) -> RunSummary:
    """Put back what a run changed, a successful one too; or finish an incomplete rollback. None: the newest run.

    Args:
        run: Its id or the beginning of it.
        settings: How.
        listeners: Hear of everything.
        dry_run: Only tell what would be reverted: as nodes planned, the first to be reverted first.
        force: Also if later runs changed the same hosts.
        accept_changes: Also with other plugins than those that the plan was made with.
        confirm: Asks the operator; None: nobody needs to be asked.
        stop: The operator's wish to stop.

    Raises:
        UnknownRun: there is no such run.
        PlanDrift: plugins changed since the plan was made.
        HostsHeld: somebody drives it at this moment, or later runs changed its hosts.
        ApprovalNeeded: nobody is there to be asked.
    """
    with wiring.journal(settings) as journal:
        record = journal.find(run)
        plan, settings = at_home(Plan.from_json(journal.plan(record.id)), settings)
        tasks = wiring.registry(settings)
        loaded = load(record, plan, journal, listeners, tasks)
        planned = _to_revert(loaded)
        for node in planned if dry_run or confirm else ():
            for listener in listeners:
                listener(node)
        # An open run of which nothing is left to revert is brought to its end: it holds its hosts.
        if dry_run or (not planned and record.state in _OVER):
            hint = "" if planned else f"run {record.id} has left nothing to revert"
            return RunSummary(run_id=record.id, state=record.state, hint=hint, planned=planned)
        refuse_later_changes(record, plan, journal, force=force)
        if not accept_changes:
            refuse_other_plugins(record, plan, tasks, "rollback")
        if planned and confirm and not confirm(_question(record, plan, len(planned))):
            return RunSummary(exit_code=NOT_CONFIRMED, planned=planned, hint="nothing was changed")
        loaded = load(_taken(record, journal, refuse_rolled_back), plan, journal, listeners, tasks)
        with wiring.executor(settings, plan, tasks, listeners, pins=seen_keys(loaded)) as (executor, transports):
            return drive(loaded, executor, transports, journal, stop or Stop(), "rollback")


def _question(record: RunRecord, plan: Plan, nodes: int) -> str:
    last = ", ".join(step.id for step in plan.playbook.steps if step.at_end)
    then = f", then run {last}" if last else ""
    return f"Revert {nodes} nodes of run {record.id}{then}?"


def _to_revert(run: Run) -> tuple[NodePlanned, ...]:
    return tuple(
        NodePlanned(
            run_id=run.id,
            node=node.id,
            step=node.step,
            host=node.host,
            action=Action.CHANGE,
            reversible=run.plan.task_of(node.id).reversible,
            summary=f"revert: {node.to_revert()[0].preview.get('summary', '')}",
            diff="",
            needs=(),
        )
        for node in reversed(run.nodes.values())
        if node.to_revert() and node.id not in run.plan.at_end
    )


def _taken(record: RunRecord, journal: SqlJournal, refuse: Callable[[RunRecord], None]) -> RunRecord:
    """The run as it is once nobody but this process writes it: another one may have brought it to its end by then."""
    journal.resume(record.id, wiring.operator())
    taken = journal.find(record.id)
    try:
        refuse(taken)
    except InputError:
        journal.leave(record.id, release_hosts=taken.state in _OVER)
        raise
    return taken
