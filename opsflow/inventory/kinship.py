"""Groups within groups: which a host is in, which of them wins, and what is wrong with them."""

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter

from opsflow.errors import Problem
from opsflow.inventory.draft import ALL, UNGROUPED, Draft, GroupDraft
from opsflow.tomlfile import did_you_mean


class Kinship:
    """Groups and the groups that they are in. There must be no `kinship_problems`.

    Args:
        groups: All groups by name.
    """

    def __init__(self, groups: Mapping[str, GroupDraft]) -> None:
        self._groups = groups
        parents: dict[str, set[str]] = {name: set() for name in groups if name != ALL}
        for name, group in groups.items():
            for child in group.children:
                if ALL not in (name, child):
                    parents[child].add(name)
        self._depths: dict[str, int] = {}
        self._ancestors: dict[str, frozenset[str]] = {}
        for name in TopologicalSorter(parents).static_order():
            above = parents[name]
            self._depths[name] = 1 + max((self._depths[parent] for parent in above), default=0)
            self._ancestors[name] = frozenset({name}).union(*(self._ancestors[parent] for parent in above))
        self._known: dict[frozenset[str], tuple[str, ...]] = {}

    def of(self, named_in: frozenset[str]) -> tuple[str, ...]:
        """All groups of a host that is named in some, `all` left out; of their variables the later ones' win.

        The deeper group comes after the one around it, else the one with the higher priority, else the later name, as
        in Ansible:
        https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html#how-variables-are-merged
        """
        if named_in not in self._known:
            names = frozenset[str]().union(*(self._ancestors[group] for group in named_in if group != ALL))
            self._known[named_in] = tuple(sorted(names, key=self._rank))
        return self._known[named_in]

    def _rank(self, name: str) -> tuple[int, int, str]:
        return self._depths[name], self._groups[name].priority, name


def named_in(draft: Draft) -> dict[str, frozenset[str]]:
    """The groups that each host is named in; `ungrouped`, where it is there: those that are in no other."""
    found: dict[str, set[str]] = {host: set() for host in draft.hosts}
    for name, group in draft.groups.items():
        if name not in {ALL, UNGROUPED}:
            for host in group.hosts:
                found[host].add(name)
    lonely = {UNGROUPED} if draft.foreign else set()
    return {host: frozenset(groups or lonely) for host, groups in found.items()}


def kinship_problems(draft: Draft) -> Iterator[Problem]:
    """Children that are no groups, and groups within themselves."""
    edges: dict[str, list[str]] = {}
    declared = {name for name, group in draft.groups.items() if group.undeclared is None}
    for name, group in draft.groups.items():
        edges[name] = [child for child in group.children if child in draft.groups and child != ALL]
        if ALL in group.children:
            hint = "take this out; its hosts are those of all groups"
            yield group.children[ALL]().problem("`all` is in no other group", hint)
        missing = {child: spot() for child, spot in group.children.items() if child not in {*declared, ALL}}
        if group.undeclared:
            missing[name] = group.undeclared
        for child, spot in missing.items() if not draft.incomplete else ():
            hint = "it is a host: hosts stand in `hosts`" if child in draft.hosts else did_you_mean(child, declared)
            yield spot.problem(f"there is no group `{child}`", hint or "declare it, or take this out")
    for circle in _circles(edges):
        closing = draft.groups[circle[-2]].children[circle[-1]]
        message = f"group `{circle[0]}` contains itself: {' → '.join(circle)}"
        yield closing().problem(message, "take this child out, or another one of these")


def _circles(edges: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """Circles of groups, each member a child of the one before it; one for each edge that closes one."""
    done: set[str] = set()
    for start in edges:
        path = dict[str, Iterator[str]]() if start in done else {start: iter(edges[start])}
        while path:
            name, children = next(reversed(path.items()))
            child = next(children, None)
            if child is None:
                del path[name]
                done.add(name)
            elif child in path:
                names = list(path)
                yield [*names[names.index(child) :], child]
            elif child not in done:
                path[child] = iter(edges[child])
