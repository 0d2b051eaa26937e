"""Reads a TOML file into data that can say where it stands."""

import difflib
import hashlib
import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import tomli

from opsflow.errors import InputError, Position, Problem
from opsflow.tomlfile.positions import KeyPath, Places, find_places

_DEEPEST = 50
"""Levels of nesting: more than people write, and far from where recursion over the data would end."""

_HINTS = {
    "Invalid value": "text needs quotes",
    "Invalid statement": "a line is a [table], a [[table]] or `key = value`",
    "Cannot overwrite a value": "this key or table is there already, further up",
    "Expected '=' after a key in a key/value pair": 'write `key = value`; a key with other characters needs "quotes"',
    "Unterminated string": "a quote is not closed",
    r"Illegal character '\n'": "a quote is not closed",
    "Expected ']' at the end of a table declaration": "a bracket is not closed, or something stands behind it",
    "Unclosed array": "a comma or `]` is missing before this",
    "Unclosed inline table": "a comma or `}` is missing before this",
}


class TomlFile:
    """A file that was read.

    Attributes:
        path: As given.
        data: What it says.
        digest: SHA-256 of its bytes.
    """

    def __init__(self, *, path: str, text: str, data: Mapping[str, Any], digest: str) -> None:
        self.path = path
        self.data = data
        self.digest = digest
        self._lines = _Lines(path, text)

    @cached_property
    def _places(self) -> Places:  # only looked for when asked for: most big files are right
        return find_places(self._lines.text)

    def position(self, path: KeyPath) -> Position:
        """Where a key stands, or else the nearest table around it."""
        offsets = self._places.offsets
        while path and path not in offsets:
            path = path[:-1]
        return self._lines.position(offsets.get(path, 0))

    def positions_below(self, array: str) -> list[dict[str, Position]]:
        """Of each element of a top-level array of tables: where everything in it stands, by dotted path."""
        found: list[dict[str, Position]] = [{} for _ in self.data.get(array, ())]
        for (root, *path), offset in self._places.offsets.items():
            if root == array and len(path) > 1:
                found[int(path[0])][".".join(map(str, path[1:]))] = self._lines.position(offset)
        return found

    def problems(self) -> Iterator[Problem]:
        """Values that no file of a project can hold, since they have no JSON form: dates, `nan`, too deep nesting."""
        for path, message, hint in _not_json((), self.data):
            yield self.problem(path, message, hint)

    def has_header(self, path: KeyPath) -> bool:
        """Whether a `[header]` opened this table, so that all lines below it belong to it."""
        return path in self._places.headers

    def problem(self, path: KeyPath, message: str, hint: str = "") -> Problem:
        """Something that is wrong with a key or a table."""
        return self._lines.problem(self.position(path), message, hint)


class _Lines:
    """A text, by lines."""

    def __init__(self, path: str, text: str) -> None:
        self.text = text
        self._path = path
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def position(self, offset: int) -> Position:
        line = bisect_right(self._starts, offset)
        return Position(file=self._path, line=line, column=offset - self._starts[line - 1] + 1)

    def problem(self, where: Position, message: str, hint: str = "") -> Problem:
        start = self._starts[where.line - 1]
        # A tab is shown one column wide, so that the caret stands under the right character.
        line = self.text[start:].partition("\n")[0].replace("\t", " ")
        return Problem(message=message, position=where, hint=hint, line=line)


def read(path: Path) -> TomlFile:
    """Read a file. Ask it for its `problems`, too.

    Raises:
        InputError: it is missing, unreadable, not UTF-8 or not TOML.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    try:
        text = content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = _Lines(str(path), content[: error.start].decode().replace("\r\n", "\n"))
        raise InputError([before.problem(before.position(len(before.text)), "not UTF-8")]) from None
    data = _parse(str(path), text)
    return TomlFile(path=str(path), text=text, data=data, digest=hashlib.sha256(content).hexdigest())


def parse_value(text: str) -> Any:
    """One TOML value.

    Raises:
        ValueError: it is not exactly one, or has no JSON form.
    """
    try:
        data = tomli.loads(f"value = {text}")
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if set(data) != {"value"}:
        raise ValueError("more than one value")
    for _, message, hint in _not_json((), data):
        raise ValueError(f"{message}: {hint}")
    return data["value"]


def raise_problems(problems: Iterable[Problem]) -> None:
    """Raise them together, in file order, if there are any."""

    def order(problem: Problem) -> tuple[str, int, int]:
        where = problem.position
        return (where.file, where.line, where.column) if where else ("", 0, 0)

    if found := sorted(problems, key=order):
        raise InputError(found)


def did_you_mean(word: str, words: Iterable[str], *, alike: float = 0.6) -> str:
    """``did you mean `WORD`?``, or nothing if none of the words is like it; `alike`: how much so, 1 is the same."""
    like = difflib.get_close_matches(word, list(words), n=1, cutoff=alike)
    return f"did you mean `{like[0]}`?" if like else ""


def project_directory(path: Path) -> Path:
    """The absolute directory in which the relative local paths of a project's file begin.

    It is the nearest directory above the file that holds `opsflow.toml`; else the one that holds the file's
    `playbooks/` or `inventories/`; else the file's own.
    """
    above = path.absolute().parents
    for directory in above:
        if (directory / "opsflow.toml").is_file():
            return directory
    for directory in above:
        if directory.name in {"playbooks", "inventories"}:
            return directory.parent
    return above[0]


def local_path(directory: Path, path: str) -> Path:
    """A path of the control machine as users write it: `~` is their home, a relative one begins in `directory`."""
    try:
        return directory / Path(path).expanduser()
    except RuntimeError:  # there is no such user
        return directory / path


def _parse(path: str, text: str) -> dict[str, Any]:
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        lines = _Lines(path, text)
        # tomli names a key as the tuple of its parts.
        said = re.sub(r"\(('[^()]*'),?\)", lambda m: "`" + m[1].replace("', '", ".").strip("'") + "`", error.msg)
        message = f"not valid TOML: {said[:1].lower()}{said[1:]}"
        raise InputError([lines.problem(lines.position(error.pos), message, _HINTS.get(error.msg, ""))]) from None
    except RecursionError:
        _refuse(path, "nested too deeply")
    except ValueError:  # Python converts no more than some thousand digits
        _refuse(path, "a number in it is too long")


def _refuse(path: str, message: str) -> NoReturn:
    raise InputError([Problem(message=message, position=Position(file=path, line=1, column=1))]) from None


def _not_json(path: KeyPath, value: Any) -> Iterator[tuple[KeyPath, str, str]]:
    """Path, message and hint of what the journal could not keep."""
    if isinstance(value, dict | list):
        if len(path) > _DEEPEST:
            yield path, "nested too deeply", f"at most {_DEEPEST} levels"
            return
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if type(item) is not str:
                yield from _not_json((*path, key), item)
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, f"`{value}` is not a usable number", "write a finite number"
    elif not isinstance(value, str | int | float):
        yield path, "a date or time is not a value here", 'write it as text, in "quotes"'
