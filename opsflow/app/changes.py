"""What the files of a stored plan say now."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from opsflow.app.compiling import compiled
from opsflow.app.origins import sources
from opsflow.app.settings import Settings
from opsflow.errors import Difference, InputError
from opsflow.plan import Plan, differences
from opsflow.plugins.registry import TaskRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is different now.

    Attributes:
        differences: All of it.
        plan: What would be planned now; None: that cannot be told, for files are missing or wrong.
        wrong: What is wrong with them, if they are there.
    """

    differences: tuple[Difference, ...]
    plan: Plan | None = None
    wrong: InputError | None = None


def changes(plan: Plan, tasks: TaskRegistry, settings: Settings) -> Changes:
    """Compare a stored plan with what its files say now; compiles them once.

    Args:
        plan: The stored plan, where its project is now.
        tasks: Those of its project.
        settings: Those of its project.
    """
    if plan.origin is None:
        return changed_plugins(plan, tasks)
    playbook, inventory, extra = sources(plan.origin, Path(plan.playbook.directory))
    missing = [_gone("playbook", plan.origin.playbook)] if not playbook.is_file() else []
    if "," not in inventory and not Path(inventory).exists():
        missing.append(_gone("inventory", plan.origin.inventory))
    if missing:
        return Changes(differences=(*missing, *other_plugins(plan, tasks)))
    try:
        now = compiled(
            playbook,
            inventory,
            extra,
            tasks,
            settings=settings,
            on_failure=plan.origin.on_failure,
            selection=plan.origin.selection,
            now=datetime.fromisoformat(plan.now),
            # Of what was left out the plan does not have the batches.
            earlier=None if plan.left_out else plan,
        )
    except InputError as error:
        wrong = (
            Difference(
                what="what is wrong now", names=(), change="wrong", after=problem.message, position=problem.position
            )
            for problem in error.problems
        )
        return Changes(differences=(*wrong, *other_plugins(plan, tasks)), wrong=error)
    return Changes(differences=differences(plan, now), plan=now)


def changed_plugins(plan: Plan, tasks: TaskRegistry) -> Changes:
    """Compare the plugins only: a way back follows its stored plan, whatever the files say."""
    return Changes(differences=tuple(other_plugins(plan, tasks)))


def other_plugins(plan: Plan, tasks: TaskRegistry) -> Iterator[Difference]:
    """The tasks of a plan that are not what they were when it was made."""
    for name, facts in plan.tasks.items():
        task = tasks.get(name)
        if task is None or task.digest != facts.digest:
            yield Difference(what="task", names=(name,), change="changed" if task else "removed")


def _gone(what: str, path: str) -> Difference:
    return Difference(what=what, names=(path,), change="removed", after="the file is not there any more")
