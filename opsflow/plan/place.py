"""Which nodes a step has, and the values by which nodes belong together."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from opsflow.errors import InputError, Problem, TemplateError
from opsflow.model import LOCALHOST, PER_ALL, PER_HOST, PER_ITEM, SCOPE_HOST, SCOPE_RUN, Host, Need, Step
from opsflow.plan.check import step_problem
from opsflow.plan.items import keyed
from opsflow.plan.model import Node
from opsflow.plan.needs import per_of
from opsflow.plan.values import Sight, has_template, values_of
from opsflow.plan.wording import some
from opsflow.ports import Inventory, Renderer

_NO_VARIABLES = frozenset({PER_ALL, PER_HOST, SCOPE_RUN, SCOPE_HOST})


class Placement:
    """Places steps on hosts.

    Args:
        steps: Steps by id.
        sight: What templates see.
        renderer: For templates in variables and lists of items.
        known: Whether all inputs are; else lists of items may not be.
        rolled_by: What the rollout is by, which may be missing: what is not rolled is put back by itself.

    Attributes:
        hosts: The hosts of all nodes, by name.
        of_step: The nodes of each step.
        problems: All that is wrong.
    """

    def __init__(
        self, steps: Mapping[str, Step], sight: Sight, renderer: Renderer, *, known: bool, rolled_by: str = ""
    ) -> None:
        self._steps = steps
        self._sight = sight
        self._known = known
        self._rolled_by = rolled_by
        self._renderer = renderer
        self._values: dict[tuple[str, str], tuple[str, ...] | None] = {}  # by node and variable
        self._faults: dict[tuple[str, str], str] = {}  # of values that cannot be had
        self._told: dict[tuple[str, str, str], set[str]] = {}  # hosts, by step, key and fault
        self.hosts: dict[str, Host] = {}
        self.of_step: dict[str, list[Node]] = {}
        self.problems: list[Problem] = []

    def place(self, inventory: Inventory) -> list[Node]:
        """All nodes, in playbook order."""
        for step in self._steps.values():
            try:
                hosts = inventory.select(step.hosts)
            except InputError as error:
                self.problems += [step_problem(step, "hosts", p.message, p.hint) for p in error.problems]
                continue
            if not hosts:
                hint = "`opsflow inventory list` shows what there is"
                self.problems.append(step_problem(step, "hosts", f"the pattern {step.hosts!r} matches no host", hint))
            hosts = self._within(step, hosts, inventory)
            self.of_step[step.id] = self._nodes(step, hosts)
        self.of_step = {id_: self._sent(self._steps[id_], nodes, inventory) for id_, nodes in self.of_step.items()}
        chosen = [node for nodes in self.of_step.values() for node in nodes]
        used = {name for node in chosen for name in (node.host, node.at)}
        self.hosts = {name: host for name, host in self.hosts.items() if name in used}
        return chosen

    def add(self, steps: Sequence[Step], inventory: Inventory) -> list[Node]:
        """The nodes of steps that are not the playbook's own."""
        for step in steps:
            self.of_step[step.id] = self._nodes(step, inventory.select(step.hosts))
        return [node for step in steps for node in self.of_step[step.id]]

    def values(self, step: Step, node: Node, variable: str) -> tuple[str, ...] | None:
        """The values of a variable for a node; None: it has none, or none that can be had."""
        key = (node.id, variable)
        if key not in self._values:
            try:
                self._values[key] = values_of(step, node, self.hosts[node.host], variable, self._renderer)
            except TemplateError as error:
                self._values[key], self._faults[key] = None, f"{variable}: {error.message}"
            else:
                if self._values[key] is None and not node.idle:
                    self._faults[key] = f"no variable {variable!r}"
        return self._values[key]

    def check_values(self, step: Step, needs: Iterable[Need]) -> None:
        """What `per`, `needs` and `rollback_scope` name are variables of the step's nodes and of what they need."""
        named = [("per", step.per, step.id)]
        if step.rollback_scope != self._rolled_by:
            named.append(("rollback_scope", step.rollback_scope, step.id))
        for need in needs:
            # Where keys of items were asked for, `per_of` has made do with what there is.
            per = PER_ITEM if need.per == PER_ITEM else per_of(step, need, self._steps[need.step])
            key = "needs" if need.per else "per"
            named += [(key, per, step.id), (key, per, need.step)]
        for key, variable, owner_id in dict.fromkeys(named):
            owner = self._steps[owner_id]
            if variable == PER_ITEM:
                self._check_items(step, key, owner)
            elif variable not in _NO_VARIABLES and not owner.run_once:
                nodes = [node for node in self.of_step.get(owner.id, ()) if node.host != LOCALHOST]
                for node in nodes:
                    self.values(owner, node, variable)
                self._report_faults(step, key, variable, owner, nodes)

    def _within(self, step: Step, hosts: Sequence[Host], inventory: Inventory) -> Sequence[Host]:
        """Those of the hosts of a step that the entries which include it are for; the control machine always is."""
        for entry in self._sight.playbook.parts_of(step):
            if not entry.hosts:
                continue
            try:
                names = {LOCALHOST, *(host.name for host in inventory.select(entry.hosts))}
            except InputError as error:
                self.problems += [step_problem(entry, "hosts", p.message, p.hint) for p in error.problems]
                return ()
            left = [host for host in hosts if host.name in names]
            if hosts and not left:
                message = (
                    f"the pattern {entry.hosts!r} leaves no host to its step {step.id!r}, which is on {step.hosts!r}"
                )
                hint = "name hosts on which all its steps have something to do, or take `hosts` out"
                self.problems.append(step_problem(entry, "hosts", message, hint))
            hosts = left
        return hosts

    def _nodes(self, step: Step, hosts: Sequence[Host]) -> list[Node]:
        self.hosts |= {host.name: host for host in hosts}
        return self._once(step, [node for host in hosts for node in self._on_host(step, host)])

    def _on_host(self, step: Step, host: Host) -> list[Node]:
        nothing = Node(id=f"{step.id}@{host.name}", step=step.id, host=host.name, idle=step.foreach is not None)
        if step.foreach is None:
            return [nothing]
        return [
            Node(id=f"{step.id}[{key}]@{host.name}", step=step.id, host=host.name, key=key, item=item)
            for key, item in self._items(step, host).items()
        ] or [nothing]

    def _items(self, step: Step, host: Host) -> dict[str, Any]:
        try:
            items = self._rendered(step, "foreach", step.foreach, *self._sight.of(step, host))
            return {} if items is None else keyed(items)
        except TemplateError as error:
            self.problems.append(step_problem(step, "foreach", error.message, error.hint))
        return {}

    def _sent(self, step: Step, nodes: list[Node], inventory: Inventory) -> list[Node]:
        """The nodes with the host on which their commands run."""
        select = cache(inventory.select)  # many nodes name the same few hosts
        return [replace(node, on=self._on(step, node, select)) for node in nodes] if step.on else nodes

    def _on(self, step: Step, node: Node, select: Callable[[str], Sequence[Host]]) -> str:
        variables, facts = self._sight.of(step, self.hosts[node.host], node)
        pattern = None if node.idle else self._rendered(step, "on", step.on, variables, facts)
        if pattern is None:
            return ""
        try:
            hosts = select(str(pattern))
        except InputError as error:
            self.problems += [step_problem(step, "on", p.message, p.hint) for p in error.problems]
            return ""
        if len(hosts) != 1:
            what = f"{len(hosts)} hosts" if hosts else "no host"
            self.problems.append(step_problem(step, "on", f"`on` must name one host: {pattern!r} matches {what}"))
            return ""
        self.hosts[hosts[0].name] = hosts[0]
        return "" if hosts[0].name == node.host else hosts[0].name

    def _rendered(
        self, step: Step, key: str, value: Any, variables: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> Any:
        """What has to be known when the plan is made; None: it is not, and that is told unless inputs are missing."""
        try:
            if mentioned := self._renderer.references(value, variables):
                message = f"its `{key}` hangs on step {min(mentioned)!r}, and has to be known before the run"
                self.problems.append(step_problem(step, key, message, "take it from variables"))
            elif self._known or not has_template(value):
                return self._renderer.render(value, variables, facts)
        except TemplateError as error:
            self.problems.append(step_problem(step, key, error.message, error.hint))
        return None

    def _once(self, step: Step, nodes: list[Node]) -> list[Node]:
        if step.run_once is False or not nodes:
            return nodes
        busy_first = sorted(nodes, key=lambda node: node.idle)
        if step.run_once is True:
            return [node for node in nodes if node.host == busy_first[0].host]
        first: dict[str, str] = {}
        values = {node.id: self.values(step, node, step.run_once) or () for node in nodes}
        for node in busy_first:
            for value in values[node.id]:
                first.setdefault(value, node.host)
        self._report_faults(step, "run_once", step.run_once, step, nodes)
        chosen = [node for node in nodes if any(first[value] == node.host for value in values[node.id])]
        return chosen or [node for node in nodes if node.idle][:1]  # what waits for the step waits for its needs

    def _check_items(self, step: Step, key: str, owner: Step) -> None:
        """Say where keys of items are to be matched, and a step has none."""
        stated = key in step.positions or key == "rollback_scope"  # a default is for those that have them
        if owner.foreach is None and stated:
            of = "it" if owner is step else f"step {owner.id!r}, which it needs,"
            hint = "give it a `foreach`, or take another value"
            self.problems.append(step_problem(step, key, f'{key} = "item": {of} has no `foreach`', hint))

    def _report_faults(self, step: Step, key: str, variable: str, owner: Step, nodes: Iterable[Node]) -> None:
        """Say of a key of `step` what is wrong with the variable that it names, at nodes of the step `owner`."""
        found: dict[str, dict[str, None]] = {}
        for node in nodes:
            if fault := self._faults.get((node.id, variable)):
                found.setdefault(fault, {})[node.host] = None
        for fault, hosts in found.items():
            told = self._told.setdefault((step.id, key, fault), set())
            if told >= hosts.keys():
                continue
            told.update(hosts)
            names = list(hosts)
            shown = some(names)
            of = "" if owner is step else f" of step {owner.id!r}, which it needs"
            hint = f"set it in the inventory or in the step's vars, or change {key}"
            self.problems.append(step_problem(step, key, f"{fault} for {shown}{of}", hint))
