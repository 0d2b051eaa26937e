"""What a draft comes to: hosts with their variables and connections, and where each of them comes from."""

from collections.abc import Iterator, Mapping
from typing import Any

from opsflow.errors import Problem
from opsflow.inventory.connection import Setting, Way, Ways, without_secrets
from opsflow.inventory.draft import ALL, GAP, UNGROUPED, Draft, Said, Spot
from opsflow.inventory.kinship import Kinship, kinship_problems, named_in
from opsflow.inventory.magic import magic_variables, mentioned
from opsflow.inventory.schema import ConnectionKeys
from opsflow.inventory.static import StaticInventory
from opsflow.model import GroupMembers, Host, HostExplanation, Provenance
from opsflow.ports import Renderer
from opsflow.tomlfile import raise_problems


class Resolution:
    """A draft, resolved.

    Args:
        draft: All that was read.
        defaults: How hosts are reached that it does not tell it for.
        renderer: For templates in variables that say how a host is reached; None: they cannot be rendered.

    Raises:
        InputError: something is wrong with it; carries all problems, each with its place, in file order.
    """

    def __init__(self, draft: Draft, defaults: ConnectionKeys, renderer: Renderer | None) -> None:
        raise_problems(dict.fromkeys([*draft.problems, *kinship_problems(draft)]))
        for name in (ALL, UNGROUPED) if draft.foreign else (ALL,):
            draft.group(name)
        self._draft = draft
        self._ways = Ways(draft, defaults, renderer)
        self._kinship = Kinship(draft.groups)
        self._named_in = named_in(draft)
        self._mentioned = mentioned(draft)
        self._of_groups: dict[tuple[str, ...], Mapping[str, Any]] = {}

    def inventory(self) -> StaticInventory:
        """All of it. Raises `InputError`: connection variables have wrong values."""
        problems: dict[Problem, None] = {}
        unreachable: dict[str, list[Problem]] = {}
        hosts = []
        for name in self._draft.hosts:
            host, way = self._host(name)
            hosts.append(host)
            problems |= dict.fromkeys(way.problems)
            if way.unknown:
                unreachable[name] = way.unknown
            for kind, notice in way.notices:
                self._draft.notices.add(kind, notice)
        raise_problems(problems)
        return StaticInventory(
            path=self._draft.path,
            digest=self._draft.digest,
            hosts=hosts,
            groups=[group for group in self._draft.groups if group != ALL],
            directory=self._draft.directory,
            notices=self._draft.notices,
            unreachable=unreachable,
        )

    def members(self) -> Mapping[str, GroupMembers]:
        """All groups with what is in them; in `all`: the groups that are in no other, and hosts that are in none."""
        lonely = any(UNGROUPED in named for named in self._named_in.values())
        own = {ALL} if lonely else {ALL, UNGROUPED}
        groups = {name: group for name, group in self._draft.groups.items() if name not in own}
        below = {child for group in groups.values() for child in group.children}
        hosts: dict[str, list[str]] = {name: [] for name in (ALL, *groups)}
        for host, named in self._named_in.items():
            for group in named or {ALL}:
                hosts[group].append(host)
        children = {ALL: [name for name in groups if name not in below]}
        children |= {name: list(group.children) for name, group in groups.items()}
        return {name: GroupMembers(children=tuple(children[name]), hosts=tuple(hosts[name])) for name in hosts}

    def explanation(self, name: str) -> HostExplanation:
        """Where all that is known of a host comes from."""
        host, way = self._host(name)
        found: dict[str, Provenance] = {}
        for by, said in self._layers(name):
            for variable, value in said.values.items():
                weaker = found.pop(variable, None)
                if value is not GAP:
                    over = (weaker, *weaker.over) if weaker else ()
                    where = str(said.at(variable))
                    found[variable] = Provenance(name=variable, value=value, by=by, where=where, over=over)
        assumed = {"address": host.connection.address, "transport": host.connection.transport}
        settings = {key: Setting(value, "default", str) for key, value in assumed.items()} | way.settings
        return HostExplanation(
            host=host,
            variables=tuple(found[variable] for variable in sorted(found.keys() & host.vars.keys())),
            connection=tuple(
                Provenance(name=key, value=setting.value, by=setting.by, where=setting.where())
                for key, setting in sorted(settings.items())
            ),
        )

    def _host(self, name: str) -> tuple[Host, Way]:
        groups = self._kinship.of(self._named_in[name])
        variables = dict(self._inherited(groups))
        own = self._draft.hosts[name]
        for said in (*own.said, *own.files):
            variables |= said.values
        if self._mentioned:
            variables = magic_variables(name, groups, self._mentioned) | variables
        variables = {variable: value for variable, value in variables.items() if value is not GAP}
        way = self._ways.to(name, variables, lambda variable: self._spot(name, variable))
        host = Host(
            name=name,
            connection=self._ways.connection(name, way),
            vars=without_secrets(variables),
            groups=tuple(sorted(groups)),
        )
        return host, way

    def _inherited(self, groups: tuple[str, ...]) -> Mapping[str, Any]:
        if groups not in self._of_groups:
            found: dict[str, Any] = {}
            for _, said in self._group_layers(groups):
                found |= said.values
            self._of_groups[groups] = found
        return self._of_groups[groups]

    def _group_layers(self, groups: tuple[str, ...]) -> Iterator[tuple[str, Said]]:
        """What is said of `all` and of groups, weakest first: in files of variables more strongly than elsewhere."""
        known = [(name if name == ALL else f"group {name}", self._draft.group(name)) for name in (ALL, *groups)]
        for by, group in known:
            yield from ((by, said) for said in group.said)
        for by, group in known:
            yield from ((by, said) for said in group.files)

    def _layers(self, name: str) -> Iterator[tuple[str, Said]]:
        """What is said of a host, weakest first."""
        yield from self._group_layers(self._kinship.of(self._named_in[name]))
        own = self._draft.hosts[name]
        yield from (("host", said) for said in (*own.said, *own.files))

    def _spot(self, name: str, variable: str) -> Spot:
        """Where a host got a variable's value from."""
        return [said.at(variable) for _, said in self._layers(name) if variable in said.values][-1]
