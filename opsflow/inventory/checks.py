"""What pydantic cannot see in an inventory: names and ranges."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from opsflow.errors import Problem
from opsflow.inventory.draft import ALL, UNGROUPED
from opsflow.inventory.ranges import NAME_HINT, expand, name_hint
from opsflow.model import LOCALHOST, RESERVED_NAMES
from opsflow.tomlfile import KeyPath, TomlFile

SECRETS = ("become_password", "key_passphrase")
"""Connection keys whose values are references to secrets."""
_SECRET = re.compile(r"\s*\{\{\s*secret\(\s*(?P<quote>['\"])(?P<name>[^:'\"]+:[^'\"]+)(?P=quote)\s*\)\s*\}\}\s*")


def consistency(file: TomlFile) -> Iterator[Problem]:
    """Problems between keys. The data may be of any shape: what has the wrong type is reported elsewhere."""
    groups, hosts = _tables(file, "groups"), _tables(file, "hosts")
    yield from _reserved(file, ("vars",), file.data.get("vars"))
    yield from password_problems(file, ("ssh",), file.data.get("ssh"))
    for name, table in groups.items():
        yield from _group_name(file, name)
        yield from _members(file, name, table.get("hosts"))
        yield from _reserved(file, ("groups", name, "vars"), table.get("vars"))
    for name, table in hosts.items():
        yield from _host_name(file, ("hosts", name), name)
        yield from _reserved(file, ("hosts", name, "vars"), table.get("vars"))
        yield from password_problems(file, ("hosts", name), table)


def secret_named(value: Any) -> str:
    """The reference in `"{{ secret('SCHEME:NAME') }}"`; empty if it is anything else."""
    found = _SECRET.fullmatch(value) if isinstance(value, str) else None
    return found["name"] if found else ""


def _tables(file: TomlFile, kind: str) -> dict[str, Mapping[str, Any]]:
    tables = file.data.get(kind)
    entries = tables.items() if isinstance(tables, dict) else ()
    return {name: table for name, table in entries if isinstance(table, dict)}


def _group_name(file: TomlFile, name: str) -> Iterator[Problem]:
    path = ("groups", name)
    if name == ALL:
        yield file.problem(path, "`all` is the group of every host already", "its variables stand in [vars]")
    elif name == UNGROUPED:
        yield file.problem(path, "`ungrouped` is the group of the hosts that are in no other", "take another name")
    elif name == LOCALHOST:
        yield file.problem(path, "`localhost` is a host, not a group", "take another name")
    elif "[" in name:
        yield file.problem(path, f"`{name}` cannot be a group's name", "ranges stand in its `hosts`")
    else:
        yield from _host_name(file, path, name, what="group")


def _host_name(file: TomlFile, path: KeyPath, name: str, *, what: str = "host") -> Iterator[Problem]:
    try:
        single = expand(name) == [name] and (what == "group" or name != ALL)
    except ValueError:
        single = False
    if not single:
        hint = "ranges stand in the `hosts` of a group" if "[" in name else NAME_HINT
        hint = "it is the group of every host" if name == ALL else hint
        yield file.problem(path, f"`{name}` cannot be a {what}'s name", hint)


def _members(file: TomlFile, group: str, members: Any) -> Iterator[Problem]:
    for index, member in enumerate(members if isinstance(members, list) else ()):
        if isinstance(member, str) and member:
            try:
                expand(member)
            except ValueError as error:
                yield file.problem(("groups", group, "hosts", index), str(error), name_hint(member))


def password_problems(file: TomlFile, path: KeyPath, table: Any) -> Iterator[Problem]:
    """What is wrong with the secrets of a table of connection keys."""
    for key in SECRETS if isinstance(table, dict) else ():
        if key in table and not secret_named(table[key]):
            problem = file.problem(
                (*path, key),
                f"`{key}` must be a reference to a secret, never the {key.rpartition('_')[2]} itself",
                "write \"{{ secret('env:NAME') }}\" or \"{{ secret('file:PATH') }}\"",
            )
            yield replace(problem, line="")


def _reserved(file: TomlFile, path: KeyPath, names: Any) -> Iterator[Problem]:
    for name in names if isinstance(names, dict) else ():
        if name in RESERVED_NAMES:
            yield file.problem(
                (*path, name), f"`{name}` cannot be a variable's name", "templates see something else there"
            )
