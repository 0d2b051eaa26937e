"""An inventory whose hosts are all known from the start."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from opsflow.errors import InputError, Problem
from opsflow.inventory.draft import ALL
from opsflow.inventory.patterns import Matcher
from opsflow.model import Host, localhost

_NAMED = 3


class StaticInventory:
    """Implements `ports.Inventory`.

    Args:
        path: Where it comes from, as given.
        digest: SHA-256 of that.
        hosts: In file order.
        groups: Names of all groups, `all` left out; those without hosts, too.
        directory: Where relative paths in patterns (`@file`) begin.
        notices: What of it is not understood, and taken as if it was not there.
        unreachable: Hosts of which nobody can tell how they are reached, and why.
    """

    def __init__(
        self,
        *,
        path: str,
        digest: str,
        hosts: Iterable[Host],
        groups: Iterable[str],
        directory: Path,
        notices: Iterable[Problem] = (),
        unreachable: Mapping[str, Sequence[Problem]] | None = None,
    ) -> None:
        self.path = path
        self.digest = digest
        self.notices: Sequence[Problem] = tuple(notices)
        self._hosts = {host.name: host for host in hosts}
        self._groups: dict[str, list[str]] = {ALL: list(self._hosts)} | {group: [] for group in groups}
        for host in self._hosts.values():
            for group in host.groups:
                self._groups[group].append(host.name)
        self._unreachable = unreachable or {}
        self._matcher = Matcher(hosts=self._hosts, groups=self._groups, directory=directory)
        self._selected = lru_cache(1024)(self._select)

    @property
    def hosts(self) -> Mapping[str, Host]:
        """All hosts by name, in file order."""
        return self._hosts

    @property
    def groups(self) -> Mapping[str, Sequence[str]]:
        """All groups with their hosts, children's included, `all` too."""
        return self._groups

    def select(self, pattern: str) -> Sequence[Host]:
        """Hosts that a pattern names, in file order. Raises `InputError`, also for one that cannot be reached."""
        return self._selected(pattern)

    def _select(self, pattern: str) -> Sequence[Host]:
        names = self._matcher.match(pattern)
        wrong: dict[Problem, list[str]] = {}
        for name in names:
            for problem in self._unreachable.get(name, ()):
                wrong.setdefault(problem, []).append(name)
        if wrong:
            raise InputError([_not_to_be_reached(problem, hosts) for problem, hosts in wrong.items()])
        return tuple(self._hosts.get(name) or localhost() for name in names)


def _not_to_be_reached(why: Problem, hosts: Sequence[str]) -> Problem:
    more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
    names = f"{', '.join(hosts[:_NAMED])}{more}"
    where = f" ({why.position})" if why.position else ""
    hint = why.hint or "correct the inventory, or leave them out of `hosts`"
    return Problem(message=f"it is not known how to reach {names}: {why.message}{where}", hint=hint)
