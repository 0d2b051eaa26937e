"""Going on with a run that an earlier session left: forward, or back."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from opsflow.app import wiring
from opsflow.app.changes import changed_plugins, changes
from opsflow.app.compiling import registry
from opsflow.app.driving import NOT_CONFIRMED, RunSummary, drive, load
from opsflow.app.pins import seen_keys
from opsflow.app.refusals import (
    refuse_changes,
    refuse_ended,
    refuse_later_changes,
    refuse_other_plan,
    refuse_other_plugins,
    refuse_rolled_back,
)
from opsflow.app.settings import Settings
from opsflow.app.stored import StoredPlan
from opsflow.engine.replan import kept, refuse_moved_ends, refuse_moved_scopes, refuse_moved_units, replan, settled
from opsflow.engine.run import NodeStatus, Run
from opsflow.engine.staying import staying
from opsflow.engine.stop import Stop
from opsflow.errors import Difference, InputError
from opsflow.events import Listener, NodePlanned
from opsflow.journal import SqlJournal
from opsflow.model import OVER, SCOPE_RUN, Action, RunRecord
from opsflow.plan import Plan, merged, node_changes
from opsflow.ports import Approver, Confirm


def resume(
    run: str | None,
    settings: Settings,
    listeners: Sequence[Listener],
    *,
    force: bool = False,
    accept_changes: bool = False,
    stop: Stop | None = None,
    approver: Approver | None = None,
) -> RunSummary:
    """Go on with a run that was interrupted, suspended, halted or failed; None: the newest.

    Args:
        run: Its id or the beginning of it.
        settings: How.
        listeners: Hear of everything.
        force: Also if later runs, for which it was abandoned, changed the same hosts.
        accept_changes: Also if its files say something else now: it goes on with that, and nothing that is done is
            done again. If they are not there any more, or it only goes back, it follows its stored plan.
        stop: The operator's wish to stop.
        approver: Asks at the terminal for approvals that steps wait for; None: nobody is there, and the run suspends.

    Raises:
        UnknownRun: there is no such run.
        PlanDrift: its files say something else now.
        InputError: nothing of it is left to go on with, or its files are wrong now.
        HostsHeld: somebody drives it at this moment, another run holds its hosts, or later runs changed them.
    """
    with wiring.journal(settings) as journal:
        record = journal.find(run)
        refuse_ended(record)
        stored, settings = StoredPlan.of(record.id, journal).at_home(settings)
        refuse_later_changes(record, stored.plan, journal, "resume", force=force)
        tasks = registry(settings)
        back = any(rollback.scope == SCOPE_RUN for rollback in journal.rollbacks(record.id))
        found = changed_plugins(stored.plan, tasks) if back else changes(stored.plan, tasks, settings)
        if not accept_changes:
            refuse_changes(record, found, stored.plan, journal.nodes(record.id))
        elif found.wrong:
            raise found.wrong
        new = found.plan if found.differences else None
        if new:
            _following(stored, new)  # what must be refused is refused before the run is taken
        taken = _taken(record, journal, refuse_ended)
        follows = _following(stored, new) if new else stored
        loaded = load(taken, follows, [*listeners, *tasks.listeners()])
        if new:
            _replan(loaded, stored, new, found.differences)
        with wiring.executor(settings, loaded.plan, tasks, listeners, pins=seen_keys(loaded)) as (executor, transports):
            return drive(loaded, executor, transports, journal, stop or Stop(), "resume", approver)


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
        stored, settings = StoredPlan.of(record.id, journal).at_home(settings)
        plan, tasks = stored.plan, registry(settings)
        loaded = load(record, stored, listeners)
        planned = _to_revert(loaded)
        for node in planned if dry_run or confirm else ():
            for listener in listeners:
                listener(node)
        # An open run of which nothing is left to revert is brought to its end: it holds its hosts.
        if dry_run or (not planned and record.state in OVER):
            hint = "" if planned else f"run {record.id} has left nothing to revert"
            return RunSummary(run_id=record.id, state=record.state, hint=hint, planned=planned)
        refuse_later_changes(record, plan, journal, "rollback", force=force)
        if not accept_changes:
            refuse_other_plugins(record, plan, tasks, "rollback")
        if planned and confirm and not confirm(_question(record, plan, planned)):
            return RunSummary(exit_code=NOT_CONFIRMED, planned=planned, hint="nothing was changed")
        loaded = load(_taken(record, journal, refuse_rolled_back), stored, [*listeners, *tasks.listeners()])
        with wiring.executor(settings, plan, tasks, listeners, pins=seen_keys(loaded)) as (executor, transports):
            return drive(loaded, executor, transports, journal, stop or Stop(), "rollback")


def _following(stored: StoredPlan, new: Plan) -> StoredPlan:
    """The plan that a run follows if it goes on with what its files say now."""
    journal = stored.journal
    begun = settled(journal.nodes(stored.run_id))
    plan = merged(stored.plan, new, begun)
    refuse_moved_ends(stored.plan, plan, begun)
    refuse_moved_units(stored.plan, plan, begun)
    refuse_moved_scopes(stored.plan, plan, journal.rollbacks(stored.run_id), wiring.renderer_for(plan))
    return replace(stored, plan=plan, number=stored.number + 1)


def _replan(run: Run, stored: StoredPlan, new: Plan, differences: Sequence[Difference]) -> None:
    changes = node_changes(stored.plan, new)
    done = kept(stored.journal.nodes(run.id), changes)
    replan(run, stored.plan, changes, differences=differences, kept=done, operator=wiring.operator())


def _question(record: RunRecord, plan: Plan, planned: Sequence[NodePlanned]) -> str:
    reverted = sum(node.action is Action.CHANGE for node in planned)
    left = f", leave {len(planned) - reverted}" if reverted < len(planned) else ""
    last = ", ".join(step.id for step in plan.playbook.steps if step.at_end)
    then = f", then run {last}" if last else ""
    return f"Revert {reverted} nodes of run {record.id}{left}{then}?"


def _to_revert(run: Run) -> tuple[NodePlanned, ...]:
    """What a rollback would do with each node that changed something, the first to be reverted first."""
    nodes = [n for n in reversed(run.nodes.values()) if n.to_revert() and n.id not in run.plan.at_end]
    if run.plan.batches:
        nodes.sort(key=lambda node: run.plan.turns[node.id], reverse=True)
    stays = staying(run, [node.id for node in nodes])
    return tuple(_revert_planned(run, node, stays.get(node.id, "")) for node in nodes)


def _revert_planned(run: Run, node: NodeStatus, stays: str) -> NodePlanned:
    did = node.to_revert()[0].preview.get("summary", "")
    return NodePlanned(
        run_id=run.id,
        node=node.id,
        step=node.step,
        host=node.host,
        action=Action.SKIP if stays else Action.CHANGE,
        reversible=not stays,
        summary=f"stays, for {stays}: {did}" if stays else f"revert: {did}",
        diff="",
        needs=(),
        on=node.to_revert()[0].on,
    )


def _taken(record: RunRecord, journal: SqlJournal, refuse: Callable[[RunRecord], None]) -> RunRecord:
    """The run as it is once nobody but this process writes it: another one may have brought it to its end by then."""
    journal.resume(record.id, wiring.operator())
    taken = journal.find(record.id)
    try:
        refuse_other_plan(taken, record)
        refuse(taken)
    except InputError:
        journal.leave(record.id, release_hosts=taken.state in OVER)
        raise
    return taken
