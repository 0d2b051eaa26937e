"""What a run must not be asked to do, and why."""

from opsflow.errors import HostsHeld, InputError, PlanDrift
from opsflow.journal import SqlJournal
from opsflow.model import LOCALHOST, RunRecord, RunState
from opsflow.plan import Plan
from opsflow.plugins.registry import TaskRegistry

_ROLLED_BACK = 3
"""The exit code of a run of which everything that failed was put back."""


def refuse_later_changes(record: RunRecord, plan: Plan, journal: SqlJournal, *, force: bool) -> None:
    """Refuse to roll back under later runs' changes. Raises `HostsHeld`."""
    later = journal.later_changes(record.id, [h for h in plan.hosts if h != LOCALHOST])
    if later and not force:
        raise HostsHeld(
            f"later runs changed the same hosts: {', '.join(later)}",
            holders={},
            hint=f"roll those back first, or say --force: opsflow rollback {record.id} --force",
        )


def refuse_other_plugins(record: RunRecord, plan: Plan, tasks: TaskRegistry, command: str) -> None:
    """Refuse tasks that are not those of the plan. Raises `PlanDrift`."""
    planned = plan.tasks
    found = {name: task.digest for name in planned if (task := tasks.get(name))}
    other = [name for name, facts in planned.items() if found.get(name) != facts.digest]
    if other:
        raise PlanDrift(
            f"not what run {record.id} was planned with: {', '.join(f'task {name}' for name in other)}",
            hint=f"put the plugins back, or say: opsflow {command} {record.id} --accept-changes",
        )


def refuse_ended(record: RunRecord) -> None:
    """Refuse to go on where nothing is left to go on with. Raises `InputError`."""
    refuse_rolled_back(record)
    if record.state is RunState.SUCCEEDED:
        raise InputError(f"run {record.id} has succeeded: there is nothing to go on with")
    if record.state is RunState.FAILED and record.exit_code == _ROLLED_BACK:
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
