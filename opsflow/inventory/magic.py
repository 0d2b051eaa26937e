"""Variables that every host of an Ansible inventory has; here those that its own templates name."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from opsflow.inventory.draft import Draft, Said

_NAMES = re.compile(r"\b(inventory_hostname_short|inventory_hostname|group_names)\b")


def mentioned(draft: Draft) -> frozenset[str]:
    """Those of them that templates in the inventory's variables name."""
    return frozenset(
        name for said in _all_said(draft) for value in said.values.values() for name in _mentioned_in(value)
    )


def magic_variables(host: str, groups: Sequence[str], names: frozenset[str]) -> dict[str, Any]:
    """The values of those that are wanted."""
    values = {
        "inventory_hostname": host,
        "inventory_hostname_short": host.partition(".")[0],
        "group_names": sorted(groups),
    }
    return {name: values[name] for name in values if name in names}


def _all_said(draft: Draft) -> Iterator[Said]:
    for group in draft.groups.values():
        yield from (*group.said, *group.files)
    for host in draft.hosts.values():
        yield from (*host.said, *host.files)


def _mentioned_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            yield from _NAMES.findall(value)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _mentioned_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _mentioned_in(item)
