"""What is different between two plans, in the words of the files that they were made from."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from opsflow.errors import Difference
from opsflow.plan.fingerprint import decisive
from opsflow.plan.model import Plan

_MASK = "***"
_SECRET_KEY = re.compile(r"pass(?:word|wd|phrase)|secret|token|credential|private_?key|api_?key", re.IGNORECASE)
_SECRET_PART = re.compile(r"(?i)((?:password|passwd|secret|token)=)[^\s\"']+|(://[^/@:\s\"]*:)[^@/\s\"]+(?=@)")
_REFERENCES = frozenset({"become_password", "key_passphrase"})
"""Keys whose value is where a secret is found, not the secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaf:
    """A value at which two plans differ; None where one of them has none."""

    path: tuple[str, ...]
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A plan took the place of the one before in a run. `at`: UTC; `operator`: who accepted the differences."""

    number: int
    at: datetime
    operator: str
    differences: tuple[Difference, ...]


def differences(before: Plan, after: Plan) -> tuple[Difference, ...]:
    """What of `after` is not as in `before`: only what decides what a run does, and each thing once.

    Values whose name sounds like a secret's are masked, as are passwords within URLs.
    """
    if before.fingerprint == after.fingerprint:
        return ()
    before, after = before.live, after.live
    old, new = decisive(before), decisive(after)
    found = [
        *_of_playbook(old, new),
        *_of_parts(old, new, after),
        *_of_steps(old, new, after),
        *_of_hosts(old, new),
        *_of_keys("task", old["tasks"], new["tasks"]),
        *_of_files(old["files"], new["files"]),
        *_of_keys("group", old["groups"], new["groups"]),
        *_of_nodes(before, after),
        *_of_placed(old, new),
    ]
    return tuple(_together(found))


def _of_playbook(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for key in ("name", "flow"):
        yield from (_changed("playbook", (), key, leaf) for leaf in _leaves(old[key], new[key]))
    # Which units are in which batch follows from hosts and variables, of which each is told.
    before, after = ({k: v for k, v in each.get("rollout", {}).items() if k != "units"} for each in (old, new))
    for leaf in _leaves(before, after):
        yield _changed("playbook", (), f"rollout.{leaf.path[0]}", leaf)
    for section in ("vars", "inputs", "extra"):
        said = {"vars": "of the playbook", "inputs": "default of the input", "extra": "given with -e"}[section]
        for leaf in _leaves(old[section], new[section]):
            name, *rest = leaf.path
            yield _changed("variable", (name,), ".".join(rest) or said, leaf)


def _of_parts(old: Mapping[str, Any], new: Mapping[str, Any], plan: Plan) -> Iterator[Difference]:
    """Included playbooks that are in both: the steps of the others come and go."""
    for name in (name for name in old["parts"] if name in new["parts"]):
        for leaf in _leaves(old["parts"][name], new["parts"][name]):
            # What it is given is written as the `vars` of the entry that includes it.
            path = ("vars", *leaf.path[1:]) if leaf.path[0] == "given" else leaf.path
            part = plan.playbook.part(name)
            position = part.positions.get(".".join(path[:2]), part.source)
            yield replace(_changed("include", (name,), ".".join(leaf.path), leaf), position=position)


def _of_steps(old: Mapping[str, Any], new: Mapping[str, Any], plan: Plan) -> Iterator[Difference]:
    yield from _added_and_removed(
        "step", old["steps"], new["steps"], {step.id: step.source for step in plan.playbook.steps}
    )
    for step in (step for step in old["steps"] if step in new["steps"]):
        for leaf in _leaves(old["steps"][step], new["steps"][step]):
            path = ("with", *leaf.path[1:]) if leaf.path[0] == "params" else leaf.path
            positions = plan.steps[step].positions
            places = (".".join(path[:length]) for length in range(len(path), 0, -1))
            position = next((positions[place] for place in places if place in positions), plan.steps[step].source)
            yield replace(_changed("step", (step,), ".".join(path), leaf), position=position)
    was, now = (
        [step for step in each["order"] if step in old["steps"] and step in new["steps"]] for each in (old, new)
    )
    if was != now and old["flow"] == new["flow"]:
        turned = {step for step, other in zip(was, now, strict=True) if step != other}
        before, after = (_text([step for step in each if step in turned]) for each in (was, now))
        yield Difference(
            what="playbook", names=(), change="changed", key="order of its steps", before=before, after=after
        )


def _of_hosts(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    yield from _added_and_removed("host", old["hosts"], new["hosts"])
    for host, before in old["hosts"].items():
        if host in new["hosts"]:
            for leaf in _leaves(before, new["hosts"][host]):
                section, *rest = leaf.path
                key = f"variable {'.'.join(rest)}" if section == "vars" else ".".join(rest)
                yield _changed("host", (host,), key, leaf)


def _of_keys(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    yield from _added_and_removed(what, old, new)
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            yield Difference(what=what, names=(name,), change="changed")


def _of_files(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    """What is no longer named by a parameter has not changed, and is told there; an empty digest: it is not there."""
    for path in sorted(old.keys() & new.keys()):
        if old[path] != new[path]:
            change = "changed" if old[path] and new[path] else "added" if new[path] else "removed"
            yield Difference(what="file", names=(path,), change=change)


def _of_nodes(before: Plan, after: Plan) -> Iterator[Difference]:
    """Nodes of steps that are in both: the others come and go with their steps."""
    common = before.steps.keys() & after.steps.keys()
    for plan, other, change in ((after, before, "added"), (before, after, "removed")):
        of_step: dict[str, list[str]] = {}
        for node in plan.nodes:
            if node.id not in other.by_id and node.step in common:
                of_step.setdefault(node.step, []).append(node.id)
        for nodes in of_step.values():
            yield Difference(what="node", names=tuple(nodes), change=change)


def _of_placed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Other items of one key, and other hosts to work on, where that is not told of the steps as written."""
    for node in (node for node in old["placed"] if node in new["placed"]):
        before, after = (_written(plan, node) for plan in (old, new))
        for leaf in _leaves(old["placed"][node], new["placed"][node]) if before == after else ():
            yield _changed("node", (node,), ".".join(leaf.path), leaf)


def _written(plan: Mapping[str, Any], node: str) -> list[Any]:
    step = plan["steps"][node.partition("[")[0].partition("@")[0]]
    return [step["foreach"], step["on"]]


def _added_and_removed(
    what: str, old: Mapping[str, Any], new: Mapping[str, Any], positions: Mapping[str, Any] | None = None
) -> Iterator[Difference]:
    for name in old:
        if name not in new:
            yield Difference(what=what, names=(name,), change="removed")
    for name in new:
        if name not in old:
            yield Difference(what=what, names=(name,), change="added", position=(positions or {}).get(name))


def _changed(what: str, names: tuple[str, ...], key: str, leaf: _Leaf) -> Difference:
    change = "added" if leaf.before is None else "removed" if leaf.after is None else "changed"
    before, after = (_shown(leaf.path, value) for value in (leaf.before, leaf.after))
    return Difference(what=what, names=names, change=change, key=key, before=before, after=after)


def _leaves(old: Any, new: Any, path: tuple[str, ...] = ()) -> Iterator[_Leaf]:
    """Where two trees of tables differ; lists are compared as a whole."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _leaves(old.get(key), new.get(key), (*path, key))
    elif _text(old) != _text(new):  # as JSON, for which true is not 1
        yield _Leaf(path=path, before=old, after=new)


def _together(found: Iterable[Difference]) -> Iterator[Difference]:
    """What is said of several hosts is said once."""
    names: dict[Difference, list[str]] = {}
    for difference in found:
        one = replace(difference, names=()) if difference.what == "host" else difference
        names.setdefault(one, []).extend(difference.names if difference.what == "host" else ())
    for one, collected in names.items():
        yield replace(one, names=tuple(collected)) if collected else one


def _shown(path: tuple[str, ...], value: Any) -> str:
    if value is None:
        return ""
    secret = any(_SECRET_KEY.search(part) for part in path) and path[-1] not in _REFERENCES
    if secret and "secret(" not in _text(value):
        return _MASK
    return _SECRET_PART.sub(lambda match: f"{match[1] or match[2]}{_MASK}", _text(_masked(value)))


def _masked(value: Any) -> Any:
    """A value without what lies in it under names that sound like a secret's."""
    if isinstance(value, Mapping):
        return {
            k: _MASK if _SECRET_KEY.search(k) and "secret(" not in _text(v) else _masked(v) for k, v in value.items()
        }
    return [_masked(item) for item in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
