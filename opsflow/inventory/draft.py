"""What all readers of inventories fill: hosts, groups and what is said about them, each with the place that says it."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal

from opsflow.errors import Position, Problem
from opsflow.inventory.notices import Notices
from opsflow.inventory.schema import ConnectionKeys

ALL = "all"
UNGROUPED = "ungrouped"
"""Groups that are there without being named; the second one only where an inventory has a form of Ansible's."""


_SECRET = re.compile(r"pass(?:word|wd|phrase)?\b[\"']?\s*[=:]", re.IGNORECASE)


class _Gap(Enum):
    GAP = "not understood"


GAP: Final = _Gap.GAP
"""The value of a variable that is not understood: it hides weaker ones, and the variable is then not there."""
Gap = Literal[_Gap.GAP]


@dataclass(frozen=True, slots=True)
class Spot:
    """A place that says something, with the text of its line. A line 0: only the file is known."""

    position: Position
    line: str = ""

    def __str__(self) -> str:
        return str(self.position) if self.position.line else self.position.file

    def problem(self, message: str, hint: str = "") -> Problem:
        """Something that is wrong here."""
        if not self.position.line:
            return Problem(message=f"{self.position.file}: {message}", hint=hint)
        return without_secrets(Problem(message=message, position=self.position, hint=hint, line=self.line))


def without_secrets(problem: Problem) -> Problem:
    """A problem that does not show its line if a password may stand in that."""
    return replace(problem, line="") if _SECRET.search(problem.line) else problem


@dataclass(frozen=True, slots=True)
class Said:
    """Variables that are said together: by name, and where each of them stands."""

    values: Mapping[str, Any]
    at: Callable[[str], Spot]


@dataclass(frozen=True, slots=True)
class Keys:
    """Connection keys of the native form that are said together: the table, and where each of them stands."""

    table: ConnectionKeys
    at: Callable[[str], Spot]


@dataclass(slots=True)
class HostDraft:
    """A host as far as it was told. Of each list the later win.

    Attributes:
        said: Its variables, where it is named.
        files: Its variables in `host_vars/`; they win over the others.
        keys: Its connection keys.
    """

    said: list[Said] = field(default_factory=list)
    files: list[Said] = field(default_factory=list)
    keys: list[Keys] = field(default_factory=list)


@dataclass(slots=True)
class GroupDraft:
    """A group as far as it was told.

    Attributes:
        hosts: Those named in it, in order.
        children: Groups named in it, and where.
        said: Its variables, where it is declared; the later win.
        files: Its variables in `group_vars/`; they win over those of every group's declaration.
        priority: Of groups equally deep the one with the higher priority wins.
        undeclared: Where something is said of it, as long as it is not declared; None: it is.
    """

    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, Callable[[], Spot]] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    files: list[Said] = field(default_factory=list)
    priority: int = 1
    undeclared: Spot | None = None


class Draft:
    """An inventory in the making. Of several sources, one is read after the other into the same draft.

    Attributes:
        path: Where it comes from, as given.
        directory: Where relative local paths in it begin.
        hosts: In the order in which they are named first.
        groups: In the order in which they are named first; `all` among them if anything is said of it.
        ssh: Connection keys of every host; the later win.
        foreign: Whether any of it is in a form of Ansible's.
        problems: What is wrong.
        incomplete: Something could not be read at all: what is missing may stand there.
        notices: What is not understood, and taken as if it was not there.
    """

    def __init__(self, *, path: str, directory: Path) -> None:
        self.path = path
        self.directory = directory
        self.hosts: dict[str, HostDraft] = {}
        self.groups: dict[str, GroupDraft] = {}
        self.ssh: list[Keys] = []
        self.foreign = False
        self.incomplete = False
        self.problems: list[Problem] = []
        self.notices = Notices()
        self._digests: list[str] = []

    @property
    def digest(self) -> str:
        """SHA-256 of all that was read; of a single file that of its bytes."""
        if len(self._digests) == 1:
            return self._digests[0]
        return hashlib.sha256("".join(self._digests).encode()).hexdigest()

    def took(self, digest: str) -> None:
        """Note the SHA-256 of something that was read."""
        self._digests.append(digest)

    def group(self, name: str) -> GroupDraft:
        """The group of that name, made if need be: it is declared by that."""
        group = self.groups.setdefault(name, GroupDraft())
        group.undeclared = None
        return group

    def spoken_of(self, name: str, spot: Spot) -> GroupDraft:
        """The group of that name, which has to be declared elsewhere."""
        return self.groups.setdefault(name, GroupDraft(undeclared=spot))

    def host(self, name: str) -> HostDraft:
        """The host of that name, made if need be."""
        return self.hosts.setdefault(name, HostDraft())
