"""Planning a run, and beginning it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from opsflow.app import wiring
from opsflow.app.changes import changes
from opsflow.app.compiling import compiled, registry
from opsflow.app.driving import NOT_CONFIRMED, RunSummary, drive
from opsflow.app.origins import at_home
from opsflow.app.request import Request, selected
from opsflow.app.saved import save
from opsflow.app.settings import Settings
from opsflow.engine.preview import DryRun
from opsflow.engine.run import Run
from opsflow.engine.stop import Stop
from opsflow.errors import InputError, Problem
from opsflow.events import InventoryNoticed, Listener, RolloutPlanned
from opsflow.journal import SqlJournal, new_run_id
from opsflow.model import LOCALHOST, Action, NodeRecord, NodeState, RunRecord, RunState
from opsflow.plan import Plan
from opsflow.plugins.registry import TaskRegistry
from opsflow.ports import Approver, Confirm, Executor
from opsflow.report.text import plural, some

_INTERRUPTED = 130


def preview(
    request: Request,
    settings: Settings,
    listeners: Sequence[Listener],
    *,
    out: Path | None = None,
    stop: Stop | None = None,
) -> RunSummary:
    """The dry run: what would happen on every node. Exit code 1 if a node would fail, 130 if it was stopped.

    Args:
        request: What would be run.
        settings: How.
        listeners: Hear of what was found.
        out: Where to save the plan, so that `apply` can run it; it is not if a node would fail.
        stop: The operator's wish to stop.

    Raises:
        InputError: everything that is wrong with the files.
        PlanDrift: the saved plan is not what they say now, or not what was found.
    """
    plan, tasks, settings = _planned(request, settings, listeners)
    with wiring.executor(settings, plan, tasks, listeners) as (executor, _):
        looked = _look(request, plan, executor, listeners, stop or Stop())
    if out is None or looked.exit_code:
        return looked
    save(out, plan, looked.planned, wiring.operator())
    return replace(looked, hint=f"saved; to run it: opsflow apply --plan {out}")


def apply(
    request: Request,
    settings: Settings,
    listeners: Sequence[Listener],
    *,
    confirm: Confirm | None,
    stop: Stop | None = None,
    approver: Approver | None = None,
) -> RunSummary:
    """Preview, ask, run.

    Args:
        request: What to run.
        settings: How.
        listeners: Hear of everything; plugins hear of the run.
        confirm: Asks the operator; None: nobody needs to be asked.
        stop: The operator's wish to stop.
        approver: Asks at the terminal for approvals that steps wait for; None: nobody is there, and the run suspends.

    Raises:
        InputError: everything that is wrong with the files.
        PlanDrift: the saved plan is not what they say now, or not what was found.
        HostsHeld: another run holds some of the hosts.
        ApprovalNeeded: nobody is there to be asked.
    """
    stop = stop or Stop()
    plan, tasks, settings = _planned(request, settings, listeners)
    with wiring.journal(settings) as journal:
        abandoned = journal.find(request.abandon) if request.abandon else None
        # One connection per host serves the preview and the run.
        with wiring.executor(settings, plan, tasks, listeners) as (executor, transports):
            looked = _look(request, plan, executor, listeners, stop)
            if looked.exit_code:
                return looked
            acts = any(n.action in {Action.CHANGE, Action.UNKNOWN} for n in looked.planned)
            if confirm and acts and not confirm(_question(plan)):
                return RunSummary(exit_code=NOT_CONFIRMED, planned=looked.planned, hint="nothing was changed")
            if abandoned:
                journal.abandon(abandoned.id)
            record = _begin(plan, journal)
            run = Run(record, plan, journal, [*listeners, *tasks.listeners()])
            return drive(run, executor, transports, journal, stop, "apply", approver)


def _planned(
    request: Request, settings: Settings, listeners: Sequence[Listener]
) -> tuple[Plan, TaskRegistry, Settings]:
    """The plan to run, its tasks, and the settings of its project."""
    if request.saved is None:
        tasks = registry(settings)
        return _compiled(request, settings, tasks, listeners), tasks, settings
    plan, settings = at_home(request.saved.plan, settings)
    tasks = registry(settings)
    request.saved.refuse_changes(changes(plan, tasks, settings))
    return plan, tasks, settings


def _compiled(request: Request, settings: Settings, tasks: TaskRegistry, listeners: Sequence[Listener]) -> Plan:
    inventory = request.inventory or settings.inventory
    if not inventory:
        raise InputError("no inventory was named", hint='say -i NAME, or put inventory = "NAME" into opsflow.toml')

    def noticed(notice: Problem) -> None:
        for listener in listeners:
            listener(InventoryNoticed(run_id="", notice=notice))

    return compiled(
        request.playbook,
        inventory,
        request.extra,
        tasks,
        settings=settings,
        on_failure=request.on_failure,
        selection=selected(request.selection, settings),
        noticed=noticed,
    )


def _look(request: Request, plan: Plan, executor: Executor, listeners: Sequence[Listener], stop: Stop) -> RunSummary:
    renderer = wiring.renderer_for(plan)
    planned = DryRun(plan, renderer=renderer, executor=executor, stop=stop, run_id="preview").look()
    rollout = _rollout(plan)
    for event in (*([rollout] if rollout else []), *planned):
        for listener in listeners:
            listener(event)
    if stop.requested:
        return RunSummary(exit_code=_INTERRUPTED, planned=planned, hint="nothing was changed")
    failing = [n.node for n in planned if n.action is Action.FAIL]
    if request.saved and not failing:
        request.saved.refuse_other_actions(planned)
    hint = f"{len(failing)} of {len(planned)} nodes would fail; nothing was changed" if failing else _left_out(plan)
    return RunSummary(exit_code=1 if failing else 0, planned=planned, rollout=rollout, hint=hint)


def _rollout(plan: Plan) -> RolloutPlanned | None:
    if plan.batches is None:
        return None
    return RolloutPlanned(
        run_id="preview",
        by=plan.batches.by,
        batches=plan.batches.units,
        max_failures=plan.batches.max_failures,
        pause=plan.batches.pause,
        gates=plan.batches.gates,
    )


def _question(plan: Plan) -> str:
    users: dict[str, list[str]] = {}
    for step, nodes in plan.by_step.items():
        for user in filter(None, dict.fromkeys(plan.user_of(node.id) for node in nodes)):
            users.setdefault(user, []).append(step)
    said = [f"as {user}: {', '.join(steps)}" for user, steps in users.items()]
    said += [left_out] if (left_out := _left_out(plan)) else []
    batches = len(plan.batches.units) if plan.batches else 1
    what = f"Apply this plan in {batches:,} batches" if batches > 1 else "Apply this plan"
    return f"{what} ({'; '.join(said)})?" if said else f"{what}?"


def _left_out(plan: Plan) -> str:
    """What was not selected, in a sentence; empty if all is."""
    if not plan.left_out or plan.origin is None:
        return ""
    said = " ".join(plan.origin.selection.words())
    return f"{said} leaves out {plural(len(plan.left_out), 'node')}: {some(plan.left_out, 5)}"


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
