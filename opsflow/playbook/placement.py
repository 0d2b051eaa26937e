"""TOML gives every line to the last header above it. What that does to a key, and where the key belongs."""

from collections.abc import Iterator, Mapping
from typing import Any

from opsflow.errors import Problem
from opsflow.playbook.schema import PlaybookFile, StepTable
from opsflow.tomlfile import KeyPath, TomlFile

_TOP = PlaybookFile.known_keys().keys() | PlaybookFile.later
_STEP = StepTable.known_keys().keys() | StepTable.later

_STEPS = frozenset({"handlers", "jobs", "post_tasks", "pre_tasks", "roles", "stages", "steps", "task", "tasks"})
"""What other tools call a list of steps."""

_ELSEWHERE = {
    "args": "parameters of the task stand in `with`",
    "become_user": 'write become = "USER"',
    "changed_when": "the task says what it changed; of a command that changes nothing, with = { changes = false }",
    "command": 'write task = "command" and with = { run = "..." }',
    "delegate_to": "write `on`",
    "depends_on": "write `needs`",
    "forks": "write `at_once`, or say --forks",
    "hosts_pattern": "write `hosts`",
    "ignore_errors": 'write on_failure = "continue"',
    "if": "write `when`",
    "loop": "write `foreach`",
    "max_attempts": "write retry = { attempts = N }",
    "module": "write `task`",
    "name": "write `id`, and what is for people into `notes`",
    "notify": 'let a later step say when = "steps.ID.changed"',
    "on_error": "write `on_failure`",
    "params": "write `with`",
    "provides": "outputs need not be named: outputs.ID.KEY",
    "register": "outputs are kept without that: outputs.ID.KEY",
    "requires": "write `needs`",
    "retries": "write retry = { attempts = N }",
    "run": 'write with = { run = "..." }',
    "serial": "write `at_once`, or a [rollout] of the playbook",
    "shell": 'write task = "command" and with = { run = "..." }',
    "throttle": "write `at_once`",
    "until": "write retry = { attempts = N }; the task itself says whether it has failed",
    "with_items": "write `foreach`",
}
"""Keys of steps as other tools call them."""


def advice(file: TomlFile, path: KeyPath) -> str:
    """Where a key that is unknown, missing or of the wrong type should have been; empty if its place is right."""
    match path:
        case (str(key),) if key in _STEPS and key not in _TOP:
            return "write [[step]]"
        case ("step",):
            return "write [[step]]" if "step" in file.data else "add a [[step]] with `id`, `task` and `hosts`"
        case ("step", int(), *_):
            return _in_step(file, path)
        case (str(key),) if key in _STEP - _TOP:
            table = isinstance(file.data[key], dict)
            return (
                f"write [step.{key}] below its [[step]]" if table else "move it below the [[step]] that it belongs to"
            )
        case ("defaults" | "inputs" as table, str(key)) if key in _TOP:
            return f"it belongs to the playbook: move it above [{table}]"
    return ""


def _in_step(file: TomlFile, path: KeyPath) -> str:
    match path[2:]:
        case (str(key),) if key in _ELSEWHERE and key not in _STEP:
            return _ELSEWHERE[key]
        case ("id",):
            return _below(file, path) or 'each step has a name of its own, such as id = "stop"'
        case (str(key),) if key in _STEP:
            pattern = 'write one pattern, like "game" or "db-1,db-2"' if key == "hosts" else ""
            return _below(file, path) or pattern
        case (str(key),) if key in _TOP:
            return "it belongs to the playbook: move it above the first [[step]]"
        case (str(table), str(key)) if key in _STEP:
            return f"it belongs to the step: move it above [step.{table}]"
    return ""


def misplaced_variables(file: TomlFile) -> Iterator[Problem]:
    """Variables that bear the name of a key which is missing further up: `flow` below `[vars]`."""
    yield from _swallowed(file, file.data, (), _TOP, "[vars]")
    steps = file.data.get("step")
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        if isinstance(step, dict):
            yield from _swallowed(file, step, ("step", index), _STEP, "[step.vars]")


def _swallowed(
    file: TomlFile, table: Mapping[str, Any], path: KeyPath, keys: frozenset[str] | set[str], header: str
) -> Iterator[Problem]:
    where = (*path, "vars")
    variables = table.get("vars")
    # In an inline table the name was surely meant as a variable's.
    if isinstance(variables, dict) and file.has_header(where):
        for key in variables:
            if key in keys and key not in table:
                yield file.problem((*where, key), f"`{key}` stands below {header}", f"move it above {header}")


def _below(file: TomlFile, path: KeyPath) -> str:
    """Whether a key that a step lacks stands below one of its tables."""
    *_, index, key = path
    step = file.data["step"][index]
    for table, content in step.items():
        if key not in step and isinstance(content, dict) and key in content:
            return f"it stands below [step.{table}]: move it above"
    return ""
