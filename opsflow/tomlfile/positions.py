"""Where every key and every array element of a TOML text stands. tomli tells what a file says, not where.

Grammar: https://toml.io/en/v1.1.0. The text must be one that tomli takes: nothing is checked here a second time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import tomli

KeyPath = tuple[str | int, ...]
"""Keys from the root down; an int is an index into an array."""

_SPACE = re.compile(r"[ \t]*")
_FILLING = re.compile(r"(?:[ \t\n,]|#[^\n]*)*+")
"""What may stand between two statements, elements or pairs."""

_KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*+"|'[^']*'""")
_SCALAR = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*+"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:[^"\\]|\\.)*+"'
    r"|'[^']*'"
    r"|[^,\]}#\n]+",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Offsets into the text, in which a line ends with one character.

    Attributes:
        offsets: Of each key (its first character, a quote included) and of each array element; an element made by
            `[[name]]` stands at its first bracket. Where a table is named more than once, the first place counts.
        headers: Tables opened by a `[header]`: the ones in which a following top-level key ends up by mistake.
    """

    offsets: Mapping[KeyPath, int]
    headers: frozenset[KeyPath]


def find_places(text: str) -> Places:
    """The places of a valid TOML text, in file order."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.scan()
    return Places(offsets=scanner.offsets, headers=frozenset(scanner.headers))


class _Scanner:
    """One pass over a text, without recursion: files may nest as deeply as they like."""

    def __init__(self, text: str) -> None:
        self.offsets: dict[KeyPath, int] = {}
        self.headers: set[KeyPath] = set()
        self._text = text
        self._lengths: dict[KeyPath, int] = {}  # of arrays of tables

    def scan(self) -> None:
        """Go through all statements."""
        table: KeyPath = ()
        at = self._skip(_FILLING, 0)
        while at < len(self._text):
            if self._text.startswith("[[", at):
                at, table = self._array_header(at)
            elif self._text[at] == "[":
                at, table = self._key(self._skip(_SPACE, at + 1), (), through_arrays=True)
                self.headers.add(table)
                at += 1
            else:
                at, path = self._key(at, table)
                at = self._value(self._skip(_SPACE, at + 1), path)
            at = self._skip(_FILLING, at)

    def _array_header(self, start: int) -> tuple[int, KeyPath]:
        at, path = self._key(self._skip(_SPACE, start + 2), (), through_arrays=True, name_array=True)
        index = self._lengths.get(path, 0)
        self._lengths[path] = index + 1
        table = (*path, index)
        self.offsets[table] = start
        self.headers.add(table)
        return at + 2, table

    def _key(
        self, at: int, base: KeyPath, *, through_arrays: bool = False, name_array: bool = False
    ) -> tuple[int, KeyPath]:
        """A dotted key. A header's key leads through the last element of each array of tables on its way."""
        path = base
        while True:
            match = _KEY_PART.match(self._text, at)
            assert match, "find_places takes only what tomli takes"
            path = (*path, _unquoted(match[0]))
            self.offsets.setdefault(path, at)
            at = self._skip(_SPACE, match.end())
            last = self._text[at] != "."
            if through_arrays and path in self._lengths and not (last and name_array):
                path = (*path, self._lengths[path] - 1)
            if last:
                return at, path
            at = self._skip(_SPACE, at + 1)

    def _value(self, at: int, path: KeyPath) -> int:
        """A value with all that is in it; the offset after it."""
        nesting: list[tuple[KeyPath, list[int] | None]] = []  # the next index of an array; None: an inline table
        while True:
            opening = self._text[at]
            if opening in "[{":
                nesting.append((path, [0] if opening == "[" else None))
                at += 1
            else:
                at = self._skip(_SCALAR, at)
            while nesting and self._text[at := self._skip(_FILLING, at)] in "]}":
                nesting.pop()
                at += 1
            if not nesting:
                return at
            container, index = nesting[-1]
            if index is None:
                at, path = self._key(at, container)
                at = self._skip(_SPACE, at + 1)
            else:
                path = (*container, index[0])
                self.offsets[path] = at
                index[0] += 1

    def _skip(self, pattern: re.Pattern[str], at: int) -> int:
        match = pattern.match(self._text, at)
        assert match, "find_places takes only what tomli takes"
        return match.end()


def _unquoted(part: str) -> str:
    if part[0] not in "\"'":
        return part
    if "\\" not in part or part[0] == "'":
        return part[1:-1]
    return str(tomli.loads(f"key = {part}")["key"])
