"""`compile_plan`: a playbook and an inventory become a plan, or a list of everything that is wrong with them."""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import networkx as nx

from opsflow.errors import InputError, Problem, TemplateError
from opsflow.model import Connection, Host, Need, Part, Playbook, Step, conditions
from opsflow.plan.batches import Batches
from opsflow.plan.check import ParameterCheck, step_problem
from opsflow.plan.fingerprint import sealed
from opsflow.plan.model import Node, Plan, TaskFacts
from opsflow.plan.names import misspelled
from opsflow.plan.needs import EdgeBuilder
from opsflow.plan.order import Order
from opsflow.plan.outputs import output_problems, type_problems
from opsflow.plan.place import Placement
from opsflow.plan.rollout import Division, before_and_after, gate_steps
from opsflow.plan.values import Sight, has_template, node_variables, varied
from opsflow.ports import Inventory, References, Renderer, Tasks
from opsflow.tomlfile import did_you_mean

_ASKS_FOR_HOSTS = re.compile(r"\bhosts\s*\(")


def compile_plan(
    playbook: Playbook,
    inventory: Inventory | None,
    tasks: Tasks,
    renderer: Renderer,
    *,
    inputs: Mapping[str, Any],
    extra: Mapping[str, Any],
    now: datetime,
    render: bool = True,
    earlier: Plan | None = None,
    run: bool = True,
) -> Plan:
    """Compile.

    Args:
        playbook: What to do.
        inventory: On which hosts; None: check what can be checked without (the plan then has no nodes).
        tasks: What steps can do.
        renderer: For templates.
        inputs: Input defaults.
        extra: What the caller gave.
        now: The time that templates see, UTC.
        render: Whether to check rendered parameters; not possible while inputs are missing.
        earlier: The plan that a run follows: if batches are of the same sizes now, what is in one of them stays there.
        run: For a run; else the plan gets no fingerprint, which takes a tenth of the time.

    Raises:
        InputError: everything that is wrong, in file order.
    """
    compiler = _Compiler(playbook, inventory, tasks, renderer, dict(inputs), dict(extra), now, earlier)
    plan = compiler.compile(render=render)
    return sealed(plan) if run else plan


class _Compiler:
    def __init__(
        self,
        playbook: Playbook,
        inventory: Inventory | None,
        tasks: Tasks,
        renderer: Renderer,
        inputs: dict[str, Any],
        extra: dict[str, Any],
        now: datetime,
        earlier: Plan | None,
    ) -> None:
        self.playbook = playbook
        self.inventory = inventory
        self.tasks = tasks
        self.renderer = renderer
        self.inputs = inputs
        self.extra = extra
        self.earlier = earlier
        self.problems: list[Problem] = []
        self.steps = {step.id: step for step in playbook.steps}
        self.sight = Sight(playbook=playbook, inputs=inputs, extra=extra, now=now.isoformat().replace("+00:00", "Z"))

    def compile(self, *, render: bool) -> Plan:
        rolled_by = self.playbook.rollout.by if self.playbook.rollout else ""
        self.placement = Placement(self.steps, self.sight, self.renderer, known=render, rolled_by=rolled_by)
        nodes = self.placement.place(self.inventory) if self.inventory else []
        nodes, batches = self._roll_out(nodes) if nodes else (nodes, None)
        hosts = self.placement.hosts
        seen = {step.id: self._variables(step) for step in self.playbook.steps}
        references = {step.id: self._references(step, seen[step.id]) for step in self.playbook.steps}
        order = Order(self.playbook, references)
        needs = {step.id: self._needs(order, step, references[step.id]) for step in self.playbook.steps}
        self._check_cycles(needs)
        deciders = self._deciders(needs)
        if nodes and not render:
            inputs = [spec.name for spec in self.playbook.inputs]
            for step in self.playbook.steps:
                of_hosts = {name for node in self.placement.of_step.get(step.id, ()) for name in hosts[node.host].vars}
                self.problems += misspelled(step, seen[step.id], {*inputs, *of_hosts}, self.renderer)
        check = ParameterCheck(self.playbook, self.tasks, self.renderer, self.sight, seen, deciders)
        self.problems += check.problems(nodes if render else [], hosts)
        edges = EdgeBuilder(self.playbook.steps, nodes, self.placement.values, batches)
        if nodes:
            for step_id, found in needs.items():
                self.placement.check_values(self.steps[step_id], found)
                for need in found:
                    edges.add(self.steps[step_id], need, self.steps[need.step])
        self.problems += [*self.placement.problems, *edges.problems]
        if batches and not edges.problems:
            self.problems += before_and_after(nodes, edges.edges, self.steps, batches)
        if self.problems:
            raise InputError(_in_order(self.problems))
        return Plan(
            playbook=self.playbook,
            inventory=self.inventory.path if self.inventory else "",
            inventory_digest=self.inventory.digest if self.inventory else "",
            hosts=hosts,
            inputs=self.inputs,
            extra=self.extra,
            now=self.sight.now,
            tasks={step.task: self._facts(step.task) for step in self.playbook.steps},
            references={step: tuple(sorted(found)) for step, found in references.items()},
            files=check.files,
            local_files=check.local_files,
            groups=self._groups(),
            nodes=tuple(nodes),
            joins=tuple(edges.joins),
            edges=tuple(edges.edges),
            needs={step: tuple(found) for step, found in needs.items()},
            batches=batches,
        )

    def _roll_out(self, nodes: list[Node]) -> tuple[list[Node], Batches | None]:
        """The nodes with their units, and with those that ask between batches."""
        rollout = self.playbook.rollout
        if rollout is None or self.inventory is None:
            return nodes, None
        division = Division(rollout, self.steps, self.renderer)
        before = self.earlier.playbook.rollout if self.earlier else None
        alike = before and (before.by, before.batches) == (rollout.by, rollout.batches)
        kept = self.earlier.batches if self.earlier and alike else None
        rolled, batches = division.divide(nodes, self.inventory, kept)
        gates = gate_steps(rollout, batches) if batches else []
        for step in gates:
            if step.id in self.steps:  # of an included playbook
                self.problems.append(
                    step_problem(self.steps[step.id], "id", "the approval before a batch has this name")
                )
        self.playbook = replace(self.playbook, steps=(*self.playbook.steps, *gates))
        self.steps |= {step.id: step for step in gates}
        self.problems += division.problems
        return rolled + self.placement.add(gates, self.inventory), batches

    def _variables(self, step: Step) -> Mapping[str, Any]:
        """What the step's templates may see, on whichever host: of host variables all the templates there are."""
        of_hosts: dict[str, list[Any]] = {}
        for node in self.placement.of_step.get(step.id, ()):
            for name, value in self.placement.hosts[node.host].vars.items():
                if has_template(value):
                    of_hosts.setdefault(name, []).append(value)
        any_host = Host(name="", connection=Connection(), vars=of_hosts)
        varied_step = replace(step, vars={**step.vars, **step.retry.vary})
        return node_variables(self.playbook, varied_step, any_host, inputs=self.inputs, extra=self.extra)

    def _references(self, step: Step, variables: Mapping[str, Any]) -> frozenset[str]:
        """The steps that its templates mention, and those of the entries that include it."""
        templates = {f"with.{key}": value for key, value in step.params.items()}
        templates |= {f"retry.vary.{name}": values for name, values in varied(step, self.extra).items()}
        asked = {key: partial(self.renderer.references, value, variables) for key, value in templates.items()}
        if step.when is not None:
            asked["when"] = partial(self.renderer.expression_references, step.when, variables)
        found = self._read(step, asked)
        self.problems += type_problems(step, self.steps, self.tasks)
        entries = [entry for entry in reversed(self.playbook.parts_of(step)) if entry.when is not None]
        for entry, (said, seen) in zip(entries, conditions(variables), strict=True):
            found |= self._read(entry, {"when": partial(self.renderer.expression_references, said, seen)})
        return found

    def _read(self, owner: Step | Part, asked: Mapping[str, Callable[[], References]]) -> frozenset[str]:
        """The steps that the keys of a step or an entry mention; what is wrong with that is told."""
        read: dict[str, References] = {}
        for key, ask in asked.items():
            try:
                read[key] = ask()
            except TemplateError as error:
                self.problems.append(step_problem(owner, key, error.message))
        self.problems += output_problems(owner, read, self.steps, self.tasks)
        found = {name: key for key, mentioned in read.items() for name in mentioned}
        for unknown in sorted(found.keys() - self.steps.keys()):
            message = f"a template mentions step {unknown!r}, which there is not"
            self.problems.append(step_problem(owner, found[unknown], message, did_you_mean(unknown, self.steps)))
        return frozenset(found.keys() & self.steps.keys())

    def _needs(self, order: Order, step: Step, references: frozenset[str]) -> list[Need]:
        # What it needs wrongly, the reader of the file has told.
        needs = order.needs(step)
        self._check_ends(step, needs, references)
        # What runs at the end runs after all others without needing them, and may speak of them.
        references = frozenset(name for name in references if self.steps[name].at_end is step.at_end)
        needs = [need for need in needs if self.steps[need.step].at_end is step.at_end]
        stated = {need.step for need in needs}
        if order.flow_of(step) == "unordered" and (step.needs or references):
            what = "needs" if step.needs else "a template that mentions another step"
            hint = 'say flow = "graph", in which only what is stated is ordered'
            self.problems.append(step_problem(step, "needs", f'flow = "unordered" permits no {what}', hint))
        return needs + [Need(step=r) for r in sorted(references - stated)]

    def _check_ends(self, step: Step, needs: Sequence[Need], references: Collection[str]) -> None:
        for number, need in enumerate(step.needs or ()):
            if need in needs and self.steps[need.step].at_end is not step.at_end:
                said = f"{need.step!r} runs at the end (`finally`): nothing before can wait for it"
                if step.at_end:
                    said = f"it runs at the end (`finally`), after all others: it cannot need {need.step!r}"
                key = f"needs.{number}"
                self.problems.append(step_problem(step, key, said, "take the need out, or change which one is last"))
        for name in sorted(references):
            if self.steps[name].at_end and not step.at_end:
                message = f"a template mentions step {name!r}, which runs at the end (`finally`), after this one"
                self.problems.append(step_problem(step, "with", message))

    def _deciders(self, needs: Mapping[str, list[Need]]) -> dict[str, set[str]]:
        """For each step those before it that say `skip_depth = "all"`."""
        graph: nx.DiGraph[str] = nx.DiGraph((need.step, step) for step, found in needs.items() for need in found)
        found: dict[str, set[str]] = {}
        for step in self.playbook.steps:
            for after in nx.descendants(graph, step.id) if step.skips_all and step.id in graph else ():
                found.setdefault(after, set()).add(step.id)
        return found

    def _check_cycles(self, needs: Mapping[str, list[Need]]) -> None:
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_edges_from((need.step, step) for step, found in needs.items() for need in found)
        try:
            cycle = [before for before, _ in nx.find_cycle(graph)]
        except nx.NetworkXNoCycle:
            return
        start = min(map(list(self.steps).index, cycle))
        first = self.playbook.steps[start]
        turn = cycle.index(first.id)
        text = " → ".join([*cycle[turn:], *cycle[:turn], first.id])
        self.problems.append(step_problem(first, "needs", f"steps need one another in a circle: {text} (read: before)"))

    def _groups(self) -> dict[str, tuple[str, ...]]:
        templates = json.dumps(
            [self.playbook.vars, self.inputs, self.extra, [[p.vars, p.given, p.when] for p in self.playbook.parts]],
            default=str,
        )
        templates += json.dumps(
            [[s.params, s.vars, s.when, s.foreach, s.on, s.retry.vary] for s in self.playbook.steps], default=str
        )
        of_hosts = [
            value for host in self.placement.hosts.values() for value in host.vars.values() if has_template(value)
        ]
        templates += json.dumps(of_hosts, default=str)
        if self.inventory is None or not _ASKS_FOR_HOSTS.search(templates):
            return {}
        return {group: tuple(hosts) for group, hosts in self.inventory.groups.items()}

    def _facts(self, name: str) -> TaskFacts:
        task = self.tasks.get(name)
        assert task is not None
        return TaskFacts(
            digest=task.digest,
            idempotent=task.idempotent,
            reversible=task.reversible,
            has_plan=task.has_plan,
            gate=task.gate,
        )


def _in_order(problems: list[Problem]) -> list[Problem]:
    unique = list(dict.fromkeys(problems))
    return sorted(
        unique, key=lambda p: (p.position.file, p.position.line, p.position.column) if p.position else ("", 0, 0)
    )
