"""What becomes of the nodes of a run that goes on with another plan."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from opsflow.plan.fingerprint import decisive, within
from opsflow.plan.model import Plan

_WORD = re.compile(r"[A-Za-z_]\w*")
_OF_THE_STEP = frozenset({"hosts", "needs", "tags", "foreach"})
"""Keys of a step that say which nodes it has and what these wait for, not what they do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChanges:
    """Nodes, in the order of their plans.

    Attributes:
        added: Those that come.
        removed: Those that go.
        differing: Those that are in both plans and do something else, or in another way.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    differing: tuple[str, ...]


def node_changes(old: Plan, new: Plan) -> NodeChanges:
    """Compare the nodes of two plans. What is retired in `old` comes, if it is in `new`."""
    before, after = dict(_definitions(old.live)), dict(_definitions(new.live))
    return NodeChanges(
        added=tuple(node for node in after if node not in before),
        removed=tuple(node for node in before if node not in after),
        differing=tuple(node for node in after if node in before and before[node] != after[node]),
    )


def _definitions(plan: Plan) -> Iterator[tuple[str, str]]:
    """Each node with all that it is made of: its step, task and connection, and the variables and files of these."""
    found = decisive(plan)
    files = {
        step: [found["files"].get(within(plan.playbook.directory, path)) for path in paths]
        for step, paths in plan.local_files.items()
    }
    steps = {id_: {k: v for k, v in step.items() if k not in _OF_THE_STEP} for id_, step in found["steps"].items()}
    texts = {id_: _text(step) for id_, step in steps.items()}
    for node in plan.nodes:
        host, step = found["hosts"][node.host], steps[node.step]
        variables = _variables(found, step["part"], host["vars"])
        seen = _seen(texts[node.step], variables)
        task = found["tasks"][step["task"]]
        connection, placed = found["hosts"][node.at]["connection"], found["placed"].get(node.id)
        only = list(_conditions(found, step["part"], host["vars"]))
        yield node.id, _text([step, task, connection, files.get(node.step), seen, placed, only])


def _variables(found: Mapping[str, Any], part: str, of_host: Mapping[str, Any]) -> dict[str, Any]:
    """What a step sees beside its own; with what an included playbook was given all that this may mean."""
    if not part:
        return {**found["inputs"], **of_host, **found["vars"], **found["extra"]}
    own = found["parts"][part]
    outer = _variables(found, part.rpartition("/")[0], of_host)
    given = {name: [value, _seen(_text(value), outer)] for name, value in own["given"].items()}
    return {**own["inputs"], **of_host, **own["vars"], **found["extra"], **given}


def _conditions(found: Mapping[str, Any], part: str, of_host: Mapping[str, Any]) -> Iterator[Any]:
    """Those of the entries that include a playbook, with all that they may mean."""
    while part:
        said, part = found["parts"][part]["when"], part.rpartition("/")[0]
        if said is not None:
            yield [said, _seen(said, _variables(found, part, of_host))]


def _seen(text: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables that a text may mean, and those that these may: all whose names are words of it."""
    seen: dict[str, Any] = {}
    waiting = [text]
    while waiting:
        for word in _words(waiting.pop()):
            if word in variables and word not in seen:
                seen[word] = variables[word]
                waiting.append(_text(variables[word]))
    return seen


@lru_cache(4096)
def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
