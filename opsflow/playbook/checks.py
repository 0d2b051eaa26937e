"""What pydantic cannot see: whether the parts of a playbook fit together."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from opsflow.errors import Problem
from opsflow.model import RESERVED_NAMES
from opsflow.playbook.inputs import misfit
from opsflow.tomlfile import KeyPath, TomlFile, did_you_mean

_OF_ROLLBACKS = frozenset({"on_failure", "rollback_scope", "irreversible", "on_unknown"})
OF_INCLUDES = frozenset({"id", "include", "hosts", "when", "vars", "needs", "per", "tags", "notes"})
"""Keys of an entry that includes a playbook."""

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def consistency(file: TomlFile) -> Iterator[Problem]:
    """Problems between keys. The data may be of any shape: what has the wrong type is reported elsewhere."""
    steps = _tables(file.data.get("step"))
    yield from _ids(file, steps)
    yield from _needs(file, steps)
    yield from _at_end(file, steps)
    yield from _depths(file, steps)
    yield from _includes(file, steps)
    yield from _inputs(file)
    yield from _reserved(file, ("inputs",), file.data.get("inputs"))
    yield from _reserved(file, ("vars",), file.data.get("vars"))
    for path, step in {**steps, ("defaults",): file.data.get("defaults")}.items():
        if isinstance(step, dict):
            yield from _reserved(file, (*path, "vars"), step.get("vars"))
            retry = step.get("retry")
            yield from _reserved(file, (*path, "retry", "vary"), retry.get("vary") if isinstance(retry, dict) else None)


def _tables(value: Any) -> dict[KeyPath, Mapping[str, Any]]:
    entries = enumerate(value) if isinstance(value, list) else ()
    return {("step", index): step for index, step in entries if isinstance(step, dict)}


def _ids(file: TomlFile, steps: Mapping[KeyPath, Mapping[str, Any]]) -> Iterator[Problem]:
    lines: dict[str, int] = {}
    for path, step in steps.items():
        where = (*path, "id")
        match step.get("id"):
            case str(taken) if taken in lines:
                hint = "each step has a name of its own"
                yield file.problem(where, f"`{taken}` is already the id of the step in line {lines[taken]}", hint)
            case str(name) if name:
                lines[name] = file.position(where).line
                if not _ID.fullmatch(name):
                    yield file.problem(
                        where,
                        f"`{name}` cannot be a step's id",
                        "letters, digits, `_`, and after the first character `.` and `-`",
                    )


def _needs(file: TomlFile, steps: Mapping[KeyPath, Mapping[str, Any]]) -> Iterator[Problem]:
    ids = [step["id"] for step in steps.values() if isinstance(step.get("id"), str)]
    for path, step in steps.items():
        needs = step.get("needs")
        for index, need in enumerate(needs if isinstance(needs, list) else ()):
            where: KeyPath = (*path, "needs", index)
            if isinstance(need, dict):
                where, need = (*where, "step"), need.get("step")  # noqa: PLW2901 - a table's `step` is what it names
            if not isinstance(need, str) or not need:
                continue
            if need == step.get("id"):
                yield file.problem(where, f"step `{need}` needs itself", "take it out")
            elif need not in ids and not _may_be_inside(need, steps):
                hint = did_you_mean(need, ids) or f"steps are: {', '.join(ids)}"
                yield file.problem(where, f"there is no step `{need}`", hint)


def _may_be_inside(need: str, steps: Mapping[KeyPath, Mapping[str, Any]]) -> bool:
    """Whether it may be the id of a step of an included playbook: that is seen where that is read."""
    entry, _, inner = need.partition("/")
    return bool(inner) and any(step.get("id") == entry and "include" in step for step in steps.values())


def _at_end(file: TomlFile, steps: Mapping[KeyPath, Mapping[str, Any]]) -> Iterator[Problem]:
    for path, step in steps.items():
        if step.get("finally") is not True:
            continue
        for key in _OF_ROLLBACKS & step.keys():
            if key != "on_unknown" or step[key] == "revert":
                yield file.problem(
                    (*path, key),
                    f"`{key}` does not go with `finally`: a step that runs at the end is not rolled back",
                    "take it out; if the step fails, the others at the end go on and the run has failed",
                )


def _depths(file: TomlFile, steps: Mapping[KeyPath, Mapping[str, Any]]) -> Iterator[Problem]:
    for path, step in steps.items():
        if "skip_depth" in step and "when" not in step:
            where = (*path, "skip_depth")
            yield file.problem(where, "`skip_depth` says nothing without `when`", "add a `when`, or take it out")


def _includes(file: TomlFile, steps: Mapping[KeyPath, Mapping[str, Any]]) -> Iterator[Problem]:
    for path, step in steps.items():
        if "include" in step and step.get("id") == "batch":
            yield file.problem(
                (*path, "id"), "`batch` cannot be the id of what is included", "approvals of batches have it"
            )
        for key in step.keys() - OF_INCLUDES if "include" in step else ():
            hint = f"with `include` go {', '.join(sorted(OF_INCLUDES - {'include'}))}; the rest its own steps say"
            yield file.problem((*path, key), f"`{key}` does not go with `include`", hint)


def _inputs(file: TomlFile) -> Iterator[Problem]:
    inputs = file.data.get("inputs")
    for name, spec in inputs.items() if isinstance(inputs, dict) else ():
        if not isinstance(spec, dict) or "default" not in spec:
            continue
        where = ("inputs", name, "default")
        if spec.get("required") is True:
            yield file.problem(where, f"input `{name}` is required: its default would never be used", "take one out")
        elif wrong := misfit(spec["default"], spec.get("type", "string")):
            yield file.problem(where, f"default of input `{name}` {wrong}", "change the default, or the type")


def _reserved(file: TomlFile, path: KeyPath, names: Any) -> Iterator[Problem]:
    for name in names if isinstance(names, dict) else ():
        if name in RESERVED_NAMES:
            yield file.problem(
                (*path, name), f"`{name}` cannot be a variable's name", "templates see something else there"
            )
