"""The JSON Schema of playbooks, with the parameters of the tasks that there are."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from opsflow.playbook.schema import ON_CONTROLLER, PlaybookFile
from opsflow.ports import Task, Tasks
from opsflow.tomlfile.jsonschema import file_schema

_TEMPLATE = {"type": "string", "pattern": r"\{\{"}
"""What may stand for any value."""

_COMMON = {
    "timeout": 'Of one attempt, such as "10m"; what has not ended then is killed on its host.',
    "retry": "How often an attempt is made, and what differs between two.",
    "per": "For whom a need is waited: `all`, `host`, `item`, or a variable whose value both have.",
    "on_failure": "`rollback` puts back what was changed, `halt` leaves it, `continue` goes on.",
    "rollback_scope": "What is put back together: the `run`, the `host`, or what has the same value of a variable.",
    "on_unknown": "If nobody can tell what became of an attempt: `ask` a person, `rerun` it, or `revert` it.",
    "become": "true: as root; or the name of a user.",
}
_TOLD: Mapping[str, Mapping[str, str]] = {
    "PlaybookFile": {
        "name": "Of the procedure; else that of the file.",
        "description": "For those who read it.",
        "flow": "What a step needs that does not say: the one before it (`linear`), nothing (`graph`, `unordered`).",
        "inputs": "What the caller gives, with -e.",
        "vars": "Variables of every step.",
        "defaults": "What steps do not say themselves.",
        "rollout": "In batches: some hosts first, and the next only when they are through.",
        "step": "The procedure.",
    },
    "InputTable": {
        "type": "What is taken.",
        "required": "It has no default.",
        "default": "If the caller does not give it.",
        "description": "For the caller.",
    },
    "Common": _COMMON,
    "RetryTable": {
        "attempts": "How many; of `vary` as many as there are values, if nothing is said.",
        "delay": 'Before the second, such as "2s".',
        "backoff": "By what the delay grows each time.",
        "max_delay": "The longest.",
        "vary": "Variables of which each attempt gets the next value.",
        "revert_between": "A failed attempt is reverted before the next.",
    },
    "NeedTable": {
        "step": "Its id.",
        "per": "For whom it is waited: `all`, `host`, `item`, or a variable.",
        "optional": "It may match nothing.",
    },
    "StepTable": _COMMON
    | {
        "id": "Its name.",
        "task": "What does it: `opsflow task list`.",
        "hosts": "Where: a group, a host, a pattern such as `web,!web-3`, or localhost.",
        "with": "Parameters of the task; templates are allowed.",
        "needs": "Steps that have to be through first; []: none.",
        "when": "An expression, without braces; where it is false, the step is skipped.",
        "skip_depth": "Whether a false `when` skips what needs the node, too.",
        "foreach": "A list, or a template of one: the step is done for each `item`.",
        "run_once": "true: on the first host only; a variable: on the first of each of its values.",
        "on": "Another host, on which it is done for the step's hosts.",
        "at_once": "At most so many nodes of the step at a time.",
        "revert_timeout": "Of one attempt to put it back.",
        "irreversible": "Where a rollback comes to it: `stop` there, or `allow` and step over it.",
        "tags": "Names by which a part of the playbook is selected.",
        "vars": "Variables of this step.",
        "notes": "For those who read it.",
        "finally": "It runs at the end, whatever happened.",
        "include": "Another playbook, whose steps take the place of this one.",
    },
    "RolloutTable": {
        "by": "A variable, of which each value is a unit; or `host`.",
        "hosts": "With `host`: which ones.",
        "batches": 'Sizes in units or percent, such as [1, "25%"]; the last repeats.',
        "max_failures": "Units, or percent, that may fail over the whole run.",
        "pause": 'Between batches: a time, or "approve".',
    },
}


def playbook_schema(tasks: Tasks) -> dict[str, Any]:
    """What an editor has to know of a playbook."""
    found = file_schema(PlaybookFile, "opsflow playbook", _TOLD)
    tables = found["$defs"]
    step, need = tables["StepTable"], tables["NeedTable"]
    step["required"] = [key for key in step["required"] if key not in {"hosts", "task"}]
    step["properties"]["task"] |= {"enum": list(tasks.names())}
    step["properties"]["become"] |= {"type": ["boolean", "string"]}
    step["properties"]["foreach"] |= {"anyOf": [{"type": "array"}, _TEMPLATE]}
    step["properties"]["run_once"] |= {"type": ["boolean", "string"]}
    tables["Common"]["properties"]["become"] |= {"type": ["boolean", "string"]}
    step["properties"]["needs"] |= {"type": "array", "items": {"anyOf": [{"type": "string"}, need]}}
    step["anyOf"] = [{"required": ["task"]}, {"required": ["include"]}]
    step["allOf"] = []
    for name in tasks.names():
        task = tasks.get(name)
        assert task is not None
        tables[f"with {name}"], more = _parameters(task)
        tables |= more
        step["allOf"].append(_if_it_is(task, tables[f"with {name}"]))
    return found


def _if_it_is(task: Task, parameters: Mapping[str, Any]) -> dict[str, Any]:
    needed = [*([] if task.name in ON_CONTROLLER else ["hosts"]), *(["with"] if parameters.get("required") else [])]
    then = {"properties": {"with": {"$ref": f"#/$defs/with {task.name}"}}, "required": needed}
    return {"if": {"properties": {"task": {"const": task.name}}, "required": ["task"]}, "then": then}


def _parameters(task: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters of a task, and the tables that they are made of, under names of their own."""
    schema = copy.deepcopy(dict(task.schema()))
    inner = {name: _templated(table) for name, table in schema.pop("$defs", {}).items()}
    found = _templated(schema) | {"description": task.doc}
    renamed = {name: f"{name} of {task.name}" for name in inner}
    _rename([found, *inner.values()], renamed)
    return found, {renamed[name]: table for name, table in inner.items()}


def _templated(table: dict[str, Any]) -> dict[str, Any]:
    """A table each of whose values may be a template."""
    table.pop("title", None)
    for name, value in table.get("properties", {}).items():
        said = {word: value.pop(word) for word in ("description", "default", "examples") if word in value}
        value.pop("title", None)
        table["properties"][name] = said | {"anyOf": [value, _TEMPLATE]}
    return table


def _rename(tables: list[dict[str, Any]], names: Mapping[str, str]) -> None:
    for table in _within(tables):
        reference = str(table.get("$ref", "")).removeprefix("#/$defs/")
        if reference in names:
            table["$ref"] = f"#/$defs/{names[reference]}"


def _within(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _within(inner)
