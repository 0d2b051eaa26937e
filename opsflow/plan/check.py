"""What can be said of parameters before anything is touched."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from opsflow.errors import Problem, TemplateError
from opsflow.model import Host, OnUnknown, Part, Playbook, Step, Turn, conditions
from opsflow.params import LocalFiles
from opsflow.plan.model import Node
from opsflow.plan.values import Sight, has_template, varied
from opsflow.ports import Renderer, Task, Tasks
from opsflow.tomlfile import did_you_mean

_OF_STEPS = frozenset(field.name for field in fields(Step)) - {"source", "positions", "params", "vars"}
_OF_ANSIBLE = {"pause": "approve", "service": "start_server", "shell": "command", "systemd": "start_server"}
_REQUIRED = re.compile(r"`(\w+)` is required")


def step_problem(step: Step | Part, key: str, message: str, hint: str = "") -> Problem:
    """A problem at a key of a step or an included playbook, or at the nearest place above it that has a position."""
    position = step.source
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        found = step.positions.get(".".join(parts[:length]))
        if found:
            position = found
            break
    return Problem(message=f"step {step.id!r}: {message}", position=position, hint=hint)


def _like(name: str, known: Sequence[str]) -> str:
    """What is meant by the name of a task that there is not: one that is spelled nearly so, or Ansible's name of it."""
    last = name.rpartition(".")[2]
    return did_you_mean(_OF_ANSIBLE.get(last, last), known) if last else ""


def _gate_problems(step: Step) -> list[Problem]:
    """What does not go with a step that waits for an approval."""
    found = []
    if step.at_end:
        hint = "what runs at the end hangs on nobody's word: put the question before it, or take it out"
        found.append(step_problem(step, "finally", f"the task {step.task!r} waits for an approval", hint))
    for key in ("retry", "timeout", "revert_timeout", "become", "at_once", "irreversible", "on_unknown", "on"):
        if key in step.positions:
            message = f"`{key}` says nothing of the task {step.task!r}, which only waits for an approval"
            found.append(step_problem(step, key, message, "take it out"))
    return found


class ParameterCheck:
    """Renders and checks the parameters of all nodes, as far as they do not hang on outputs of other steps."""

    def __init__(
        self,
        playbook: Playbook,
        tasks: Tasks,
        renderer: Renderer,
        sight: Sight,
        seen: Mapping[str, Mapping[str, Any]],
        deciders: Mapping[str, Collection[str]],
    ) -> None:
        self._playbook = playbook
        self._steps = {step.id: step for step in playbook.steps}
        self._tasks = tasks
        self._renderer = renderer
        self._sight = sight
        self._seen = seen  # by step, the variables that its templates may see
        self._deciders = deciders  # by step, those before it whose condition decides over it
        self._local = LocalFiles()
        self.files: dict[str, str] = {}
        self._named: dict[str, dict[str, None]] = {}

    @property
    def local_files(self) -> dict[str, tuple[str, ...]]:
        """For each step the local files that its parameters name, as far as they are known."""
        return {step: tuple(paths) for step, paths in self._named.items()}

    def problems(self, nodes: Sequence[Node], hosts: Mapping[str, Host]) -> list[Problem]:
        """All that is wrong; what is wrong on many hosts is said once."""
        found: list[Problem] = []
        of_step: dict[str, list[Node]] = {}
        for node in nodes:
            of_step.setdefault(node.step, []).append(node)
        for step in self._playbook.steps:
            task = self._tasks.get(step.task)
            if task is None:
                hint = _like(step.task, self._tasks.names()) or "`opsflow task list` shows what there is"
                found.append(step_problem(step, "task", f"there is no task {step.task!r}", hint))
                continue
            said = task.idempotent or step.params.get("idempotent") is True
            if step.on_unknown is OnUnknown.RERUN and not said:
                hint = 'use on_unknown = "ask" or "revert"'
                found.append(
                    step_problem(step, "on_unknown", f"the task {step.task!r} does not say that it is idempotent", hint)
                )
            if step.retry.revert_between and not task.reversible:
                why = f"a failed attempt of the task {step.task!r} cannot be reverted"
                found.append(step_problem(step, "retry.revert_between", why, "take it out, or use another task"))
            found += _gate_problems(step) if task.gate else []
            judged = [node for node in of_step.get(step.id, ()) if not self._decided(node, of_step, hosts)]
            found += self._step_problems(step, task, judged, hosts)
        return found

    def _decided(self, node: Node, of_step: Mapping[str, Sequence[Node]], hosts: Mapping[str, Host]) -> bool:
        """Whether a node is certainly skipped with another one, so that its parameters do not matter."""
        for name in self._deciders.get(node.step, ()):
            nodes = of_step.get(name, ())
            step = self._steps[name]
            own = [other for other in nodes if other.host == node.host] or nodes
            if own and not any(other.idle or self._runs(step, other, hosts[other.host], {}) for other in own):
                return True
        return False

    def _step_problems(self, step: Step, task: Task, nodes: Sequence[Node], hosts: Mapping[str, Host]) -> list[Problem]:
        open_keys = [k for k, v in step.params.items() if self._hangs_on_outputs(step, v)]
        templated = {k for k, v in step.params.items() if has_template(v)}
        found: dict[Problem, None] = {}
        judged = [node for node in nodes if self._runs(step, node, hosts[node.host], found)]
        if not judged or not (templated - set(open_keys) or step.retry.vary):
            # Nothing differs between nodes; without one templates cannot be rendered.
            return [*found, *self._task_problems(step, task, step.params, ignore=sorted(templated))]
        for node in judged:
            found |= dict.fromkeys(self._node_problems(step, task, node, hosts[node.host], open_keys))
        return list(found)

    def _runs(self, step: Step, node: Node, host: Host, found: dict[Problem, None]) -> bool:
        """Whether the step's parameters matter at a node: its condition is true, or not known yet."""
        if node.idle:
            return False
        if step.when is None:
            return True
        try:
            variables, facts = self._sight.of(step, host, node)
            if not self._is_included(step, variables, facts, found):
                return False
            if self._renderer.expression_references(step.when, self._seen[step.id]):
                return True
            return self._open(step) or self._renderer.condition(step.when, variables, facts)
        except TemplateError as error:
            found.setdefault(step_problem(step, "when", error.message, error.hint))
            return False

    def _open(self, step: Step) -> bool:
        """Whether a condition of what includes the step hangs on outputs."""
        return any(self._renderer.expression_references(*said) for said in conditions(self._seen[step.id]))

    def _is_included(
        self, step: Step, variables: Mapping[str, Any], facts: Mapping[str, Any], found: dict[Problem, None]
    ) -> bool:
        """Whether the conditions of what includes the step are true, or not known yet."""
        try:
            return self._open(step) or self._renderer.condition("true", variables, facts)
        except TemplateError as error:
            entry = next(part for part in self._playbook.parts_of(step) if part.when is not None)
            found.setdefault(step_problem(entry, "when", error.message, error.hint))
            return False

    def _node_problems(self, step: Step, task: Task, node: Node, host: Host, open_keys: list[str]) -> list[Problem]:
        variables, facts = self._sight.of(step, host, node)
        try:
            turns = self._turns(step, variables, facts)
        except (TemplateError, ValueError) as error:
            return [step_problem(step, "retry.vary", str(error), getattr(error, "hint", ""))]
        return [
            problem for turn in turns for problem in self._turn_problems(step, task, variables, facts | turn, open_keys)
        ]

    def _turns(self, step: Step, variables: Mapping[str, Any], facts: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What each attempt gets of `retry.vary`, as far as that does not hang on outputs."""
        known = {n: v for n, v in varied(step, self._sight.extra).items() if not self._hangs_on_outputs(step, v)}
        if not known:
            return [{}]
        lists = self._renderer.render(known, variables, facts)
        first = Turn.at(0, lists)
        return [dict(Turn.at(place, lists).values) for place in range(min(first.of, step.retry.attempts or first.of))]

    def _turn_problems(
        self, step: Step, task: Task, variables: Mapping[str, Any], facts: Mapping[str, Any], open_keys: list[str]
    ) -> list[Problem]:
        rendered: dict[str, Any] = {}
        problems, ignore = [], list(open_keys)
        for key, value in step.params.items():
            if key in open_keys:
                rendered[key] = value
                continue
            try:
                rendered[key] = self._renderer.render(value, variables, facts)
            except TemplateError as error:
                problems.append(step_problem(step, f"with.{key}", error.message, error.hint))
                rendered[key] = value
                ignore.append(key)
        return problems + self._task_problems(step, task, rendered, ignore)

    def _task_problems(self, step: Step, task: Task, params: Mapping[str, Any], ignore: Sequence[str]) -> list[Problem]:
        known = {key: value for key, value in params.items() if key not in ignore}
        for path in task.local_paths(known, self._playbook.directory):
            self._named.setdefault(step.id, {})[path] = None
            if path not in self.files:
                self.files[path] = self._local.digest(path)
        return [
            step_problem(step, ".".join(["with", *map(str, path)]), message, _belongs(step, path))
            for path, message in task.check(params, ignore=ignore)
            if not _beside(step, message)
        ]

    def _hangs_on_outputs(self, step: Step, value: Any) -> bool:
        try:
            return bool(self._renderer.references(value, self._seen[step.id]))
        except TemplateError:
            return True  # reported where references are collected


def _belongs(step: Step, path: Sequence[str | int]) -> str:
    """What to do about a wrong key below `with` that is one of a step."""
    if len(path) != 1 or path[0] not in _OF_STEPS:
        return ""
    above = "move it above [step.with]" if f"with.{path[0]}" in step.positions else "take it out of `with`"
    return f"`{path[0]}` belongs to the step: {above}"


def _beside(step: Step, message: str) -> bool:
    """Whether what is required stands in the step itself, where it has been told to be unknown."""
    missing = _REQUIRED.fullmatch(message)
    return missing is not None and missing[1] in step.positions
