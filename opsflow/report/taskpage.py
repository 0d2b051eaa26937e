"""A task's reference, made of the schemas of its parameters and outputs."""

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from opsflow.ports import Task
from opsflow.report.text import BOLD, DIM, Paint, clean, one_line

_WIDTH = 100
_DEEPEST = 3  # a table may hold itself
_TYPES = {"string": "text", "object": "table", "array": "list", "null": ""}
_FORMATS = {"local-path": "path of the control machine", "secret": "secret"}
_UNITS = {"30s": "duration", "64MiB": "size"}
"""What examples of a parameter say of its type."""
_SIZES = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


def task_page(task: Task, paint: Paint) -> list[str]:
    """What a task does, every parameter with its type, default and description, and what it gives."""
    schema = task.schema()
    words = [
        "shows beforehand what would change" if task.has_plan else "shows nothing beforehand",
        "can be rolled back" if task.reversible else "cannot be rolled back",
        *(["may be executed again"] if task.idempotent else []),
        *(["waits for an approval"] if task.gate else []),
    ]
    lines = [f"{paint(one_line(task.name), BOLD)}  {one_line(task.doc)}", paint(f"It {', '.join(words)}.", DIM)]
    if "description" in schema:
        lines += ["", *_wrapped(schema["description"])]
    for name, parameter, required in _parameters(schema, schema.get("$defs", {})):
        about = "required" if required else _default(parameter)
        lines += _entry(name, parameter, schema, about, paint)
    outputs = task.outputs()
    return lines if outputs is None else [*lines, "", *_given(outputs, paint)]


def _given(schema: Mapping[str, Any], paint: Paint) -> list[str]:
    """The outputs."""
    about = clean(schema.get("description", ""))
    lines = [f"{paint('Outputs', BOLD)}  {one_line(about)}".rstrip()]
    for name, output, required in _parameters(schema, schema.get("$defs", {})):
        lines += _entry(name, output, schema, "" if required else "not always there", paint)
    return [*lines, "", "  and others"] if schema.get("additionalProperties") else lines


def _entry(name: str, value: Mapping[str, Any], schema: Mapping[str, Any], about: str, paint: Paint) -> list[str]:
    kind = " or ".join(dict.fromkeys(filter(None, _kinds(value, schema.get("$defs", {})))))
    head = f"  {paint(one_line(name), BOLD)}  {', '.join(filter(None, (kind, about)))}"
    return ["", head, *_wrapped(value.get("description", ""), "      ")]


def _parameters(
    schema: Mapping[str, Any], known: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """All parameters, those of tables too, as `TABLE.NAME`."""
    for name, parameter in schema.get("properties", {}).items():
        yield prefix + name, parameter, name in schema.get("required", ())
        for variant in (parameter, *parameter.get("anyOf", ())):
            if (table := _named(variant, known)) and prefix.count(".") < _DEEPEST:
                yield from _parameters(table, known, f"{prefix}{name}.")


def _named(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = known.get(schema.get("$ref", "").rpartition("/")[2], {})
    return found


def _kinds(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    if table := _named(schema, known):
        yield from _kinds(table, known)
    elif "anyOf" in schema:
        for variant in schema["anyOf"]:
            yield from _kinds(variant, known)
    elif "enum" in schema:
        yield from map(_value, schema["enum"])
    elif schema.get("format") in _FORMATS:
        yield _FORMATS[schema["format"]]
    elif unit := next((_UNITS[each] for each in schema.get("examples", ()) if each in _UNITS), ""):
        yield unit
    elif schema.get("type") == "array" and isinstance(schema.get("items"), Mapping):
        yield f"list of {' or '.join(_kinds(schema['items'], known)) or 'anything'}"
    else:
        kind = schema.get("type", "anything")
        yield from (_TYPES.get(each, str(each)) for each in (kind if isinstance(kind, list) else [kind]))


def _default(schema: Mapping[str, Any]) -> str:
    value = schema.get("default")
    if value is None or isinstance(value, list | dict):
        return ""
    kinds = list(_kinds(schema, {}))
    if "duration" in kinds and isinstance(value, int | float):
        return f'default "{value:g}s"'
    if "size" in kinds and isinstance(value, int):
        unit, size = next(((unit, size) for unit, size in _SIZES if value % size == 0), ("B", 1))
        return f'default "{value // size}{unit}"'
    return f"default {_value(value)}"


def _value(value: object) -> str:
    """As it is written in TOML."""
    return clean(json.dumps(value, ensure_ascii=False))


def _wrapped(text: str, indent: str = "") -> list[str]:
    lines = [
        line
        for paragraph in clean(text).split("\n\n")
        for line in (*textwrap.wrap(paragraph, _WIDTH, initial_indent=indent, subsequent_indent=indent), "")
    ]
    return lines[:-1]
