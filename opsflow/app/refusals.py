"""What a run must not be asked to do, and why."""

from collections.abc import Sequence

from opsflow.app.changes import Changes, other_plugins
from opsflow.engine.replan import kept
from opsflow.errors import HostsHeld, InputError, PlanDrift
from opsflow.journal import SqlJournal
from opsflow.model import EXIT_ROLLED_BACK, LOCALHOST, NodeRecord, RunRecord, RunState
from opsflow.plan import NodeChanges, Plan, node_changes
from opsflow.plugins.registry import TaskRegistry

_LEFT_AT_END = 1
"""That of a run that is rolled back, but did not get through with what runs at the end."""


def refuse_later_changes(record: RunRecord, plan: Plan, journal: SqlJournal, command: str, *, force: bool) -> None:
    """Refuse to go on, or back, over what later runs changed. Raises `HostsHeld`."""
    later = journal.later_changes(record.id, [h for h in plan.hosts if h != LOCALHOST])
    if later and not force:
        raise HostsHeld(
            f"later runs changed the same hosts: {', '.join(later)}",
            holders={},
            hint=f"roll those back first, or say --force: opsflow {command} {record.id} --force",
        )


def refuse_other_plugins(record: RunRecord, plan: Plan, tasks: TaskRegistry, command: str) -> None:
    """Refuse tasks that are not those of the plan. Raises `PlanDrift`."""
    other = tuple(other_plugins(plan, tasks))
    if other:
        raise PlanDrift(
            f"the plugins are not those that run {record.id} was planned with",
            differences=other,
            hint=f"put them back, or use them as they are: opsflow {command} {record.id} --accept-changes",
        )


def refuse_changes(record: RunRecord, changes: Changes, plan: Plan, nodes: Sequence[NodeRecord]) -> None:
    """Refuse to go on with a plan whose files say something else now. Raises `PlanDrift`."""
    if not changes.differences:
        return
    accept = f"opsflow resume {record.id} --accept-changes"
    if changes.wrong:
        hint = "put the files right or back"
    elif changes.plan is None:
        hint = f"put them back, or go on with the stored plan: {accept}"
    else:
        effect = _effect(node_changes(plan, changes.plan), nodes)
        hint = f"put them back, or go on with what they say now: {accept}\n{effect}"
    raise PlanDrift(
        f"what run {record.id} was planned from says something else now", differences=changes.differences, hint=hint
    )


def _effect(changes: NodeChanges, nodes: Sequence[NodeRecord]) -> str:
    """What becomes of the nodes of a run if the changes are accepted."""
    stay = kept(nodes, changes)
    numbers = (
        (len(changes.added), "joins the run", "join the run"),
        (len(changes.removed), "is begun no more", "are begun no more"),
        (len(stay), "is done and would be done otherwise now", "are done and would be done otherwise now"),
    )
    said = [f"{number} {one if number == 1 else many}" for number, one, many in numbers if number]
    if not said:
        return "then none of its nodes that is done is done again"
    return f"then, of its nodes, {', '.join([*said, 'and none that is done is done again'])}"


def refuse_other_plan(record: RunRecord, seen: RunRecord) -> None:
    """Refuse to go on with a run whose plan is not the one that was seen any more. Raises `InputError`."""
    if record.fingerprint != seen.fingerprint:
        raise InputError(f"another process has just changed the plan of run {record.id}", hint="try again")


def refuse_ended(record: RunRecord) -> None:
    """Refuse to go on where nothing is left to go on with. Raises `InputError`."""
    if record.exit_code != _LEFT_AT_END:
        refuse_rolled_back(record)
    if record.state is RunState.SUCCEEDED:
        raise InputError(f"run {record.id} has succeeded: there is nothing to go on with")
    if record.state is RunState.FAILED and record.exit_code == EXIT_ROLLED_BACK:
        raise InputError(f"what failed in run {record.id} was rolled back: there is nothing to go on with")
    if record.state is RunState.ROLLBACK_INCOMPLETE:
        raise InputError(
            f"the rollback of run {record.id} is incomplete, and it never goes forward again",
            hint=f"opsflow show {record.id}; then opsflow rollback {record.id}",
        )


def refuse_rolled_back(record: RunRecord) -> None:
    """Refuse what has been put back already. Raises `InputError`."""
    if record.state is RunState.ROLLED_BACK:
        raise InputError(f"run {record.id} has been rolled back: there is nothing to go on with")
