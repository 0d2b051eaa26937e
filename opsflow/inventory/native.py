"""Inventories in opsflow's own form, and literal lists of hosts."""

import hashlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from opsflow.errors import InputError, Position, Problem
from opsflow.inventory.advice import advice
from opsflow.inventory.checks import consistency
from opsflow.inventory.draft import ALL, Draft, Keys, Said, Spot, without_secrets
from opsflow.inventory.ranges import expand, name_hint
from opsflow.inventory.schema import InventoryFile
from opsflow.tomlfile import KeyPath, TomlFile, border_problems, read


def read_native(path: Path, draft: Draft) -> None:
    """Read an inventory file; what is wrong with it is a problem of the draft."""
    try:
        file = read(path)
    except InputError as error:
        draft.problems += map(without_secrets, error.problems)
        draft.incomplete = True
        return
    draft.took(file.digest)
    problems: list[Problem] = [*file.problems(), *consistency(file)]
    try:
        content = InventoryFile.model_validate(file.data)
    except ValidationError as error:
        problems += border_problems(file, InventoryFile, error, partial(advice, file))
    if problems:
        draft.problems += map(without_secrets, problems)
        _kin(draft, file)
    else:
        _fill(draft, file, content)


def read_literal(text: str, draft: Draft) -> None:
    """Take a list of host names, ranges allowed, with commas between and perhaps after."""
    draft.took(hashlib.sha256(text.encode()).hexdigest())
    words = list(filter(None, map(str.strip, text.split(","))))
    for word in words:
        try:
            for name in expand(word):
                draft.host(name)
        except ValueError as error:
            draft.problems.append(Problem(message=str(error), hint=name_hint(word)))
    if not words:
        draft.problems.append(Problem(message="the list of hosts is empty", hint="write -i 'a.example,b.example,'"))


def _fill(draft: Draft, file: TomlFile, content: InventoryFile) -> None:
    """Tables in file order, so that hosts are in the order in which the file first names them."""
    for table in file.data:
        match table:
            case "vars":
                draft.group(ALL).said.append(_said(file, ("vars",), content.vars))
            case "ssh":
                draft.ssh.append(Keys(content.ssh, partial(_key_spot, file, ("ssh",))))
            case "groups":
                _groups(draft, file, content)
            case "hosts":
                _hosts(draft, file, content)


def _kin(draft: Draft, file: TomlFile) -> None:
    """The groups and their children only, of a file with other problems: what is wrong with them is told, too."""
    groups = file.data.get("groups")
    for name, table in groups.items() if isinstance(groups, dict) else ():
        children = table.get("children") if isinstance(table, dict) else ()
        _children(draft, file, name, children if isinstance(children, list) else ())


def _children(draft: Draft, file: TomlFile, name: str, children: Iterable[Any]) -> None:
    group = draft.group(name)
    for index, child in enumerate(children):
        if isinstance(child, str) and child:
            group.children.setdefault(child, partial(_spot, file, ("groups", name, "children", index)))


def _groups(draft: Draft, file: TomlFile, content: InventoryFile) -> None:
    for name, table in content.groups.items():
        group = draft.group(name)
        for host in (host for member in table.hosts for host in expand(member)):
            group.hosts[host] = None
            draft.host(host)
        _children(draft, file, name, table.children)
        if table.vars:
            group.said.append(_said(file, ("groups", name, "vars"), table.vars))


def _hosts(draft: Draft, file: TomlFile, content: InventoryFile) -> None:
    for name, table in content.hosts.items():
        host = draft.host(name)
        if table.vars:
            host.said.append(_said(file, ("hosts", name, "vars"), table.vars))
        if table.model_fields_set - {"vars"}:
            host.keys.append(Keys(table, partial(_key_spot, file, ("hosts", name))))


def _said(file: TomlFile, path: KeyPath, values: dict[str, Any]) -> Said:
    return Said(values, partial(_key_spot, file, path))


def _key_spot(file: TomlFile, path: KeyPath, key: str) -> Spot:
    return _spot(file, (*path, key))


def _spot(file: TomlFile, path: KeyPath) -> Spot:
    place = file.problem(path, "")
    return Spot(place.position or Position(file=file.path, line=0, column=0), place.line)
