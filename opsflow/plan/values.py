"""Variables of nodes, and the values by which nodes belong together (`per`, `rollback_scope`, `run_once`)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsflow.errors import TemplateError
from opsflow.model import PART, PER_ITEM, WHEN, Host, Playbook, Step, scoped
from opsflow.plan.model import Node
from opsflow.ports import Renderer


def node_variables(
    playbook: Playbook, step: Step, host: Host, *, inputs: Mapping[str, Any], extra: Mapping[str, Any]
) -> dict[str, Any]:
    """Variables that a node's templates see, templates in them not rendered.

    Weakest first: input defaults, inventory (groups and host, merged there), playbook, step, `-e`; in an included
    playbook its own inputs and variables, and last what its inputs were given.
    """
    return _seen_in(playbook, step.part, host.vars, inputs, extra, step.vars)


def _seen_in(
    playbook: Playbook,
    part: str,
    of_host: Mapping[str, Any],
    inputs: Mapping[str, Any],
    extra: Mapping[str, Any],
    own: Mapping[str, Any],
) -> dict[str, Any]:
    if not part:
        return {**inputs, **of_host, **playbook.vars, **own, **extra}
    found = playbook.part(part)
    outer = _seen_in(playbook, found.part, of_host, inputs, extra, {})
    given = {name: scoped(value, outer) if has_template(value) else value for name, value in found.given.items()}
    only = outer.get(WHEN) if found.when is None else scoped(found.when, outer)
    return {
        **found.inputs,
        **of_host,
        **found.vars,
        **own,
        **extra,
        **given,
        PART: part,
        **({WHEN: only} if only else {}),
    }


def has_template(value: Any) -> bool:
    """Whether a value holds a template anywhere."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return any(has_template(v) for v in value.values())
    return isinstance(value, list | tuple) and any(has_template(v) for v in value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What templates see before the run. `now`: RFC 3339 in UTC."""

    playbook: Playbook
    inputs: Mapping[str, Any]
    extra: Mapping[str, Any]
    now: str

    def of(self, step: Step, host: Host, node: Node | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Variables and facts of a node, or of the step on a host."""
        variables = node_variables(self.playbook, step, host, inputs=self.inputs, extra=self.extra)
        return variables, {"host": host.name, "now": self.now, **(node.facts if node else {})}


def varied(step: Step, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What differs between the attempts of a step: its `retry.vary`, but for what `-e` says."""
    return {name: values for name, values in step.retry.vary.items() if name not in extra}


def plain_text(value: str) -> str:
    """A value that `values_of` gave, as people write it."""
    found = json.loads(value)
    return found if isinstance(found, str) else value


def values_of(step: Step, node: Node, host: Host, variable: str, renderer: Renderer) -> tuple[str, ...] | None:
    """The values of a variable by which a node belongs to others, as JSON text: a list belongs to each of its values.

    Looked for in the step's variables, then the host's; `item` is the node's key. None if there is none.

    Raises:
        TemplateError: it is a template that cannot be rendered.
    """
    if variable == PER_ITEM:
        return None if node.key is None else (json.dumps(node.key),)
    variables = {**host.vars, **step.vars}
    if variable not in variables:
        return None
    try:
        value = renderer.render(variables[variable], variables, {"host": host.name, **node.facts})
    except TemplateError:
        if node.idle:  # it may hang on an item, and there is none
            return None
        raise
    values = value if isinstance(value, list | tuple) else [value]
    if not all(isinstance(v, str | int | float | bool) for v in values):
        raise TemplateError(f"the variable {variable!r} is neither a plain value nor a list of plain values")
    return tuple(json.dumps(v) for v in values)


def together(sets: Iterable[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """By name all those that it is joined with, sorted: names that stand in one set are joined. Union-find."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for names in sets:
        for name in names:
            parent[root(name)] = root(names[0])
    members: dict[str, list[str]] = {}
    for name in list(parent):
        members.setdefault(root(name), []).append(name)
    return {name: tuple(sorted(joined)) for joined in members.values() for name in joined}
