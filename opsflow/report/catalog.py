"""What there is: tasks and hosts, for people and for programs."""

from collections.abc import Sequence
from typing import Any

from opsflow.model import Host
from opsflow.ports import Inventory, Task
from opsflow.report.text import columns, one_line


def task_lines(tasks: Sequence[Task]) -> list[str]:
    """A table of tasks."""
    head = ("TASK", "PREVIEW", "UNDO", "DOES")
    rows = [(task.name, _yes(task.has_plan), _yes(task.reversible), one_line(task.doc)) for task in tasks]
    return columns([head, *rows])


def task_data(task: Task) -> dict[str, Any]:
    """A task as JSON, with the schema of its parameters."""
    return {
        "name": task.name,
        "doc": task.doc,
        "source": task.source,
        "has_plan": task.has_plan,
        "reversible": task.reversible,
        "idempotent": task.idempotent,
        "gate": task.gate,
        "schema": dict(task.schema()),
    }


def host_lines(inventory: Inventory) -> list[str]:
    """A table of hosts."""
    head = ("HOST", "TRANSPORT", "ADDRESS", "PORT", "USER", "GROUPS")
    rows = [
        (
            host.name,
            host.connection.transport,
            host.connection.address or host.name,
            str(host.connection.port or "-"),
            host.connection.user or "-",
            ", ".join(host.groups),
        )
        for host in inventory.hosts.values()
    ]
    return columns([head, *(tuple(map(one_line, row)) for row in rows)])


def inventory_data(inventory: Inventory) -> dict[str, Any]:
    """An inventory as JSON. Variables are left out: they may be templates, and not for everybody's eyes."""
    return {
        "path": inventory.path,
        "hosts": [_host_data(host) for host in inventory.hosts.values()],
        "groups": {name: list(hosts) for name, hosts in inventory.groups.items()},
    }


def _host_data(host: Host) -> dict[str, Any]:
    connection = host.connection
    return {
        "name": host.name,
        "transport": connection.transport,
        "address": connection.address or host.name,
        "port": connection.port,
        "user": connection.user,
        "jump": list(connection.jump),
        "groups": list(host.groups),
    }


def _yes(value: bool) -> str:  # noqa: FBT001 - a word for it
    return "yes" if value else "no"
