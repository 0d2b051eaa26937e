"""Text for people: what hosts say is made harmless, colours only where they are wanted."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TextIO

from opsflow.model import Action, AttemptState, NodeState, RunState

# C0 but for tab and newline, DEL, C1, and the marks that reorder text: from a host they are an attack on the terminal.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")

_STYLED = re.compile(r"\x1b\[[0-9;]*m")

GOOD, BAD, WARN, DIM, BOLD, INFO = "32", "31", "33", "2", "1", "36"
"""ANSI SGR parameters (ECMA-48, 8.3.117)."""

STYLES: dict[str, str] = {
    NodeState.SUCCEEDED: GOOD,
    NodeState.UNCHANGED: DIM,
    NodeState.SKIPPED: DIM,
    NodeState.RUNNING: INFO,
    NodeState.FAILED: BAD,
    NodeState.UNKNOWN: BAD,
    NodeState.REVERT_FAILED: BAD,
    NodeState.BLOCKED: WARN,
    NodeState.REVERTED: WARN,
    NodeState.REVERTING: WARN,
    RunState.ROLLING_BACK: WARN,
    RunState.ROLLED_BACK: WARN,
    RunState.ROLLBACK_INCOMPLETE: BAD,
    RunState.SUSPENDED: WARN,
    Action.CHANGE: GOOD,
    Action.SKIP: DIM,
    Action.FAIL: BAD,
}
"""Styles of states and actions; where two have one name they mean the same."""

MARKS = {Action.CHANGE: "~", Action.UNCHANGED: "=", Action.UNKNOWN: "?", Action.SKIP: "-", Action.FAIL: "!"}


class Paint:
    """Colours text, or leaves it as it is."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, text: str, style: str) -> str:
        """`text` in a style, one of this module's."""
        return f"\x1b[{style}m{text}\x1b[0m" if self._colour and style and text else text

    def state(self, state: NodeState | RunState | Action | AttemptState, width: int = 0) -> str:
        """The name of a state in its colour, padded to `width`."""
        return self(str(state).ljust(width), STYLES.get(state, ""))

    @classmethod
    def of(cls, stream: TextIO, *, allowed: bool = True) -> "Paint":
        """Colours if the stream is a terminal that has them, and neither the caller nor `NO_COLOR` forbids them."""
        wanted = allowed and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return cls(colour=wanted and stream.isatty())


def clean(text: str) -> str:
    """Text of unknown origin with control characters shown instead of sent; newlines and tabs stay."""
    return _CONTROL.sub(lambda match: _shown(match[0]), text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The same on one line."""
    return " ".join(clean(text).split())


def scope_words(key: str) -> str:
    """A scope as people write it, `shard=a`, of its key, in which the value is JSON."""
    name, _, value = key.partition("=")
    with suppress(ValueError):
        value = str(json.loads(value)) if value.startswith('"') else value
    return one_line(f"{name}={value}" if value else name)


def last_lines(text: str, count: int) -> list[str]:
    """The last `count` lines, made harmless; a line that was overwritten (carriage return) counts as several."""
    return clean(text.replace("\r\n", "\n").replace("\r", "\n")).rstrip().split("\n")[-count:] if text.strip() else []


def duration(seconds: float) -> str:
    """Such as `0.3s`, `42s`, `3m05s`, `2h07m`."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
    return f"{minutes // 60}h{minutes % 60:02d}m"


def moment(at: datetime | None) -> str:
    """Local to nobody: UTC to the second, in RFC 3339."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else "-"


def columns(rows: Sequence[Sequence[str]], *, indent: str = "") -> list[str]:
    """Lines of left-aligned columns, two spaces apart; cells may be painted."""
    if not rows:
        return []
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return [
        indent
        + "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def some(names: Iterable[str], limit: int = 3) -> str:
    """A few names and how many more there are."""
    known = list(names)
    more = len(known) - limit
    return ", ".join(known[:limit]) + (f" and {more} more" if more > 0 else "")


def plural(number: int, noun: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _width(cell: str) -> int:
    return len(_STYLED.sub("", cell))


def _shown(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
