"""What the caller gives: `-e`, and whether it is what the playbook's inputs ask for."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from opsflow.errors import InputError, Problem
from opsflow.model import InputSpec, Playbook
from opsflow.tomlfile import did_you_mean, local_path, parse_value, raise_problems, read

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "table": (dict,),
}


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


_FROM_TEXT: Mapping[str, Callable[[str], Any]] = {
    "integer": int,
    "number": _finite,
    "boolean": {"true": True, "false": False}.__getitem__,
}


def misfit(value: Any, kind: Any) -> str:
    """Why a value is not of an input's type; empty if it is, if it is a template, or if there is no such type."""
    if not isinstance(kind, str) or kind not in _TYPES or (isinstance(value, str) and "{{" in value):
        return ""
    fits = isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
    return "" if fits else f"is not of type {kind}"


def extra_variables(items: Sequence[str], *, option: str = "-e") -> dict[str, Any]:
    """Variables given on the command line; of two with one name the later counts.

    Args:
        items: `NAME=TEXT`, `NAME:=TOML` or `@FILE` (a TOML file) each.
        option: How they are given, for messages.

    Raises:
        InputError: some are none of these; all of them are told.
    """
    variables: dict[str, Any] = {}
    problems: list[Problem] = []
    for item in items:
        try:
            variables |= _extra(item, option)
        except InputError as error:
            problems += error.problems
    raise_problems(problems)
    return variables


def input_values(playbook: Playbook, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the playbook's inputs: as given, else the default. An optional one without a default is left out.

    Text given for an integer, number or boolean is turned into it. What is given beside the inputs is in the result,
    too, as it is: so the strongest variables are the result's values of the names in `given`, and the weakest are all
    others.

    Raises:
        InputError: required ones are missing, or given ones are of the wrong type; all of them are told.
    """
    values = {spec.name: spec.default for spec in playbook.inputs if spec.default is not None} | dict(given)
    problems: list[Problem] = []
    for spec in playbook.inputs:
        if spec.name in given:
            try:
                values[spec.name] = _typed(spec, given[spec.name])
            except ValueError as error:
                problems.append(Problem(message=str(error), position=spec.source, hint=_how_to_give(spec)))
        elif spec.required:
            strangers = set(given) - {other.name for other in playbook.inputs}
            like = did_you_mean(spec.name, strangers).replace("did you mean", "you gave")
            hint = f"{like.rstrip('?')}: write `{spec.name}`" if like else _how_to_give(spec)
            problems.append(Problem(message=f"input `{spec.name}` is required", position=spec.source, hint=hint))
    raise_problems(problems)
    return values


def _extra(item: str, option: str) -> dict[str, Any]:
    if item.startswith("@"):
        file = read(local_path(Path(), item[1:]))
        raise_problems(file.problems())
        return dict(file.data)
    name, equals, text = item.partition("=")
    typed = name.endswith(":")
    name = name.removesuffix(":").strip()
    if not equals or not name:
        raise InputError(f"{option} {item}: not a variable", hint="NAME=TEXT, NAME:=VALUE or @FILE")
    if not typed:
        return {name: text}
    try:
        return {name: parse_value(text)}
    except ValueError as error:
        hint = f"text needs quotes there, or write `{name}={text}`"
        raise InputError([Problem(message=f"{option} {item}: not a TOML value: {error}", hint=hint)]) from None


def _typed(spec: InputSpec, value: Any) -> Any:
    if isinstance(value, str) and spec.type in _FROM_TEXT:
        try:
            return _FROM_TEXT[spec.type](value)
        except (ValueError, KeyError):
            raise ValueError(f"input `{spec.name}`: {value!r} is not of type {spec.type}") from None
    if misfit(value, spec.type):
        raise ValueError(f"input `{spec.name}`: {value!r} is not of type {spec.type}")
    return value


def _how_to_give(spec: InputSpec) -> str:
    example = {"string": "=TEXT", "boolean": "=true", "list": ':=["a", "b"]', "table": ":={ a = 1 }"}
    said = f" ({spec.description.rstrip('.')})" if spec.description else ""
    return f"give it with `-e '{spec.name}{example.get(spec.type, '=NUMBER')}'`{said}"
