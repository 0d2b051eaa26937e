"""Whether templates read of other steps what these give: as far as the tasks declare it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opsflow.errors import Problem
from opsflow.model import Part, Step
from opsflow.plan.check import step_problem
from opsflow.ports import Key, Keys, References, Task, Tasks
from opsflow.tomlfile import did_you_mean

_STATE: Mapping[str, Any] = {
    "type": "object",
    "properties": {"state": {"type": "string"}, "changed": {"type": "boolean"}},
}
_PLAIN = {"string": "text", "integer": "a number", "number": "a number", "boolean": "true or false", "null": "nothing"}
_SAMPLES: Mapping[str, Any] = {"integer": 1, "number": 1.5, "boolean": True, "null": None, "array": [], "object": {}}
"""A value of each type; texts are left out, since they are converted."""

_ALONE = re.compile(r"\s*\{\{\s*(?P<whole>outputs\.(?P<step>\w+)\.(?P<key>\w+))\s*\}\}\s*")
_TYPE = re.compile(r"`\w+` must be (text|true or false|a whole number|a list|a table)")
_KINDS = {**_PLAIN, "object": "nothing", "array": "a list"}


def output_problems(
    owner: Step | Part, references: Mapping[str, References], steps: Mapping[str, Step], tasks: Tasks
) -> Iterator[Problem]:
    """What a step or an entry reads of others, and these do not give; the same is told once.

    Args:
        owner: The step, or the entry that includes a playbook.
        references: What its templates read, by where they stand, such as `with.run`.
        steps: All steps by id.
        tasks: What steps can do.
    """
    reads: dict[tuple[str, Keys], str] = {}
    for key, mentioned in references.items():
        for name, found in mentioned.items():
            for read in sorted(found, key=str):
                reads.setdefault((name, read), key)
    for (name, (kind, *inner)), key in reads.items():
        needed = steps.get(name)
        task = tasks.get(needed.task) if needed else None
        if needed is None or task is None:
            continue  # told elsewhere
        said = f"a template reads {_written((kind, name, *inner))}"
        if kind == "steps":
            if hint := _fault(_STATE, inner, "there is"):
                yield step_problem(owner, key, f"{said}, which there is not", hint)
        elif (schema := task.outputs()) and (hint := _fault(schema, _of_one(needed, inner), "it gives")):
            yield step_problem(owner, key, f"{said}, which the task {needed.task!r} does not give", hint)


def type_problems(step: Step, steps: Mapping[str, Step], tasks: Tasks) -> Iterator[Problem]:
    """Parameters that are an output as a whole, of a type that they certainly cannot be."""
    task = tasks.get(step.task)
    for key, value in step.params.items() if task else ():
        found = _ALONE.fullmatch(value) if isinstance(value, str) else None
        needed = steps.get(f"{step.part}/{found['step']}" if step.part else found["step"]) if found else None
        giving = tasks.get(needed.task) if needed else None
        schema = giving.outputs() if giving else None
        if task is None or found is None or schema is None:
            continue
        output = schema.get("properties", {}).get(found["key"], {})
        kinds = [str(each.get("type")) for each in _variants(output, schema.get("$defs", {}))]
        others = [name for name in step.params if name != key]
        wrong = [_misfit(task, key, kind, others) for kind in kinds]
        if wrong and all(wrong):
            is_ = " or ".join(dict.fromkeys(_KINDS[kind] for kind in kinds))
            hint = f'`| string` makes a text of it: "{{{{ {found["whole"]} | string }}}}"' if "text" in wrong[0] else ""
            yield step_problem(step, f"with.{key}", f"{wrong[0]}, and {found['whole']} is {is_}", hint)


def _misfit(task: Task, key: str, kind: str, others: Sequence[str]) -> str:
    """What a parameter must be, if no value of a JSON type can be it; empty if one may."""
    if kind not in _SAMPLES:
        return ""
    said = [message for path, message in task.check({key: _SAMPLES[kind]}, ignore=others) if path == (key,)]
    return next((message for message in said if _TYPE.fullmatch(message)), "")


def _of_one(needed: Step, keys: Sequence[Key]) -> Sequence[Key]:
    """The keys within one node's outputs."""
    outer = {"by_host": 2 if needed.foreach is None else 3, "by_item": 2}
    return keys[outer.get(str(keys[0]), 0) :] if keys else keys


def _fault(schema: Mapping[str, Any], keys: Sequence[Key], given: str) -> str:
    """What to do about keys that a value of this schema certainly does not have; empty if it may have them."""
    definitions = schema.get("$defs", {})
    variants = list(_variants(schema, definitions))
    for depth, key in enumerate(keys):
        inner = [found for variant in variants if (found := _inner(variant, key)) is not None]
        if not inner:
            return _what_there_is(variants, str(key), f"`{_written(keys[:depth])}` is" if depth else given)
        variants = [plain for found in inner for plain in _variants(found, definitions)]
    return ""


def _variants(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What a value may be, references followed."""
    if "$ref" in schema:
        yield from _variants(definitions.get(schema["$ref"].rpartition("/")[2], {}), definitions)
    elif "anyOf" in schema:
        for each in schema["anyOf"]:
            yield from _variants(each, definitions)
    else:
        yield schema


def _inner(schema: Mapping[str, Any], key: Key) -> Mapping[str, Any] | None:
    """What a value of that schema has under a key: `{}` is anything, None that there is nothing."""
    kind = schema.get("type")
    if kind == "object":
        more = schema.get("additionalProperties", False)
        if key is None or key in (properties := schema.get("properties", {})):
            return {} if key is None else properties[key]
        return None if more is False else {} if more is True else more
    if kind == "array":
        return None if isinstance(key, str) else schema.get("items", {})
    return None if kind in _PLAIN and isinstance(key, str) else {}


def _what_there_is(variants: Sequence[Mapping[str, Any]], key: str, given: str) -> str:
    names = [name for each in variants for name in each.get("properties", {})]
    if names:
        return did_you_mean(key, names) or f"{given}: {', '.join(names)}"
    return f"{given} {' or '.join(dict.fromkeys(_KINDS[each['type']] for each in variants))}"


def _written(keys: Sequence[Key]) -> str:
    """Keys as templates have them."""
    parts = ("[...]" if key is None else f".{key}" if str(key).isidentifier() else f"[{key!r}]" for key in keys)
    return "".join(parts).removeprefix(".")
