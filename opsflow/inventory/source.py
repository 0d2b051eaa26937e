"""What `-i` means."""

import os
from pathlib import Path

from opsflow.errors import InputError, Problem
from opsflow.inventory.native import read_file, read_literal
from opsflow.inventory.schema import ConnectionKeys
from opsflow.ports import Inventory
from opsflow.tomlfile import did_you_mean

_DIRECTORY = "inventories"
_NATIVE = ".toml"
_OTHERS = ("", ".yml", ".yaml", ".ini")


def load(source: str, *, project: Path, defaults: ConnectionKeys = ConnectionKeys()) -> Inventory:  # noqa: B008 - frozen
    """Read an inventory.

    Args:
        source: `prod` for `inventories/prod.toml` of the project, the path of a file, or names with commas
            (`'a.example,b.example,'`).
        project: The project's directory.
        defaults: How hosts are reached that the inventory does not tell it for.

    Raises:
        InputError: there is no such inventory, it is of a kind that this version does not read, or something is wrong
            in it; carries all problems, each with its place.
    """
    if "," in source:
        return read_literal(source, project, defaults)
    if os.sep not in source:
        named = project / _DIRECTORY / f"{source}{_NATIVE}"
        if named.is_file():
            return read_file(named, defaults)
        for ending in _OTHERS:
            _refuse_foreign(project / _DIRECTORY / f"{source}{ending}")
    path = Path(source)
    _refuse_foreign(path)
    if path.is_file():
        return read_file(path, defaults)
    raise InputError([Problem(message=f"there is no inventory `{source}`", hint=_what_is_there(source, project))])


def _refuse_foreign(path: Path) -> None:
    if path.is_dir():
        kind = "a directory"
    elif path.is_file() and path.suffix != _NATIVE:
        kind = "an executable" if os.access(path, os.X_OK) else f"a {path.suffix or 'plain'} file"
    else:
        return
    hint = "write the hosts into a .toml inventory, or give their names: -i 'a.example,b.example,'"
    message = f"{path}: an inventory that is {kind} is not supported by this version"
    raise InputError([Problem(message=message, hint=hint)])


def _what_is_there(source: str, project: Path) -> str:
    names = sorted(path.stem for path in (project / _DIRECTORY).glob(f"*{_NATIVE}"))
    if not names:
        return f"{project / _DIRECTORY} holds no .toml file; a single host is given with a comma: -i '{source},'"
    return f"{did_you_mean(source, names)} there is: {', '.join(names)}".strip()
