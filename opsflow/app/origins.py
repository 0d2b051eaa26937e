"""Where a plan was made from, whatever directory it was said in, and where that is now."""

from collections.abc import Sequence
from pathlib import Path

from opsflow.app.settings import Settings, of_project
from opsflow.model import OnFailure
from opsflow.plan import Origin, Plan, Selection, moved
from opsflow.ports import Inventory


def origin_of(
    playbook: Path,
    inventory: Inventory | None,
    extra: Sequence[str],
    on_failure: OnFailure | None,
    selection: Selection,
    *,
    project: Path,
) -> Origin:
    """What a plan is made from; relative to its project, or absolute."""

    def within(path: str) -> str:
        absolute = Path(path).expanduser().absolute()
        return str(absolute.relative_to(project) if absolute.is_relative_to(project) else absolute)

    hosts = inventory.path if inventory else ""
    return Origin(
        playbook=within(str(playbook)),
        inventory=hosts if "," in hosts or not hosts else within(hosts),
        extra=tuple(f"@{within(item[1:])}" if item.startswith("@") else item for item in extra),
        on_failure=on_failure,
        selection=selection,
    )


def at_home(plan: Plan, settings: Settings) -> tuple[Plan, Settings]:
    """A stored plan and the settings of its project, in whatever directory the command was typed.

    A project whose directory is not there any more was renamed, if the playbook is in the one of the command.
    """
    directory = Path(plan.playbook.directory)
    here = settings.project
    if plan.origin and not directory.is_dir() and (here / plan.origin.playbook).is_file():
        return moved(plan, str(here)), settings
    return plan, settings if here == directory or not directory.is_dir() else of_project(directory, settings)


def sources(origin: Origin, project: Path) -> tuple[Path, str, tuple[str, ...]]:
    """The playbook's file, the inventory and the variables of a plan, as the command line would name them here."""
    extra = (f"@{project / item[1:]}" if item.startswith("@") else item for item in origin.extra)
    inventory = origin.inventory
    return _shown(project / origin.playbook), inventory if "," in inventory else str(project / inventory), tuple(extra)


def _shown(path: Path) -> Path:
    """A path as people would write it in the current directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
