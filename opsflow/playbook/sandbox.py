"""What template code runs in: jinja2's sandbox, made strict, with the functions that templates have."""

import json
import math
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateRuntimeError, UndefinedError, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.filters import do_format, do_indent
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
FUNCTIONS = ("dict", "file", "hosts", "range", "secret")
"""All functions."""
LARGEST = 16 * 1024 * 1024
"""Characters of a text, or items of a list, that a template may yield."""
TURNS = 1_000_000
"""Numbers that one rendering may get from `range`."""
_DIGITS = 65_536
_WIDE = re.compile(r"%[^a-zA-Z%]*?(?:[0-9]{7}|\*)")
_WIDE_FIELD = re.compile(r"\{[^{}]*:[^{}]*?(?:[0-9]{7}|\{)")
"""A width that no text has (`%9999999d`, `{:9999999}`), or that comes from elsewhere."""
FAULTS = (
    TemplateError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What an expression can raise, also while it is compiled: constants are worked out then."""
_HALF = re.compile(r"[\ud800-\udfff]")
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


class _Code(CodeGenerator):
    """Refuses numbers that Python's text has no form for: jinja2 would write down a name, `inf`."""

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:  # noqa: N802 - jinja2's
        """Code of a constant."""
        if not _finite(node.value):
            self.fail("a number is too large", node.lineno)
        super().visit_Const(node, frame)


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment in which a mapping's own keys come before the methods of its type: `outputs.x.items` is data.

    What a slip would make endless (`'x' * 10 ** 12`, a range in a range) is refused before it is made.
    """

    code_generator_class = _Code
    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, *, directory: str, hosts: Callable[[str], Sequence[str]]) -> None:
        super().__init__(undefined=Missing, keep_trailing_newline=True)
        self._directory = directory
        self._select = hosts
        self.globals.update(secret=SecretReference, hosts=self._hosts, file=self._file)
        self.filters.update(
            quote=_quote,
            tojson=_json,
            format=_format,
            indent=_indent,
            basename=posixpath.basename,
            dirname=lambda path: posixpath.dirname(path) or ".",
        )
        for names, kept in ((self.filters, FILTERS), (self.tests, TESTS), (self.globals, FUNCTIONS)):
            for name in names.keys() - set(kept):
                del names[name]

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute` in a template."""
        if isinstance(obj, str) and attribute.startswith("format") and _WIDE_FIELD.search(obj):
            raise too_large()
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """`left * right` and the like. Raises `TemplateRuntimeError` if that would be too large."""
        if _size(operator, left, right) > LARGEST:
            raise too_large()
        return super().call_binop(context, operator, left, right)

    def call(self, __context: Any, __obj: Any, *args: Any, **more: Any) -> Any:  # noqa: PYI063 - jinja2's
        """A call. Raises `TemplateRuntimeError` if it asks for a text of a size that none has: `'x'.ljust(10 ** 9)`."""
        of_text = isinstance(getattr(__obj, "__self__", None), str)
        if of_text and any(isinstance(value, int) and value > LARGEST for value in args):
            raise too_large()
        return super().call(__context, __obj, *args, **more)

    def _hosts(self, pattern: str) -> list[str]:
        if not isinstance(pattern, str):
            raise TemplateRuntimeError("hosts() takes a pattern: hosts('web')")
        try:
            return list(self._select(pattern))
        except OpsflowError as error:
            raise TemplateRuntimeError(error.message) from error

    def _file(self, path: str) -> str:
        if not isinstance(path, str):
            raise TemplateRuntimeError("file() takes a path: file('motd.txt')")
        try:
            return local_path(Path(self._directory), path).read_text(encoding="utf-8")
        except OSError as error:
            raise TemplateRuntimeError(f"{path}: {error.strerror}") from error
        except UnicodeDecodeError:
            raise TemplateRuntimeError(f"{path}: not UTF-8") from None


def _finite(constant: Any) -> bool:
    """Whether all numbers of a constant are."""
    match constant:
        case float():
            return math.isfinite(constant)
        case list() | tuple():
            return all(map(_finite, constant))
        case dict():
            return all(map(_finite, constant)) and all(map(_finite, constant.values()))
    return True


def too_large() -> TemplateRuntimeError:
    """What is told of a template that yields too much."""
    return TemplateRuntimeError(f"it would yield more than {LARGEST:,} characters, items or digits")


def joined(pieces: Iterable[str]) -> str:
    """The text of a template as it comes. Raises `TemplateRuntimeError` once it is too large."""
    found: list[str] = []
    size = 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size > LARGEST:
            raise too_large()
    return _whole("".join(found))


def _whole(text: str) -> str:
    """A text, as it is. Raises `TemplateRuntimeError` if no file and no journal can hold it."""
    if not text.isascii() and _HALF.search(text):
        raise TemplateRuntimeError("yields half of a character (\\ud800 to \\udfff), which is no text")
    return text


def _size(operator: str, left: Any, right: Any) -> int:
    """About how large the result would be: characters, items, or digits beyond what numbers have."""
    numbers = isinstance(left, int) and isinstance(right, int)
    if operator == "%":
        return LARGEST + 1 if isinstance(left, str) and _WIDE.search(left) else 0
    if operator == "**":
        return LARGEST + 1 if numbers and abs(left).bit_length() * right > _DIGITS else 0
    if numbers:
        return LARGEST + 1 if left.bit_length() + right.bit_length() > _DIGITS else 0
    for many, times in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(many, str | list | tuple):
            return len(many) * times
    return 0


def _format(text: Any, *args: Any, **more: Any) -> str:
    """`text % args`."""
    if _WIDE.search(str(text)):
        raise too_large()
    return do_format(str(text), *args, **more)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:  # noqa: FBT001, FBT002 - jinja2's
    """Every line but the first further to the right."""
    if isinstance(width, int) and width * (text.count("\n") + 1) > LARGEST:
        raise too_large()
    return do_indent(text, width, first, blank)


def reason(error: Exception) -> str:
    """Why a template cannot be read or worked out: what is said of one of `FAULTS`."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if not isinstance(error, TemplateError | SyntaxError):
        return f"{type(error).__name__}: {error}"
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
        jinja2.TemplateRuntimeError: it is, or holds, something undefined or something that is no data, as an infinite
            number: JSON has none.
    """
    match value:
        case float() if not math.isfinite(value):
            raise TemplateRuntimeError(f"yields {value}, which is no data")
        case None | bool() | int() | float():
            return value
        case str() | Undefined():
            text = str(value)  # raises if undefined
            if len(text) > LARGEST:
                raise too_large()
            return _whole(text)
        case SecretReference():
            return value.as_data() if final else value
        case date() | time():
            return value.isoformat()
        case Mapping():
            return {str(key): as_data(item, final=final) for key, item in value.items()}
        case Iterable():
            return [as_data(item, final=final) for item in value]
    raise TemplateRuntimeError(f"yields a {type(value).__name__}, which is no data")
