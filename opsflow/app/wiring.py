"""Puts the parts together: the only module that knows all of them."""

import getpass
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from opsflow.app.compiling import selecting
from opsflow.app.settings import Settings
from opsflow.engine.executors import SerialExecutor, ThreadExecutor
from opsflow.engine.work import Worker
from opsflow.events import HostKeyAccepted, Listener
from opsflow.inventory.static import StaticInventory
from opsflow.journal import SqlJournal
from opsflow.model import Connection, Host
from opsflow.plan import Plan
from opsflow.playbook import TemplateRenderer
from opsflow.plugins.registry import TaskRegistry
from opsflow.ports import Executor, Transports
from opsflow.transport.become import Passwords
from opsflow.transport.pool import HostTransports


def operator() -> str:
    """Who is at the keyboard: `USER@MACHINE`."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


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
    return selecting(machines)
