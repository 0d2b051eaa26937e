"""What to do about keys of a native inventory that are unknown or wrong, where more is known than their spelling."""

from collections.abc import Mapping
from typing import Any

from opsflow.inventory.schema import GroupTable, HostTable, InventoryFile
from opsflow.tomlfile import KeyPath, TomlFile, did_you_mean

_BELONGS = "a connection key belongs to a host ([hosts.NAME]) or to all of them ([ssh])"
_TOP = tuple(InventoryFile.model_fields)
_TABLES: Mapping[str, frozenset[str]] = {
    "hosts": frozenset(HostTable.model_fields),
    "groups": frozenset(GroupTable.model_fields),
}


def advice(file: TomlFile, path: KeyPath) -> str:
    """What to do about the key at a path; empty: nothing is known."""
    match path:
        case ("hosts" | "groups" as kind, str(name), str(key)) if isinstance(file.data[kind][name].get(key), dict):
            if key not in _TABLES[kind]:
                meant = _dotted(file.data[kind][name], kind, f"{name}.{key}", key)
                return f'a name with dots needs quotes: [{kind}."{meant}"]'
        case ("groups", str(), str(key)) if key in _TABLES["hosts"] - _TABLES["groups"]:
            return _BELONGS
        case ("ssh", "vars"):
            return "variables of every host stand in [vars]"
        case (str(key),) if key not in _TOP:
            return _of_another_table(key)
    return _shape(path)


def _shape(path: KeyPath) -> str:
    """How something of the wrong type is written."""
    match path:
        case ("hosts" | "groups" as kind,):
            return f"write a table for each: [{kind}.NAME]"
        case ("groups", str(name)):
            return f'write a table: [groups.{name}], and below it hosts = ["NAME"]'
        case ("hosts", str(name)):
            return f"write a table: [hosts.{name}]"
        case (*_, "vars"):
            return "write vars = { NAME = VALUE }"
        case ("groups", _, "hosts" | "children" as key):
            return f'write {key} = ["NAME"]'
    return ""


def _of_another_table(key: str) -> str:
    like = "" if did_you_mean(key, _TOP) else did_you_mean(key, _TABLES["hosts"])
    return _BELONGS if key in _TABLES["hosts"] else like and f"{like} {_BELONGS}"


def _dotted(table: Mapping[str, Any], kind: str, name: str, key: str) -> str:
    """The name that was meant: as far as the only key of a table is a table that is none of the known ones."""
    inner = table[key]
    if isinstance(inner, dict) and len(inner) == 1:
        (following,) = inner
        if isinstance(inner[following], dict) and following not in _TABLES[kind]:
            return _dotted(inner, kind, f"{name}.{following}", following)
    return name
