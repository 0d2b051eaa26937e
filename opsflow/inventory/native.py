"""Inventories in opsflow's own form, and literal lists of hosts."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from opsflow.errors import Problem
from opsflow.inventory.checks import ALL, SECRETS, advice, consistency, secret_named
from opsflow.inventory.patterns import Matcher
from opsflow.inventory.ranges import expand
from opsflow.inventory.schema import ConnectionKeys, GroupTable, InventoryFile
from opsflow.model import LOCALHOST, Connection, Host, localhost
from opsflow.tomlfile import border_problems, local_path, project_directory, raise_problems, read


class NativeInventory:
    """Implements `ports.Inventory` over hosts that are known from the start.

    Args:
        path: Where it comes from, as given.
        digest: SHA-256 of that.
        hosts: In file order.
        groups: Names of all groups, `all` left out; those without hosts, too.
        directory: Where relative paths in patterns (`@file`) begin.
    """

    def __init__(
        self, *, path: str, digest: str, hosts: Sequence[Host], groups: Iterable[str], directory: Path
    ) -> None:
        self.path = path
        self.digest = digest
        self._hosts = {host.name: host for host in hosts}
        self._groups: dict[str, list[str]] = {ALL: list(self._hosts)} | {group: [] for group in groups}
        for host in hosts:
            for group in host.groups:
                self._groups[group].append(host.name)
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
        """Hosts that a pattern names, in file order. Raises `InputError`."""
        return self._selected(pattern)

    def _select(self, pattern: str) -> Sequence[Host]:
        return tuple(self._hosts.get(name) or localhost() for name in self._matcher.match(pattern))


def read_file(path: Path, defaults: ConnectionKeys = ConnectionKeys()) -> NativeInventory:  # noqa: B008 - frozen
    """Read an inventory file; `defaults`: how hosts are reached that it does not tell it for.

    Raises:
        InputError: something is wrong with it; carries all problems, each with its place, in file order.
    """
    file = read(path)
    problems: list[Problem] = [*file.problems(), *consistency(file)]
    try:
        content = InventoryFile.model_validate(file.data)
    except ValidationError as error:
        problems += border_problems(file, InventoryFile, error, partial(advice, file))
    raise_problems(problems)
    directory = project_directory(path)
    return NativeInventory(
        path=str(path),
        digest=file.digest,
        hosts=list(_hosts(content, defaults, directory, tables_in_order=file.data)),
        groups=content.groups,
        directory=directory,
    )


def read_literal(
    text: str,
    directory: Path,
    defaults: ConnectionKeys = ConnectionKeys(),  # noqa: B008 - frozen
) -> NativeInventory:
    """Take a list of host names, ranges allowed, with commas between and perhaps after. Raises `InputError`."""
    names: dict[str, None] = {}
    problems: list[Problem] = []
    for word in filter(None, map(str.strip, text.split(","))):
        try:
            names |= dict.fromkeys(expand(word))
        except ValueError as error:
            problems.append(Problem(message=str(error)))
    if not names and not problems:
        problems.append(Problem(message="the list of hosts is empty"))
    raise_problems(problems)
    hosts = [Host(name=name, connection=_connection(name, (defaults,), directory)) for name in names]
    digest = hashlib.sha256(text.encode()).hexdigest()
    return NativeInventory(path=text, digest=digest, hosts=hosts, groups=(), directory=directory)


def _hosts(
    content: InventoryFile, defaults: ConnectionKeys, directory: Path, *, tables_in_order: Iterable[str]
) -> Iterator[Host]:
    """All hosts, in the order in which the file first names them."""
    named_in: dict[str, set[str]] = {}
    for table in tables_in_order:
        if table == "hosts":
            for name in content.hosts:
                named_in.setdefault(name, set())
        elif table == "groups":
            for group, members in content.groups.items():
                for name in (name for member in members.hosts for name in expand(member)):
                    named_in.setdefault(name, set()).add(group)
    lineage = _Lineage(content.groups)
    for name, groups in named_in.items():
        own = content.hosts.get(name)
        all_groups, variables = lineage.of(frozenset(groups))
        yield Host(
            name=name,
            connection=_connection(name, (defaults, content.ssh, *([own] if own else ())), directory),
            vars={**content.vars, **variables, **(own.vars if own else {})},
            groups=all_groups,
        )


class _Lineage:
    """Groups and the groups that they are in, with what hosts inherit from them."""

    def __init__(self, groups: Mapping[str, GroupTable]) -> None:
        self._groups = groups
        parents: dict[str, set[str]] = {name: set() for name in groups}
        for name, table in groups.items():
            for child in table.children:
                parents[child].add(name)
        self._depths: dict[str, int] = {}
        self._ancestors: dict[str, frozenset[str]] = {}
        for name in TopologicalSorter(parents).static_order():
            above = parents[name]
            self._depths[name] = 1 + max((self._depths[parent] for parent in above), default=0)
            self._ancestors[name] = frozenset({name}).union(*(self._ancestors[parent] for parent in above))
        self._known: dict[frozenset[str], tuple[tuple[str, ...], Mapping[str, Any]]] = {}

    def of(self, groups: frozenset[str]) -> tuple[tuple[str, ...], Mapping[str, Any]]:
        """All groups of a host that is named in some, sorted, and its variables: the deeper group's, then the later's.

        The order is Ansible's:
        https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html#how-variables-are-merged
        """
        if groups not in self._known:
            names = frozenset[str]().union(*(self._ancestors[group] for group in groups))
            variables: dict[str, Any] = {}
            for name in sorted(names, key=lambda name: (self._depths[name], name)):
                variables |= self._groups[name].vars
            self._known[groups] = tuple(sorted(names)), variables
        return self._known[groups]


def _connection(name: str, tables: Sequence[ConnectionKeys], directory: Path) -> Connection:
    """What the tables say together, weaker ones first."""
    said: dict[str, Any] = {}
    for table in tables:
        said |= {key: getattr(table, key) for key in table.model_fields_set - {"vars"}}
    said.setdefault("address", name)
    said.setdefault("transport", "local" if name == LOCALHOST else "ssh")
    said["jump"] = tuple(said.get("jump", ()))
    for key in SECRETS:
        said[key] = secret_named(said.get(key))
    for key in ("key_file", "known_hosts"):
        if key in said:
            said[key] = str(local_path(directory, said[key]))
    return Connection(**said)
