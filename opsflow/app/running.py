"""The use cases that work on hosts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from opsflow.app import wiring
from opsflow.app.pins import seen_keys
from opsflow.app.refusals import refuse_ended, refuse_later_changes, refuse_other_plugins, refuse_rolled_back
from opsflow.app.settings import Settings
from opsflow.engine.conclude import next_command
from opsflow.engine.loop import Engine
from opsflow.engine.preview import DryRun
from opsflow.engine.run import Run
from opsflow.engine.stop import Stop
from opsflow.errors import InputError, JournalUnavailable
from opsflow.events import Listener, NodePlanned
from opsflow.journal import SqlJournal, new_run_id
from opsflow.model import LOCALHOST, Action, NodeRecord, NodeState, OnFailure, RunRecord, RunState
from opsflow.plan import Plan
from opsflow.plugins.registry import TaskRegistry
from opsflow.ports import Confirm, Executor, Transports

_NOT_CONFIRMED = 1
_INTERRUPTED = 130
_OVER = frozenset({RunState.SUCCEEDED, RunState.ROLLED_BACK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to run, and where.

    Attributes:
        playbook: Its file.
        inventory: Name, path or list.
        extra: What was given with `-e`.
        on_failure: Overrides every step's.
        abandon: Id of an open run whose hold on its hosts is given up first.
    """

    playbook: Path
    inventory: str
    extra: tuple[str, ...] = ()
    on_failure: OnFailure | None = None
    abandon: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What came of a use case. `run_id` is empty and `state` None if no run began; `hint` says what to type next."""

    run_id: str = ""
    state: RunState | None = None
    exit_code: int = 0
    counts: Mapping[NodeState, int] = field(default_factory=dict)
    hint: str = ""
    planned: tuple[NodePlanned, ...] = ()


def preview(
    request: Request, settings: Settings, listeners: Sequence[Listener], *, stop: Stop | None = None
) -> RunSummary:
    """The dry run: what would happen on every node. Exit code 1 if a node would fail, 130 if it was stopped."""
    tasks = wiring.registry(settings)
    plan = _plan(request, settings, tasks)
    with wiring.executor(settings, plan, tasks, listeners) as (executor, _):
        return _look(plan, executor, listeners, stop or Stop())


def apply(
    request: Request,
    settings: Settings,
    listeners: Sequence[Listener],
    *,
    confirm: Confirm | None,
    stop: Stop | None = None,
) -> RunSummary:
    """Preview, ask, run.

    Args:
        request: What to run.
        settings: How.
        listeners: Hear of everything; plugins hear of the run.
        confirm: Asks the operator; None: nobody needs to be asked.
        stop: The operator's wish to stop.

    Raises:
        InputError: everything that is wrong with the files.
        HostsHeld: another run holds some of the hosts.
        ApprovalNeeded: nobody is there to be asked.
    """
    stop = stop or Stop()
    tasks = wiring.registry(settings)
    plan = _plan(request, settings, tasks)
    with wiring.journal(settings) as journal:
        abandoned = journal.find(request.abandon) if request.abandon else None
        # One connection per host serves the preview and the run.
        with wiring.executor(settings, plan, tasks, listeners) as (executor, transports):
            looked = _look(plan, executor, listeners, stop)
            if looked.exit_code:
                return looked
            changes = any(n.action in {Action.CHANGE, Action.UNKNOWN} for n in looked.planned)
            if confirm and changes and not confirm(_question(plan)):
                return RunSummary(exit_code=_NOT_CONFIRMED, planned=looked.planned, hint="nothing was changed")
            if abandoned:
                journal.abandon(abandoned.id)
            record = _begin(plan, journal)
            run = Run(record, plan, journal, [*listeners, *tasks.listeners()])
            return _drive(run, executor, transports, journal, stop, "apply")


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
    tasks = wiring.registry(settings)
    with wiring.journal(settings) as journal:
        record = journal.find(run)
        refuse_ended(record)
        plan = Plan.from_json(journal.plan(record.id))
        if not accept_changes:
            refuse_other_plugins(record, plan, tasks, "resume")
        loaded = _load(_taken(record, journal, refuse_ended), plan, journal, listeners, tasks)
        with wiring.executor(settings, plan, tasks, listeners, pins=seen_keys(loaded)) as (executor, transports):
            return _drive(loaded, executor, transports, journal, stop or Stop(), "resume")


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
    tasks = wiring.registry(settings)
    with wiring.journal(settings) as journal:
        record = journal.find(run)
        plan = Plan.from_json(journal.plan(record.id))
        loaded = _load(record, plan, journal, listeners, tasks)
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
        if planned and confirm and not confirm(f"Revert {len(planned)} nodes of run {record.id}?"):
            return RunSummary(exit_code=_NOT_CONFIRMED, planned=planned, hint="nothing was changed")
        loaded = _load(_taken(record, journal, refuse_rolled_back), plan, journal, listeners, tasks)
        with wiring.executor(settings, plan, tasks, listeners, pins=seen_keys(loaded)) as (executor, transports):
            return _drive(loaded, executor, transports, journal, stop or Stop(), "rollback")


def _plan(request: Request, settings: Settings, tasks: TaskRegistry) -> Plan:
    inventory = request.inventory or settings.inventory
    if not inventory:
        raise InputError("no inventory was named", hint='say -i NAME, or put inventory = "NAME" into opsflow.toml')
    return wiring.compiled(
        request.playbook, inventory, request.extra, tasks, settings=settings, on_failure=request.on_failure
    )


def _look(plan: Plan, executor: Executor, listeners: Sequence[Listener], stop: Stop) -> RunSummary:
    renderer = wiring.renderer_for(plan)
    planned = DryRun(plan, renderer=renderer, executor=executor, stop=stop, run_id="preview").look()
    for node in planned:
        for listener in listeners:
            listener(node)
    if stop.requested:
        return RunSummary(exit_code=_INTERRUPTED, planned=planned, hint="nothing was changed")
    failing = [n.node for n in planned if n.action is Action.FAIL]
    hint = f"{len(failing)} of {len(planned)} nodes would fail; nothing was changed" if failing else ""
    return RunSummary(exit_code=1 if failing else 0, planned=planned, hint=hint)


def _question(plan: Plan) -> str:
    users: dict[str, list[str]] = {}
    for step in plan.playbook.steps:
        if step.become:
            users.setdefault(step.become, []).append(step.id)
    said = "; ".join(f"as {user}: {', '.join(steps)}" for user, steps in users.items())
    return f"Apply this plan ({said})?" if said else "Apply this plan?"


def _begin(plan: Plan, journal: SqlJournal) -> RunRecord:
    now = datetime.now(UTC)
    record = RunRecord(
        id=new_run_id(now),
        state=RunState.PLANNED,
        playbook=plan.playbook.name,
        inventory=plan.inventory,
        fingerprint=plan.fingerprint,
        command="apply",
        operator=wiring.operator(),
        started=now,
    )
    nodes = [
        NodeRecord(id=n.id, step=n.step, host=n.host, task=plan.steps[n.step].task, state=NodeState.PENDING)
        for n in plan.nodes
    ]
    journal.begin(record, plan.to_json(), nodes, [h for h in plan.hosts if h != LOCALHOST])
    return record


def _load(
    record: RunRecord, plan: Plan, journal: SqlJournal, listeners: Sequence[Listener], tasks: TaskRegistry
) -> Run:
    return Run(
        record,
        plan,
        journal,
        [*listeners, *tasks.listeners()],
        nodes=journal.nodes(record.id),
        rollbacks=journal.rollbacks(record.id),
    )


def _drive(
    run: Run, executor: Executor, transports: Transports, journal: SqlJournal, stop: Stop, command: str
) -> RunSummary:
    engine = Engine(run, executor=executor, journal=journal, renderer=wiring.renderer_for(run.plan), stop=stop)
    try:
        code = {"apply": engine.apply, "resume": engine.resume, "rollback": engine.rollback}[command]()
    except JournalUnavailable as error:
        again = "rollback" if command == "rollback" else "resume"
        hint = f"once the journal can be used again: opsflow {again} {run.id}"
        raise JournalUnavailable(error.message, hint=hint) from error
    if run.state in {RunState.SUCCEEDED, RunState.ROLLED_BACK}:
        transports.release()
    return RunSummary(run_id=run.id, state=run.state, exit_code=code, counts=run.counts(), hint=next_command(run, code))


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
        if node.to_revert()
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
