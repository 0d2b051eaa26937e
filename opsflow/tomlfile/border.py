"""Where a file is checked: pydantic models, and what they find said in a user's words with its place."""

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from opsflow.errors import Problem
from opsflow.tomlfile.positions import KeyPath
from opsflow.tomlfile.reader import TomlFile, did_you_mean

_SAID = {
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "model_type": "must be a table",
    "string_too_short": "must not be empty",
    "string_type": "must be text",
    "too_short": "must not be empty",
}

_WORD = re.compile(r"(?:did you mean|write) [`\[]*(\w+)")
"""The key that a hint names first."""


class Border(BaseModel):
    """A table of a file: unknown keys are refused, and no value is turned into another type.

    `later` names keys that belong to the format but that this version cannot honour.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    later: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def known_keys(cls) -> dict[str, FieldInfo]:
        """The keys that this version knows, as files write them."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}


Advice = Callable[[KeyPath], str]
"""What to do about a key that is unknown, missing or wrong, where more is known than its spelling; else empty."""


def border_problems(file: TomlFile, model: type[Border], error: ValidationError, advice: Advice) -> list[Problem]:
    """All that pydantic found in a file's data; what is missing not, where a key beside it is to be written so."""
    found = [(detail, _problem(file, model, detail, advice)) for detail in error.errors(include_url=False)]
    meant = {
        (detail["loc"][:-1], word)
        for detail, problem in found
        if detail["type"] == "extra_forbidden"
        for word in _WORD.findall(problem.hint)
    }
    return [
        problem
        for detail, problem in found
        if detail["type"] != "missing" or (detail["loc"][:-1], str(detail["loc"][-1])) not in meant
    ]


def _problem(file: TomlFile, model: type[Border], detail: ErrorDetails, advice: Advice) -> Problem:
    path, kind = detail["loc"], detail["type"]
    name = _name(path)
    table = _model_at(model, path[:-1])
    if kind == "extra_forbidden":
        if path[-1] in table.later:
            return file.problem(
                path, f"`{name}` is not supported by this version", "take it out, or use a later version"
            )
        hint = (
            advice(path)
            or did_you_mean(str(path[-1]), table.known_keys())
            or f"known are: {', '.join(table.known_keys())}"
        )
        return file.problem(path, f"unknown key `{name}`", hint)
    if kind == "missing":
        return file.problem(path[:-1], f"`{name}` is missing", advice(path))
    return file.problem(path, f"`{name}` {_verdict(detail)}", _choice(detail) or advice(path))


def _verdict(detail: ErrorDetails) -> str:
    context: Mapping[str, Any] = detail.get("ctx", {})
    said = str(context["error"]) if detail["type"] == "value_error" else _SAID.get(detail["type"], detail["msg"])
    said = said.replace("Input should be", "must be")
    return f"is {said}" if said.startswith("not ") else said


def _choice(detail: ErrorDetails) -> str:
    if detail["type"] != "literal_error" or not isinstance(detail["input"], str):
        return ""
    expected = detail.get("ctx", {})["expected"].replace(" or ", ", ").split(", ")
    return did_you_mean(detail["input"], [word.strip("'") for word in expected])


def _name(path: KeyPath) -> str:
    """The last key, with the index into its array."""
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    return f"{key}[{path[-1]}]" if path and isinstance(path[-1], int) else key


def _model_at(model: type[Border], path: KeyPath) -> type[Border]:
    """The model of the table at a path; an index or the name of an entry leads to the same one."""
    for part in path:
        field = model.known_keys().get(str(part))
        model = (field and _inner(field.annotation)) or model
    return model


def _inner(annotation: Any) -> type[Border] | None:
    if isinstance(annotation, type) and issubclass(annotation, Border):
        return annotation
    return next(filter(None, map(_inner, get_args(annotation))), None)
