"""What there is: tasks and hosts, for people and for programs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opsflow.model import GroupMembers, Host, HostExplanation, Provenance
from opsflow.ports import Inventory, Task
from opsflow.report.data import problem_data
from opsflow.report.text import BOLD, DIM, Paint, clean, columns, one_line


def task_lines(tasks: Sequence[Task]) -> list[str]:
    """A table of tasks."""
    head = ("TASK", "PREVIEW", "UNDO", "DOES")
    rows = [(task.name, _yes(task.has_plan), _yes(task.reversible), one_line(task.doc)) for task in tasks]
    return columns([head, *rows])


def task_data(task: Task) -> dict[str, Any]:
    """A task as JSON, with the schemas of its parameters and outputs (null: not declared)."""
    return {
        "name": task.name,
        "doc": task.doc,
        "source": task.source,
        "has_plan": task.has_plan,
        "reversible": task.reversible,
        "idempotent": task.idempotent,
        "gate": task.gate,
        "schema": dict(task.schema()),
        "outputs": None if (outputs := task.outputs()) is None else dict(outputs),
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
        "notices": [problem_data(notice) for notice in inventory.notices],
    }


def host_explanation_lines(found: HostExplanation, paint: Paint, *, explain: bool) -> list[str]:
    """A host with its connection and variables, and with `explain` where each value comes from and what it hides."""
    groups = one_line(", ".join(found.host.groups)) or "none"
    lines = [paint(one_line(found.host.name), BOLD), *columns([("groups", groups)], indent="  ")]
    for title, values in (("connection", found.connection), ("variables", found.variables)):
        rows = [row for each in values for row in _provenance_rows(each, paint, explain=explain)]
        lines += [title, *columns(rows, indent="  ")] if rows else []
    return lines


def host_explanation_data(found: HostExplanation) -> dict[str, Any]:
    """The same as JSON."""
    return {
        "name": found.host.name,
        "groups": list(found.host.groups),
        "connection": {each.name: _provenance_data(each) for each in found.connection},
        "variables": {each.name: _provenance_data(each) for each in found.variables},
    }


def group_lines(groups: Mapping[str, GroupMembers], paint: Paint) -> list[str]:
    """Groups within groups, with their hosts, as a tree; what is in a group stands where it is named first."""
    lines: list[str] = []
    shown: set[str] = set()
    waiting = [("", "", next(iter(groups)), True)]
    while waiting:
        before, branch, name, is_group = waiting.pop()
        again = is_group and name in shown
        lines.append(
            f"{before}{branch}{paint(one_line(name), BOLD if is_group else '')}{' (see above)' if again else ''}"
        )
        if not is_group or again:
            continue
        shown.add(name)
        inside = [(child, True) for child in groups[name].children] + [(host, False) for host in groups[name].hosts]
        further = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        for at, (inner, inner_is_group) in reversed(list(enumerate(inside, 1))):
            waiting.append((further, "└─ " if at == len(inside) else "├─ ", inner, inner_is_group))
    return lines


def group_data(groups: Mapping[str, GroupMembers]) -> dict[str, Any]:
    """The same as JSON."""
    return {name: {"children": list(found.children), "hosts": list(found.hosts)} for name, found in groups.items()}


def _provenance_rows(value: Provenance, paint: Paint, *, explain: bool) -> Iterator[tuple[str, ...]]:
    name, text = one_line(value.name), clean(json.dumps(value.value, ensure_ascii=False))
    if not explain:
        yield name, text
        return
    yield name, text, one_line(value.by), one_line(value.where)
    for weaker in value.over:
        text = clean(json.dumps(weaker.value, ensure_ascii=False))
        yield "", *(paint(cell, DIM) for cell in (text, f"hidden: {one_line(weaker.by)}", one_line(weaker.where)))


def _provenance_data(value: Provenance) -> dict[str, Any]:
    over = [{"value": weaker.value, "by": weaker.by, "where": weaker.where} for weaker in value.over]
    return {"value": value.value, "by": value.by, "where": value.where, "over": over}


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
