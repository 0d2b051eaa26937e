"""What `-i` means."""

import os
from pathlib import Path

from opsflow.errors import InputError, Problem
from opsflow.inventory.draft import Draft
from opsflow.inventory.native import read_literal, read_native
from opsflow.inventory.resolve import Resolution
from opsflow.inventory.schema import ConnectionKeys
from opsflow.inventory.static import StaticInventory
from opsflow.model import HostExplanation
from opsflow.ports import Renderer
from opsflow.tomlfile import did_you_mean, project_directory

_DIRECTORY = "inventories"
_NATIVE = ".toml"
_OTHERS = ("", ".yml", ".yaml", ".ini")


def load(
    source: str,
    *,
    project: Path,
    defaults: ConnectionKeys = ConnectionKeys(),  # noqa: B008 - frozen
    renderer: Renderer | None = None,
) -> StaticInventory:
    """Read an inventory.

    Args:
        source: `prod` for `inventories/prod.toml` of the project, the path of a file, or names with commas
            (`'a.example,b.example,'`).
        project: The project's directory.
        defaults: How hosts are reached that the inventory does not tell it for.
        renderer: For templates in variables that say how a host is reached; None: such a host cannot be.

    Raises:
        InputError: there is no such inventory, it is of a kind that this version does not read, or something is wrong
            in it; carries all problems, each with its place.
    """
    return Resolution(_drafted(source, project), defaults, renderer).inventory()


def explain(
    source: str,
    host: str,
    *,
    project: Path,
    defaults: ConnectionKeys = ConnectionKeys(),  # noqa: B008 - frozen
    renderer: Renderer | None = None,
) -> HostExplanation:
    """Where all that is known of a host comes from. Raises `InputError` as `load`, or if there is no such host."""
    resolution = Resolution(_drafted(source, project), defaults, renderer)
    hosts = resolution.inventory().hosts
    if host not in hosts:
        raise InputError([Problem(message=f"there is no host `{host}`", hint=did_you_mean(host, hosts))])
    return resolution.explanation(host)


def _drafted(source: str, project: Path) -> Draft:
    if "," in source:
        draft = Draft(path=source, directory=project)
        read_literal(source, draft)
        return draft
    path = _path(source, project)
    draft = Draft(path=str(path), directory=project_directory(path))
    read_native(path, draft)
    return draft


def _path(source: str, project: Path) -> Path:
    if os.sep not in source:
        named = project / _DIRECTORY / f"{source}{_NATIVE}"
        if named.is_file():
            return named
        for ending in _OTHERS:
            _refuse_foreign(project / _DIRECTORY / f"{source}{ending}")
    path = Path(source)
    _refuse_foreign(path)
    if path.is_file():
        return path
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
