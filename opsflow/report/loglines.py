"""What attempts printed, as lines: put together from pieces, forwards or backwards, and shown."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from opsflow.model import Phase, Printed
from opsflow.report.data import timestamp
from opsflow.report.text import DIM, INFO, WARN, Paint, clean, plural

_LONGEST = 64 * 1024
"""Characters after which a line is shown though its end has not come."""

_STYLES = {"stderr": WARN, "log": INFO}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line that an attempt printed, or a gap.

    Attributes:
        piece: The piece in which it ends.
        text: The line, with its newline if that has come.
        cut: Bytes that are not kept, in place of a text.
    """

    piece: Printed
    text: str = ""
    cut: int = 0


def _stream(piece: Printed) -> tuple[str, str]:
    return piece.attempt, piece.stream


class Joiner:
    """Makes lines of pieces that come in order; the beginning of a line waits for its end."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, str], Line] = {}

    def feed(self, piece: Printed) -> Iterator[Line]:
        """Take a piece; the lines that are complete with it."""
        for key, line in list(self._begun.items()):
            # The last line of an attempt may have no newline: shown before what was printed after the attempt's end.
            if line.piece.ended and line.piece.ended < piece.at:
                yield self._begun.pop(key)
        key = _stream(piece)
        if piece.cut:
            yield from self._pop(key)
            yield Line(piece=piece, cut=piece.cut)
        *lines, rest = piece.text.split("\n")
        begun = self._begun.pop(key, None)
        start = begun.text if begun else ""
        for text in lines:
            yield Line(piece=piece, text=f"{start}{text}\n")
            start = ""
        if start or rest:
            self._begun[key] = Line(piece=piece, text=start + rest)
        if len(start) + len(rest) > _LONGEST:
            yield self._begun.pop(key)

    def rest(self) -> Iterator[Line]:
        """Lines whose end has not come."""
        begun, self._begun = self._begun, {}
        yield from begun.values()

    def _pop(self, key: tuple[str, str]) -> Iterator[Line]:
        if key in self._begun:
            yield self._begun.pop(key)


@dataclass(slots=True, kw_only=True)
class _Growing:
    """A line that is put together from its end."""

    piece: Printed
    parts: list[str] = field(default_factory=list)
    cut: int = 0


def last_lines(pieces: Iterable[Printed], count: int) -> list[Line]:
    """The last `count` lines, of pieces of which the newest comes first; no more of them are read than needed."""
    found: list[_Growing] = []
    growing: dict[tuple[str, str], _Growing | None] = {}  # None: a line that is not wanted

    def begin(piece: Printed, cut: int = 0) -> _Growing | None:
        if len(found) >= count:
            return None
        found.append(_Growing(piece=piece, cut=cut))
        return found[-1]

    for piece in pieces:
        key = _stream(piece)
        *lines, rest = piece.text.split("\n")
        parts = [f"{line}\n" for line in lines] + ([rest] if rest else [])
        for part in reversed(parts):
            if part.endswith("\n") or key not in growing:
                growing[key] = begin(piece)
            if line := growing[key]:
                line.parts.append(part)
        if piece.cut:
            growing.pop(key, None)
            begin(piece, piece.cut)
        if len(found) >= count and not any(growing.values()):
            break
    return [Line(piece=g.piece, text="".join(reversed(g.parts)), cut=g.cut) for g in reversed(found)]


def line_text(line: Line, paint: Paint) -> Iterator[str]:
    """A line for people, made harmless. One that was overwritten (carriage return) is several."""
    piece = line.piece
    attempt = "" if (piece.phase, piece.number) == (Phase.EXECUTE, 1) else f" {piece.phase} {piece.number}"
    style = _STYLES.get(piece.stream, DIM)
    head = f"{paint(clean(piece.node + attempt), DIM)} {paint(f'{piece.stream} |', style)}"
    if line.cut:
        gap = f"[{plural(line.cut, 'byte')} not kept]"
        yield f"{head} {paint(gap, WARN)}"
        return
    text = line.text.removesuffix("\n").removesuffix("\r")
    for part in text.split("\r"):
        yield f"{head} {clean(part)}"


def line_data(line: Line) -> dict[str, Any]:
    """A line for programs: `text` with its newline, as it was printed; or `cut`, how many bytes are not kept."""
    piece = line.piece
    step, _, host = piece.node.rpartition("@")
    return {
        "node": piece.node,
        "step": step.partition("[")[0],
        "host": host,
        "attempt": piece.attempt,
        "phase": str(piece.phase),
        "n": piece.number,
        "stream": piece.stream,
        "at": timestamp(piece.at),
        "text": line.text,
        "cut": line.cut,
    }
