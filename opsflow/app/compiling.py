"""Reads the files and compiles them; connects to nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from opsflow import inventory as inventories
from opsflow import playbook as playbooks
from opsflow.app.origins import origin_of
from opsflow.app.settings import Settings
from opsflow.errors import InputError, Position, Problem
from opsflow.model import GroupMembers, HostExplanation, OnFailure, Playbook
from opsflow.plan import ALL, Plan, Selection, compile_plan, selected
from opsflow.playbook import TemplateRenderer
from opsflow.plugins.registry import TaskRegistry, load_tasks
from opsflow.ports import Inventory
from opsflow.tomlfile import raise_problems


def registry(settings: Settings) -> TaskRegistry:
    """All plugins."""
    return load_tasks(directories=settings.plugins, project=settings.project)


def hosts(inventory: str, settings: Settings) -> Inventory:
    """What an inventory resolves to. Raises `InputError`."""
    return inventories.load(
        inventory, project=settings.project, defaults=settings.ssh, renderer=_connection_renderer(settings)
    )


def host(inventory: str, name: str, settings: Settings) -> HostExplanation:
    """A host, and where all that is known of it comes from. Raises `InputError`, also if there is no such host."""
    return inventories.explain(
        inventory, name, project=settings.project, defaults=settings.ssh, renderer=_connection_renderer(settings)
    )


def members(inventory: str, settings: Settings) -> Mapping[str, GroupMembers]:
    """What each group of an inventory is made of, `all` first. Raises `InputError`."""
    return inventories.members(
        inventory, project=settings.project, defaults=settings.ssh, renderer=_connection_renderer(settings)
    )


def _connection_renderer(settings: Settings) -> TemplateRenderer:
    """For variables that say how a host is reached; they are asked for while the inventory is still in the making."""

    def too_early(pattern: str) -> Sequence[str]:
        raise InputError(f"hosts({pattern!r}) is not known yet where it is told how a host is reached")

    return TemplateRenderer(directory=str(settings.project), hosts=too_early)


def compiled(
    path: Path,
    inventory: str,
    extra: Sequence[str],
    tasks: TaskRegistry,
    *,
    settings: Settings,
    on_failure: OnFailure | None = None,
    selection: Selection = ALL,
    run: bool = True,
    now: datetime | None = None,
    earlier: Plan | None = None,
    noticed: Callable[[Problem], None] = lambda _: None,
) -> Plan:
    """Read the files and compile them.

    Args:
        path: The playbook's file.
        inventory: Name, path or list; empty: none.
        extra: What was given with `-e`.
        tasks: What steps can do.
        settings: How.
        on_failure: Overrides every step's.
        selection: What of the playbook and of the hosts.
        run: For a run; else inputs may be missing.
        now: The time that templates see.
        earlier: The plan that a run follows.
        noticed: Hears what of the inventory is not understood.

    Raises:
        InputError: all that is wrong with them.
    """
    found, problems = playbooks.examine(path)
    variables: Mapping[str, Any] = {}
    with _collecting(problems):
        variables = playbooks.extra_variables(extra)
    machines: Inventory | None = None
    with _collecting(problems):
        machines = hosts(inventory, settings) if inventory else None
        for notice in machines.notices if machines else ():
            noticed(notice)
    plan: Plan | None = None
    if found is not None and len({step.id for step in found.steps}) == len(found.steps):
        if on_failure:
            found = replace(found, steps=tuple(replace(s, on_failure=on_failure) for s in found.steps))
        with _collecting(problems):
            make = partial(_compiled, found, machines, variables, tasks, run=run, now=now or datetime.now(UTC))
            plan = selected(make, machines, selection, earlier) if machines else make(None)
        problems = _with_lines(problems, found)
    raise_problems(dict.fromkeys(problems))
    assert plan is not None
    return replace(plan, origin=origin_of(path, machines, extra, on_failure, selection, project=settings.project))


@contextmanager
def _collecting(problems: list[Problem]) -> Iterator[None]:
    """Everything that is wrong is told at once: one part's problems do not hide the next one's."""
    try:
        yield
    except InputError as error:
        problems += error.problems


def _compiled(
    found: Playbook,
    machines: Inventory | None,
    variables: Mapping[str, Any],
    tasks: TaskRegistry,
    earlier: Plan | None,
    *,
    run: bool,
    now: datetime,
) -> Plan:
    renderer = TemplateRenderer(directory=found.directory, hosts=selecting(machines))
    missing = [i.name for i in found.inputs if i.required and i.name not in variables]
    problems: list[Problem] = []
    values: Mapping[str, Any] = {}
    with _collecting(problems):
        asked = found if run else replace(found, inputs=tuple(i for i in found.inputs if i.name not in missing))
        values = playbooks.input_values(asked, variables)
    plan: Plan | None = None
    with _collecting(problems):
        plan = compile_plan(
            found,
            machines,
            tasks,
            renderer,
            inputs={k: v for k, v in values.items() if k not in variables},
            extra={**variables, **{k: v for k, v in values.items() if k in variables}},
            now=now,
            render=not missing and not problems,
            earlier=earlier,
            run=run,
        )
    raise_problems(problems)
    assert plan is not None
    return plan


def selecting(machines: Inventory | None) -> Callable[[str], Sequence[str]]:
    """What `hosts(PATTERN)` in templates asks."""

    def names(pattern: str) -> Sequence[str]:
        return [host.name for host in machines.select(pattern)] if machines else []

    return names


def _with_lines(problems: Sequence[Problem], found: Playbook) -> list[Problem]:
    """Problems that were found after reading know where they are, not what stands there."""
    sources = [*(step.source for step in found.steps), *(part.source for part in found.parts)]
    files = {found.path, *(source.file for source in sources if source)}
    lines = {file: Path(file).read_text(encoding="utf-8").splitlines() for file in files}

    def line(position: Position | None) -> str:
        known = lines.get(position.file, []) if position else []
        return known[position.line - 1].replace("\t", " ") if position and position.line <= len(known) else ""

    return [p if p.line else replace(p, line=line(p.position)) for p in problems]
