"""What `-i` means."""

import os
from collections.abc import Mapping
from pathlib import Path

from opsflow.errors import InputError, Problem
from opsflow.inventory.draft import Draft
from opsflow.inventory.forms import is_source, read_source
from opsflow.inventory.native import read_literal
from opsflow.inventory.resolve import Resolution
from opsflow.inventory.schema import ConnectionKeys
from opsflow.inventory.static import StaticInventory
from opsflow.inventory.varsfiles import read_variables
from opsflow.model import GroupMembers, HostExplanation
from opsflow.ports import Renderer
from opsflow.tomlfile import did_you_mean, project_directory

_DIRECTORY = "inventories"
_ENDINGS = (".toml", ".yml", ".yaml", ".ini", "")


def load(
    source: str,
    *,
    project: Path,
    defaults: ConnectionKeys = ConnectionKeys(),  # noqa: B008 - frozen
    renderer: Renderer | None = None,
) -> StaticInventory:
    """Read an inventory.

    Args:
        source: `prod` for what has that name in `inventories/` of the project, ending in `.toml`, `.yml`, `.yaml`,
            `.ini` or nothing; the path of a file, an executable or a directory of these; or names with commas
            (`'a.example,b.example,'`).
        project: The project's directory.
        defaults: How hosts are reached that the inventory does not tell it for.
        renderer: For templates in variables that say how a host is reached; None: such a host cannot be.

    Raises:
        InputError: there is no such inventory, or something is wrong in it; carries all problems, each with its place.
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


def members(
    source: str,
    *,
    project: Path,
    defaults: ConnectionKeys = ConnectionKeys(),  # noqa: B008 - frozen
    renderer: Renderer | None = None,
) -> Mapping[str, GroupMembers]:
    """What each group is made of, `all` first. Raises `InputError` as `load`."""
    resolution = Resolution(_drafted(source, project), defaults, renderer)
    resolution.inventory()
    return resolution.members()


def _drafted(source: str, project: Path) -> Draft:
    if "," in source:
        draft = Draft(path=source, directory=project)
        read_literal(source, draft)
        return draft
    path = _path(source, project)
    draft = Draft(path=str(path), directory=project_directory(path))
    read_source(path, draft)
    read_variables(path if path.is_dir() else path.parent, draft)
    return draft


def _path(source: str, project: Path) -> Path:
    named = [project / _DIRECTORY / f"{source}{ending}" for ending in _ENDINGS] if os.sep not in source else []
    for path in (*named, Path(source)):
        if path.is_file() or path.is_dir():
            return path
    raise InputError([Problem(message=f"there is no inventory `{source}`", hint=_what_is_there(source, project))])


def _what_is_there(source: str, project: Path) -> str:
    directory = project / _DIRECTORY
    names = sorted({path.stem for path in directory.iterdir() if is_source(path)}) if directory.is_dir() else []
    if not names:
        return f"{directory} holds no inventory; a single host is given with a comma: -i '{source},'"
    return f"{did_you_mean(source, names)} there is: {', '.join(names)}".strip()
