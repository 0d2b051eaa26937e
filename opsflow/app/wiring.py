"""Puts the parts together: the only module that knows all of them."""

import getpass
import socket
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
from opsflow.engine.executors import SerialExecutor, ThreadExecutor
from opsflow.engine.work import Worker
from opsflow.errors import InputError, Position, Problem
from opsflow.events import HostKeyAccepted, Listener
from opsflow.inventory.static import StaticInventory
from opsflow.journal import SqlJournal
from opsflow.model import Connection, GroupMembers, Host, HostExplanation, OnFailure, Playbook
from opsflow.plan import ALL, Plan, Selection, compile_plan, selected
from opsflow.playbook import TemplateRenderer
from opsflow.plugins.registry import TaskRegistry, load_tasks
from opsflow.ports import Executor, Inventory, Transports
from opsflow.tomlfile import raise_problems
from opsflow.transport.become import Passwords
from opsflow.transport.pool import HostTransports


def operator() -> str:
    """Who is at the keyboard: `USER@MACHINE`."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def registry(settings: Settings) -> TaskRegistry:
    """All plugins."""
    return load_tasks(directories=settings.plugins, project=settings.project)


@contextmanager
def journal(settings: Settings) -> Iterator[SqlJournal]:
    """The journal, open."""
    opened = SqlJournal.open(settings.journal)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def executor(
    settings: Settings,
    plan: Plan,
    tasks: TaskRegistry,
    listeners: Sequence[Listener],
    *,
    pins: Mapping[str, str] | None = None,
) -> Iterator[tuple[Executor, Transports]]:
    """A place where the plan's jobs are worked on, and the connections to its hosts, made when first used.

    Args:
        settings: How.
        plan: Whose hosts.
        tasks: What jobs consist of.
        listeners: Hear, from any thread, of host keys that were accepted.
        pins: Keys that hosts have shown earlier in the run, by host.
    """

    def accepted(event: HostKeyAccepted) -> None:
        for listener in listeners:
            listener(event)

    passwords = Passwords(tasks.secret, settings.become_password)
    transports = HostTransports(
        plan.hosts,
        passwords=passwords,
        pins=pins,
        accepted=accepted if settings.accept_new_host_keys else None,
    )
    worker = Worker(
        tasks=tasks,
        transports=transports,
        renderer=renderer_for(plan),
        secret=tasks.secret,
        hidden=passwords.values,
    )
    made: Executor = (
        SerialExecutor(worker) if settings.executor == "serial" else ThreadExecutor(worker, forks=settings.forks)
    )
    try:
        yield made, transports
    finally:
        made.close()
        transports.close()


def renderer_for(plan: Plan) -> TemplateRenderer:
    """The templates' renderer of a stored plan: what it knows of hosts is the plan's."""
    return TemplateRenderer(directory=plan.playbook.directory, hosts=_plan_hosts(plan))


def hosts(inventory: str, settings: Settings) -> Inventory:
    """What an inventory resolves to. Raises `InputError`."""
    return inventories.load(
        inventory, project=settings.project, defaults=settings.ssh, renderer=_connection_renderer(settings)
    )


def explained(inventory: str, host: str, settings: Settings) -> HostExplanation:
    """Where all that is known of a host comes from. Raises `InputError`."""
    return inventories.explain(
        inventory, host, project=settings.project, defaults=settings.ssh, renderer=_connection_renderer(settings)
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
    renderer = TemplateRenderer(directory=found.directory, hosts=_inventory_hosts(machines))
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
        )
    raise_problems(problems)
    assert plan is not None
    return plan


def _inventory_hosts(machines: Inventory | None) -> Callable[[str], Sequence[str]]:
    def names(pattern: str) -> Sequence[str]:
        return [host.name for host in machines.select(pattern)] if machines else []

    return names


def _plan_hosts(plan: Plan) -> Callable[[str], Sequence[str]]:
    of_host: dict[str, list[str]] = {name: [] for name in plan.groups.get("all", ())}
    groups = [group for group in plan.groups if group != "all"]
    for group in groups:
        for name in plan.groups[group]:
            of_host[name].append(group)
    machines = StaticInventory(
        path=plan.inventory,
        digest=plan.inventory_digest,
        hosts=[Host(name=name, connection=Connection(), groups=tuple(found)) for name, found in of_host.items()],
        groups=groups,
        directory=Path(plan.playbook.directory),
    )
    return _inventory_hosts(machines)


def _with_lines(problems: Sequence[Problem], found: Playbook) -> list[Problem]:
    """Problems that were found after reading know where they are, not what stands there."""
    files = {found.path, *(step.source.file for step in found.steps if step.source)}
    lines = {file: Path(file).read_text(encoding="utf-8").splitlines() for file in files}

    def line(position: Position | None) -> str:
        known = lines.get(position.file, []) if position else []
        return known[position.line - 1].replace("\t", " ") if position and position.line <= len(known) else ""

    return [p if p.line else replace(p, line=line(p.position)) for p in problems]
