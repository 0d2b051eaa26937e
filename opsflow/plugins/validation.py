"""Parameters of a task against its model, in the operator's words."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

Path = tuple[str | int, ...]

_BINARY = "application/octet-stream"
_NUL = PydanticCustomError("nul", "must be text without NUL characters: no command, path or statement can hold one")

_SAID = {
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "string_type": "must be text",
}


class NoParams(BaseModel):
    """The model of a task that takes no parameters."""

    model_config = ConfigDict(extra="forbid")


def validate(model: type[BaseModel], params: Mapping[str, Any], directory: str | None = None) -> BaseModel:
    """The parameters as the hooks get them.

    Args:
        model: The task's model. Unknown keys are refused whatever its configuration says: they are typing mistakes.
            So are NUL characters, but for fields whose JSON Schema says `contentMediaType: application/octet-stream`.
        params: What stands under `with`, rendered.
        directory: Where relative local paths begin; None leaves them as written.

    Raises:
        ValidationError: they don't fit.
    """
    _refuse_nuls(model, params)
    return _fitting(model, params, directory)


def faults(model: type[BaseModel], params: Mapping[str, Any], *, ignore: Iterable[str] = ()) -> list[tuple[Path, str]]:
    """(path, message) of what is wrong with `params`; the values of top-level keys in `ignore` are not known yet."""
    open_keys = frozenset(ignore)
    settled = {key: value for key, value in params.items() if key not in open_keys}
    details: list[ErrorDetails] = []
    for look in (_refuse_nuls, _fitting):
        try:
            look(model, settled)
        except ValidationError as error:
            details += error.errors(include_url=False, include_input=False)
    if open_keys:  # what is said of the whole, or of a key that is open, cannot be judged yet
        details = [detail for detail in details if detail["loc"] and detail["loc"][0] not in open_keys]
    known = _keys(model)
    unknown = [((key,), _unknown_key(key, known)) for key in params if key in open_keys and key not in known]
    return unknown + explain(details, params, known)


def explain(details: Sequence[ErrorDetails], params: Mapping[str, Any], known: Sequence[str]) -> list[tuple[Path, str]]:
    """Pydantic's findings as (path that exists in `params`, message), one for each path."""
    found: dict[Path, list[str]] = {}
    for detail in details:
        path = _existing(detail["loc"], params)
        said = _message(detail, path, known)
        if said not in found.setdefault(path, []):
            found[path].append(said)
    return [(path, _either(path, said) if _is_choice(said) else "; ".join(said)) for path, said in found.items()]


def describe(model: type[BaseModel], error: ValidationError, params: Mapping[str, Any]) -> str:
    """All that is wrong with rendered parameters, in one line. Values are not shown: they may be secret."""
    details = error.errors(include_url=False, include_input=False)
    return "; ".join(message for _, message in explain(details, params, _keys(model)))


def misfits(model: type[BaseModel], outputs: Mapping[str, Any]) -> str:
    """What of outputs is not as their model says, in one line; empty if nothing. Values are not shown.

    Types are taken strictly: nothing is converted. Keys that are not declared are no error if the model allows them.
    """
    extra = model.model_config.get("extra")
    try:
        model.model_validate_json(json.dumps(outputs), strict=True, extra="allow" if extra == "allow" else "forbid")
    except ValidationError as error:
        said = {"extra_forbidden": "is not declared", "missing": "is missing", **_SAID}
        details = error.errors(include_url=False, include_input=False)
        return "; ".join(f"`{dotted(d['loc'])}` {said.get(d['type']) or d['msg'].lower()}" for d in details)
    return ""


def _fitting(model: type[BaseModel], params: Mapping[str, Any], directory: str | None = None) -> BaseModel:
    return model.model_validate(dict(params), extra="forbid", context={"directory": directory} if directory else None)


def _refuse_nuls(model: type[BaseModel], params: Mapping[str, Any]) -> None:
    looked_at = [key for key in _keys(model) if key in params and not _is_binary(model, key)]
    found = [path for key in looked_at for path in _nuls(params[key], (key,))]
    if found:
        details = [InitErrorDetails(type=_NUL, loc=path, input=None) for path in found]
        raise ValidationError.from_exception_data(model.__name__, details)


def _nuls(value: Any, path: Path) -> Iterator[Path]:
    """Where a value, or a key in it, holds a NUL character."""
    if isinstance(value, str):
        if "\0" in value:
            yield path
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(key, str) and "\0" in key:
                yield path
            yield from _nuls(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from _nuls(inner, (*path, place))


def _is_binary(model: type[BaseModel], key: str) -> bool:
    field = model.model_fields.get(key)
    extra = field.json_schema_extra if field else None
    return isinstance(extra, dict) and extra.get("contentMediaType") == _BINARY


def _keys(model: type[BaseModel]) -> list[str]:
    aliases = ((name, field.validation_alias or field.alias) for name, field in model.model_fields.items())
    return [alias if isinstance(alias, str) else name for name, alias in aliases]


def _existing(loc: Path, params: Mapping[str, Any]) -> Path:
    """The part of `loc` that can be found in the data: pydantic adds names of union members and missing keys."""
    value: Any = params
    for depth, key in enumerate(loc):
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return loc[:depth]
    return loc


def _message(detail: ErrorDetails, path: Path, known: Sequence[str]) -> str:
    kind, loc = detail["type"], detail["loc"]
    if kind == "extra_forbidden":
        key = str(loc[-1])
        return _unknown_key(key, known) if len(loc) == 1 else f"unknown key `{key}`"
    if kind == "missing":
        return f"`{dotted(loc)}` is required"
    said = _SAID.get(kind) or detail["msg"].removeprefix("Value error, ").removeprefix(
        "Assertion failed, "
    ).removeprefix("Input ")
    if not path:
        return said
    return f"`{dotted(path)}`{'' if said.startswith(('should ', 'must be ')) else ':'} {said}"


def _unknown_key(key: str, known: Sequence[str]) -> str:
    close = get_close_matches(key, known, n=1)
    if close:
        return f"unknown key `{key}`; did you mean `{close[0]}`?"
    return f"unknown key `{key}`" + (f"; there are: {', '.join(known)}" if known else ": the task takes no parameters")


def _either(path: Path, said: Sequence[str]) -> str:
    """What a value must be, of all that it may be."""
    first, *others = said
    return " or ".join((first, *(other.removeprefix(f"`{dotted(path)}` ") for other in others)))


def _is_choice(said: Sequence[str]) -> bool:
    return all(" should " in text or " must be " in text for text in said)


def dotted(path: Path) -> str:
    """A path as TOML writes it, list indices in brackets."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
