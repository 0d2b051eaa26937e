"""`compile_plan`: a playbook and an inventory become a plan, or a list of everything that is wrong with them."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import networkx as nx

from opsflow.errors import InputError, Problem, TemplateError
from opsflow.model import LOCALHOST, PER_ALL, PER_HOST, SCOPE_HOST, SCOPE_RUN, Host, Need, Playbook, Step
from opsflow.plan.check import ParameterCheck, step_problem
from opsflow.plan.model import Node, Plan, TaskFacts
from opsflow.plan.needs import EdgeBuilder
from opsflow.plan.values import values_of
from opsflow.ports import Inventory, Renderer, Tasks


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

    Raises:
        InputError: everything that is wrong, in file order.
    """
    return _Compiler(playbook, inventory, tasks, renderer, dict(inputs), dict(extra), now).compile(render=render)


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
    ) -> None:
        self.playbook = playbook
        self.inventory = inventory
        self.tasks = tasks
        self.renderer = renderer
        self.inputs = inputs
        self.extra = extra
        self.now = now
        self.problems: list[Problem] = []
        self.hosts: dict[str, Host] = {}
        self.values: dict[tuple[str, str, str], tuple[str, ...] | None] = {}

    def compile(self, *, render: bool) -> Plan:
        references = {step.id: self._references(step) for step in self.playbook.steps}
        needs = {step.id: self._needs(i, step, references[step.id]) for i, step in enumerate(self.playbook.steps)}
        self._check_cycles(needs)
        nodes = self._nodes()
        check = ParameterCheck(self.playbook, self.tasks, self.renderer, self.inputs, self.extra, self.now)
        self.problems += check.problems(nodes if render else [], self.hosts)
        steps = {step.id: step for step in self.playbook.steps}
        edges = EdgeBuilder(self.playbook.steps, nodes, self._values)
        if nodes:
            self._check_scopes(nodes, steps)
            for step_id, found in needs.items():
                for need in found:
                    edges.add(steps[step_id], need, steps[need.step])
        self.problems += edges.problems
        if self.problems:
            raise InputError(_in_order(self.problems))
        data = Plan(
            playbook=self.playbook,
            inventory=self.inventory.path if self.inventory else "",
            inventory_digest=self.inventory.digest if self.inventory else "",
            hosts=self.hosts,
            inputs=self.inputs,
            extra=self.extra,
            now=self.now.isoformat().replace("+00:00", "Z"),
            tasks={step.task: self._facts(step.task) for step in self.playbook.steps},
            references={step: tuple(sorted(found)) for step, found in references.items()},
            nodes=tuple(nodes),
            joins=tuple(edges.joins),
            edges=tuple(edges.edges),
        ).to_json()
        # What runs is what is stored, not what it was stored from.
        return Plan.from_json(data | {"fingerprint": _fingerprint(data)})

    def _references(self, step: Step) -> frozenset[str]:
        found: set[str] = set()
        variables = {**self.inputs, **self.playbook.vars, **step.vars, **self.extra}
        for key, value in step.params.items():
            try:
                found |= self.renderer.references(value, variables)
            except TemplateError as error:
                self.problems.append(step_problem(step, f"with.{key}", error.message))
        if step.when is not None:
            try:
                found |= self.renderer.expression_references(step.when, variables)
            except TemplateError as error:
                self.problems.append(step_problem(step, "when", error.message))
        known = {s.id for s in self.playbook.steps}
        for unknown in sorted(found - known):
            self.problems.append(
                step_problem(step, "with", f"a template mentions step {unknown!r}, which there is not")
            )
        return frozenset(found & known)

    def _needs(self, index: int, step: Step, references: frozenset[str]) -> list[Need]:
        if step.needs is not None:
            needs = list(step.needs)
        elif self.playbook.flow == "linear" and index > 0:
            needs = [Need(step=self.playbook.steps[index - 1].id)]
        else:
            needs = []
        stated = {need.step for need in needs}
        return needs + [Need(step=r) for r in sorted(references - stated)]

    def _check_cycles(self, needs: Mapping[str, list[Need]]) -> None:
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_edges_from((need.step, step) for step, found in needs.items() for need in found)
        try:
            cycle = [before for before, _ in nx.find_cycle(graph)]
        except nx.NetworkXNoCycle:
            return
        first = next(step for step in self.playbook.steps if step.id in cycle)
        text = " → ".join([*cycle, cycle[0]])
        problem = step_problem(first, "needs", f"steps need one another in a circle: {text} (read: before)")
        raise InputError(_in_order([*self.problems, problem]))

    def _nodes(self) -> list[Node]:
        if self.inventory is None:
            return []
        nodes: list[Node] = []
        for step in self.playbook.steps:
            try:
                hosts = list(self.inventory.select(step.hosts))
            except InputError as error:
                self.problems += [step_problem(step, "hosts", p.message, p.hint) for p in error.problems]
                continue
            if not hosts:
                self.problems.append(step_problem(step, "hosts", f"the pattern {step.hosts!r} matches no host"))
            for host in self._once(step, hosts):
                self.hosts[host.name] = host
                nodes.append(Node(id=f"{step.id}@{host.name}", step=step.id, host=host.name))
        return nodes

    def _once(self, step: Step, hosts: list[Host]) -> list[Host]:
        if step.run_once is True:
            return hosts[:1]
        if step.run_once is False:
            return hosts
        chosen: dict[str, Host] = {}
        for host in hosts:
            found = values_of(step, host, step.run_once, self.renderer)
            if found is None:
                self.problems.append(_missing(step, "run_once", step.run_once, [host.name]))
            for value in found or ():
                chosen.setdefault(value, host)
        return list(dict.fromkeys(chosen.values()))

    def _values(self, step: Step, node: Node, variable: str) -> tuple[str, ...] | None:
        key = (step.id, node.host, variable)
        if key not in self.values:
            self.values[key] = values_of(step, self.hosts[node.host], variable, self.renderer)
        return self.values[key]

    def _check_scopes(self, nodes: list[Node], steps: Mapping[str, Step]) -> None:
        """`per` and `rollback_scope` name variables that every node of the step must have."""
        missing: dict[tuple[str, str, str], list[str]] = {}
        for node in nodes:
            step = steps[node.step]
            if node.host == LOCALHOST or step.run_once:
                continue
            for key, variable in _variables_by_which(step):
                if self._values(step, node, variable) is None:
                    missing.setdefault((step.id, key, variable), []).append(node.host)
        for (step_id, key, variable), names in missing.items():
            self.problems.append(_missing(steps[step_id], key, variable, names))

    def _facts(self, name: str) -> TaskFacts:
        task = self.tasks.get(name)
        assert task is not None
        return TaskFacts(
            digest=task.digest, idempotent=task.idempotent, reversible=task.reversible, has_plan=task.has_plan
        )


def _variables_by_which(step: Step) -> list[tuple[str, str]]:
    found = [("per", step.per)] if step.per not in {PER_ALL, PER_HOST} else []
    found += [("needs", n.per) for n in step.needs or () if n.per not in {None, PER_ALL, PER_HOST}]
    if step.rollback_scope not in {SCOPE_RUN, SCOPE_HOST}:
        found.append(("rollback_scope", step.rollback_scope))
    return found


def _missing(step: Step, key: str, variable: str, names: list[str]) -> Problem:
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return step_problem(
        step,
        key,
        f"no variable {variable!r} for {shown}",
        f"set it in the inventory or in the step's vars, or change {key}",
    )


def _in_order(problems: list[Problem]) -> list[Problem]:
    unique = list(dict.fromkeys(problems))
    return sorted(
        unique, key=lambda p: (p.position.file, p.position.line, p.position.column) if p.position else ("", 0, 0)
    )


def _fingerprint(plan: Mapping[str, Any]) -> str:
    decisive = {key: value for key, value in plan.items() if key not in {"now", "inventory", "fingerprint"}}
    decisive["playbook"] = {key: value for key, value in plan["playbook"].items() if key != "path"}
    text = json.dumps(decisive, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
