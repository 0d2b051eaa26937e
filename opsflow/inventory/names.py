"""Names of hosts and groups in Ansible's forms."""

import re
from collections.abc import Callable

from opsflow.inventory.draft import Draft, Spot
from opsflow.inventory.ranges import expand
from opsflow.model import LOCALHOST

_PORT = re.compile(
    r"\[(?P<inner>[^\[\]]*:[^\[\]]*)\]:(?P<of_inner>[0-9]+)|(?P<name>(?:[^:\[\]]|\[[^\]]*\])+):(?P<port>[0-9]+)"
)


def hosts_of(pattern: str, draft: Draft, spot: Callable[[], Spot]) -> tuple[list[str], int | None]:
    """The hosts that a name with or without ranges means, and the port behind it; if wrong none, and a problem."""
    found = _PORT.fullmatch(pattern)
    name = (found["inner"] or found["name"]) if found else pattern
    port = int(found["of_inner"] or found["port"]) if found else None
    try:
        if found and found["inner"]:  # an IPv6 address
            return [name], port
        return expand(name), port
    except ValueError as error:
        hint = "the login name stands in `ansible_user`" if "@" in pattern else ""
        draft.problems.append(spot().problem(str(error), hint))
        return [], None


def group_name_problem(name: str) -> str:
    """Why a group cannot have a name; empty: it can."""
    if name == LOCALHOST:
        return "`localhost` is a host, not a group"
    try:
        return "" if expand(name) == [name] else f"`{name}` cannot be a group's name"
    except ValueError:
        return f"`{name}` cannot be a group's name"
