"""What template code runs in: jinja2's sandbox, made strict, with the functions that templates have."""

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateRuntimeError, UndefinedError
from jinja2.runtime import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from opsflow.errors import OpsflowError
from opsflow.params import SECRET_KEY
from opsflow.tomlfile import did_you_mean, local_path

FILTERS = (
    *("abs", "basename", "batch", "capitalize", "count", "d", "default", "dictsort", "dirname", "first", "float"),
    *("format", "groupby", "indent", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min"),
    *("quote", "reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr", "sort", "string", "sum"),
    *("title", "tojson", "trim", "truncate", "unique", "upper", "urlencode"),
)
"""All filters that templates have: jinja2's without those that are for HTML, that guess or that play dice; and `quote`,
`basename`, `dirname`."""
TESTS = (
    *("boolean", "defined", "divisibleby", "even", "false", "float", "in", "integer", "iterable", "lower", "mapping"),
    *("none", "number", "odd", "sequence", "string", "true", "undefined", "upper"),
    *("eq", "ne", "lt", "le", "gt", "ge", "==", "!=", "<", "<=", ">", ">=", "equalto", "lessthan", "greaterthan"),
)
"""All tests (`x is defined`)."""
FUNCTIONS = ("dict", "file", "hosts", "namespace", "range", "secret")
"""All functions."""
_UNKNOWN = re.compile(r"No (filter|test) named '(.*)'\.")


class Missing(StrictUndefined):
    """Something that is not there: harmless until it is used, then it says what is there instead."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: Callable[[str], Exception] = UndefinedError,
    ) -> None:
        if hint is None and isinstance(obj, Mapping):
            like = did_you_mean(str(name), map(str, obj))
            hint = f"there is no {name!r}; {like or 'there is: ' + (', '.join(map(str, obj)) or 'nothing')}"
        super().__init__(hint, obj, name, exc)  # type: ignore[arg-type]  # jinja only calls it with the message


class SecretReference:
    """What `secret()` yields while templates are worked out. It refuses to become part of a text."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        if not isinstance(name, str) or ":" not in name:
            raise TemplateRuntimeError("a secret is named like 'env:NAME' or 'file:PATH'")
        self._name = name

    def __repr__(self) -> str:
        raise TemplateRuntimeError("a secret cannot be part of a text: use it as a whole value")

    def as_data(self) -> dict[str, str]:
        """The form in which it is journaled and given to tasks."""
        return {SECRET_KEY: self._name}


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment in which a mapping's own keys come before the methods of its type: `outputs.x.items` is data."""

    def __init__(self, *, directory: str, hosts: Callable[[str], Sequence[str]]) -> None:
        super().__init__(undefined=Missing, keep_trailing_newline=True)
        self._directory = directory
        self._select = hosts
        self.globals.update(secret=SecretReference, hosts=self._hosts, file=self._file)
        self.filters.update(
            quote=_quote, tojson=_json, basename=posixpath.basename, dirname=lambda path: posixpath.dirname(path) or "."
        )
        for names, kept in ((self.filters, FILTERS), (self.tests, TESTS), (self.globals, FUNCTIONS)):
            for name in names.keys() - set(kept):
                del names[name]

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute` in a template."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def _hosts(self, pattern: str) -> list[str]:
        try:
            return list(self._select(pattern))
        except OpsflowError as error:
            raise TemplateRuntimeError(error.message) from error

    def _file(self, path: str) -> str:
        try:
            return local_path(Path(self._directory), path).read_text(encoding="utf-8")
        except OSError as error:
            raise TemplateRuntimeError(f"{path}: {error.strerror}") from error
        except UnicodeDecodeError:
            raise TemplateRuntimeError(f"{path}: not UTF-8") from None


def reason(error: Exception) -> str:
    """Why a template cannot be read."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    said = str(getattr(error, "message", error))
    if unknown := _UNKNOWN.fullmatch(said):
        kind, name = unknown.groups()
        known = FILTERS if kind == "filter" else TESTS
        return f"there is no {kind} {name!r}; {did_you_mean(name, known) or 'there are: ' + ', '.join(known)}"
    return said


def _quote(value: Any) -> str:
    """The words of a list, or a value as one word, for a shell."""
    return shlex.join(map(str, value)) if isinstance(value, list | tuple) else shlex.quote(str(value))


def _json(value: Any, indent: int | None = None) -> str:
    """As JSON; jinja2's own is for HTML."""
    return json.dumps(as_data(value, final=False), ensure_ascii=False, indent=indent)


def as_data(value: Any, *, final: bool) -> Any:
    """An expression's result as JSON-able data: iterators become lists, times become text.

    Args:
        value: What the expression yields.
        final: Whether nothing more will be done with it: secrets become data only then.

    Raises:
        jinja2.TemplateRuntimeError: it is, or holds, something undefined or something that is no data.
    """
    match value:
        case None | bool() | int() | float():
            return value
        case str() | Undefined():
            return str(value)  # raises if undefined
        case SecretReference():
            return value.as_data() if final else value
        case date() | time():
            return value.isoformat()
        case Mapping():
            return {str(key): as_data(item, final=final) for key, item in value.items()}
        case Iterable():
            return [as_data(item, final=final) for item in value]
    raise TemplateRuntimeError(f"yields a {type(value).__name__}, which is no data")
