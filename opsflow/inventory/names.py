"""Names of hosts and groups in Ansible's forms."""

import re
from collections.abc import Callable

from opsflow.errors import Problem
from opsflow.inventory.draft import Draft, Spot
from opsflow.inventory.ranges import NAME_HINT, expand, name_hint
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
        hint = "the login name stands in `ansible_user`" if "@" in pattern else name_hint(name)
        draft.problems.append(spot().problem(str(error), hint))
        return [], None


def group_name_problem(name: str, spot: Spot) -> Problem | None:
    """Why a group cannot have a name; None: it can."""
    if name == LOCALHOST:
        return spot.problem("`localhost` is a host, not a group", "take another name")
    try:
        if expand(name) == [name]:
            return None
    except ValueError:
        pass
    return spot.problem(f"`{name}` cannot be a group's name", NAME_HINT)
