"""The use cases that look into files and plugins, and connect to nothing, not even the journal."""

from collections.abc import Mapping, Sequence
from typing import Any

from opsflow import plan as plans
from opsflow.app import compiling
from opsflow.app.request import Request, selected
from opsflow.app.settings import Settings
from opsflow.errors import InputError, Problem
from opsflow.plan import Picture, Plan
from opsflow.playbook.jsonschema import playbook_schema as schema_of_playbooks
from opsflow.ports import Task
from opsflow.tomlfile import did_you_mean


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
    return compiling.compiled(
        request.playbook,
        request.inventory,
        request.extra,
        compiling.registry(settings),
        settings=settings,
        selection=selected(request.selection, settings),
        run=False,
        noticed=notices.append,
    )


def tasks(settings: Settings) -> Sequence[Task]:
    """All tasks, by name."""
    registry = compiling.registry(settings)
    return [task for name in registry.names() if (task := registry.get(name))]


def task(name: str, settings: Settings) -> Task:
    """The task of that name. Raises `InputError`: there is none."""
    registry = compiling.registry(settings)
    found = registry.get(name)
    if found is None:
        like = did_you_mean(name, registry.names())
        raise InputError(f"there is no task {name!r}", hint=like or "opsflow task list")
    return found


def playbook_schema(settings: Settings) -> Mapping[str, Any]:
    """JSON Schema of playbooks, the parameters of all tasks included."""
    return schema_of_playbooks(compiling.registry(settings))
