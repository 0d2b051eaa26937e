"""What holds for every command: from the command line, else from `opsflow.toml`, else the default."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from opsflow.inventory.checks import password_problems
from opsflow.inventory.schema import ConnectionKeys
from opsflow.tomlfile import Border, border_problems, raise_problems, read

FILE = "opsflow.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one process.

    Attributes:
        project: Directory of the user's project, absolute.
        journal: URL of the journal.
        inventory: Default inventory; empty: none.
        plugins: Directories of plugins.
        forks: Nodes at work at a time.
        executor: `threads` or `serial`.
        ssh: How hosts are reached that the inventory does not tell it for.
        accept_new_host_keys: Hosts whose key is not known are taken as they are.
        become_password: What the operator typed for sudo; empty: nothing.
    """

    project: Path
    journal: str
    inventory: str = ""
    plugins: tuple[Path, ...] = ()
    forks: int = 20
    executor: str = "threads"
    ssh: ConnectionKeys = field(default_factory=ConnectionKeys)
    accept_new_host_keys: bool = False
    become_password: str = field(default="", repr=False)


class _File(Border):
    """`opsflow.toml`."""

    journal: str = ""
    inventory: str = ""
    plugins: list[str] = Field(default_factory=list)
    forks: int = Field(20, ge=1, le=1000)
    executor: Literal["threads", "serial"] = "threads"
    ssh: ConnectionKeys = ConnectionKeys()


def settings(
    start: Path,
    *,
    journal: str | None = None,
    plugins: Sequence[Path] = (),
    forks: int | None = None,
    executor: str | None = None,
    accept_new_host_keys: bool = False,
) -> Settings:
    """The settings that hold in a directory; arguments that are given win over `opsflow.toml`.

    The project is the nearest directory from `start` upwards that holds an `opsflow.toml`, else `start`.

    Raises:
        InputError: `opsflow.toml` is wrong.
    """
    start = start.absolute()
    project = next((d for d in (start, *start.parents) if (d / FILE).is_file()), start)
    found = _read(project / FILE) if (project / FILE).is_file() else _File()
    own = project / "plugins"
    return Settings(
        project=project,
        journal=_absolute(journal, start) if journal else _absolute(found.journal, project) or _default(project),
        inventory=found.inventory,
        plugins=(*([own] if own.is_dir() else []), *(project / p for p in found.plugins), *plugins),
        forks=forks or found.forks,
        executor=executor or found.executor,
        ssh=found.ssh,
        accept_new_host_keys=accept_new_host_keys,
    )


def of_project(project: Path, given: Settings) -> Settings:
    """The settings of another project than the current directory's; what was said on the command line holds there, too.

    Raises:
        InputError: its `opsflow.toml` is wrong.
    """
    there, here = settings(project), settings(given.project)
    more = tuple(directory for directory in given.plugins if directory not in here.plugins)
    return replace(given, project=there.project, plugins=there.plugins + more, ssh=there.ssh)


def _default(project: Path) -> str:
    return f"sqlite:///{project}/.opsflow/journal.db"


def _absolute(url: str, directory: Path) -> str:
    """A relative SQLite file begins where it was written down, not where the command runs."""
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/"):
        return prefix + str(directory / url.removeprefix(prefix))
    return url


def _read(path: Path) -> _File:
    file = read(path)
    problems = list(password_problems(file, ("ssh",), file.data.get("ssh")))
    try:
        found = _File.model_validate(file.data)
    except ValidationError as error:
        problems += border_problems(file, _File, error, lambda _: "")
    raise_problems(problems)
    return found
