"""How hosts are reached: what `opsflow.toml`, `[ssh]`, connection variables and `[hosts.NAME]` say together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from opsflow.errors import Problem, TemplateError
from opsflow.inventory.ansible_keys import SECRET, VARIABLES, Read, Unfit, read_variable
from opsflow.inventory.checks import SECRETS, secret_named
from opsflow.inventory.draft import Draft, Keys, Spot
from opsflow.inventory.schema import ConnectionKeys
from opsflow.model import LOCALHOST, Connection
from opsflow.ports import Renderer
from opsflow.tomlfile import local_path

_KNOWN = frozenset(VARIABLES)
_LOCAL_FILES = ("key_file", "known_hosts")


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of a connection key, who says it, and where."""

    value: Any
    by: str
    where: Callable[[], str]


@dataclass(slots=True)
class Way:
    """How a host is reached.

    Attributes:
        settings: What is said of it, by connection key.
        problems: Wrong values.
        unknown: Why it cannot be told how the host is reached; empty: it can.
        notices: What is not heeded, each with its kind.
    """

    settings: dict[str, Setting]
    problems: list[Problem]
    unknown: list[Problem]
    notices: list[tuple[str, Problem]]


class Ways:
    """The ways to the hosts of a draft.

    Args:
        draft: All that was read.
        defaults: What holds where it says nothing.
        renderer: For templates in connection variables; None: they cannot be rendered.
    """

    def __init__(self, draft: Draft, defaults: ConnectionKeys, renderer: Renderer | None) -> None:
        self._draft = draft
        self._renderer = renderer
        self._of_all = _settings(defaults, "[ssh]", lambda _: "opsflow.toml")
        for keys in draft.ssh:
            self._of_all |= _table(keys, "[ssh]")

    def to(self, host: str, variables: Mapping[str, Any], at: Callable[[str], Spot]) -> Way:
        """The way to a host; `at`: where it got a variable's value from."""
        way = Way(settings=dict(self._of_all), problems=[], unknown=[], notices=[])
        if known := variables.keys() & _KNOWN:
            for variable in (name for name in VARIABLES if name in known and variables[name] is not None):
                self._heed(way, host, variable, variables, at)
        for keys in self._draft.hosts[host].keys:
            way.settings |= _table(keys, f"[hosts.{host}]")
        return way

    def connection(self, host: str, way: Way) -> Connection:
        """What a way comes to."""
        said = {key: setting.value for key, setting in way.settings.items()}
        said.setdefault("address", host)
        said.setdefault("transport", "local" if host == LOCALHOST else "ssh")
        said["jump"] = tuple(said.get("jump", ()))
        user = said.pop("become_user", "root")
        said["become"] = user if said.get("become") else ""
        for key in SECRETS:
            said[key] = secret_named(said.get(key))
        for key in _LOCAL_FILES:
            if key in said:
                said[key] = str(local_path(self._draft.directory, said[key]))
        return Connection(**said)

    def _heed(
        self, way: Way, host: str, variable: str, variables: Mapping[str, Any], at: Callable[[str], Spot]
    ) -> None:
        value = variables[variable]
        try:
            if variable not in SECRET and isinstance(value, str) and ("{{" in value or "{%" in value):
                value = self._rendered(value, variables, host)
            for read in read_variable(variable, value):
                self._take(way, read, at)
        except TemplateError as error:
            problem = at(variable).problem(f"`{variable}` cannot be told: {error.message}")
            way.unknown.append(problem)
            way.notices.append((problem.message, problem))
        except Unfit as error:
            way.problems.append(at(variable).problem(str(error), error.hint))

    def _rendered(self, value: str, variables: Mapping[str, Any], host: str) -> Any:
        if self._renderer is None:
            raise TemplateError("there are no templates here")
        return self._renderer.render(value, variables, {"host": host})

    def _take(self, way: Way, read: Read, at: Callable[[str], Spot]) -> None:
        spot = at(read.variable) if read.notice else None
        if read.key:
            way.settings[read.key] = Setting(read.value, f"`{read.variable}`", lambda: str(at(read.variable)))
        elif spot:
            problem = spot.problem(read.notice, read.hint)
            way.notices.append((read.notice, problem))
            if read.astray:
                way.unknown.append(problem)


def without_secrets(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The variables of a host, but for passwords and passphrases to reach it."""
    return {name: value for name, value in variables.items() if name not in SECRET}


def _table(keys: Keys, by: str) -> dict[str, Setting]:
    return _settings(keys.table, by, lambda key: str(keys.at(key)))


def _settings(table: ConnectionKeys, by: str, at: Callable[[str], str]) -> dict[str, Setting]:
    return {key: Setting(getattr(table, key), by, partial(at, key)) for key in table.model_fields_set - {"vars"}}
