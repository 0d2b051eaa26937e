"""What is kept of what attempts print: of each stream the beginning, and, once the attempt has ended, its last lines.

Everything is counted in bytes of UTF-8, secrets masked. Rows say how much was left out before them, so that what the
rows of a stream come to is a place in it: a hook that is called again prints from its beginning, and what comes before
that place is in the journal already.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import Connection, func, select

from opsflow.journal.batch import OPEN, Batch
from opsflow.journal.ids import attempt_id
from opsflow.journal.rows import Numbers, Row
from opsflow.journal.tables import attempts, nodes, printed
from opsflow.model import AttemptFinished, AttemptRecord, AttemptState, OutputAppended

HEAD = 1 << 20
"""Bytes that are kept of the beginning of each stream of an attempt."""
TAIL = 64 * 1024
"""Bytes that are kept of its end; also the longest text of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One stream of one attempt.

    Attributes:
        size: Bytes of text in its rows.
        told: The place in the stream that its rows come to, what they leave out included.
        taken: The place to which the stream was taken; beyond `told` there is no row yet.
        tail: The last bytes before that place, at most `TAIL`, none of them before `told`.
    """

    size: int = 0
    told: int = 0
    taken: int = 0
    tail: bytes = b""


Streams = Mapping[str, Mapping[str, Kept]]
"""By attempt id and name of the stream."""


class Keeping:
    """What one commit keeps.

    Args:
        numbers: Of the run.
        before: How the streams stand before it; left as they are.

    Attributes:
        rows: New rows, `n` left to the caller.
        streams: How the attempts that it is about stand afterwards.
        over: Those that print no more.
    """

    def __init__(self, numbers: Numbers, before: Streams) -> None:
        self.rows: list[Row] = []
        self.streams: dict[str, dict[str, Kept]] = {}
        self.over: list[str] = []
        self._numbers = numbers
        self._before = before
        self._last: dict[str, Row] = {}

    @classmethod
    def of(cls, batch: Batch, numbers: Numbers, before: Streams) -> Self:
        """Take what was printed, and end the streams of the attempts that end with it."""
        found = cls(numbers, before)
        for piece in batch.output:
            found._take(piece)
        for attempt in batch.ended.values():
            found._end(attempt)
        for begun in batch.begun.values():
            found._end(begun)
        for row in found.rows:
            row["text"] = bytes(row["text"])
        return found

    def _take(self, piece: OutputAppended) -> None:
        streams = self._streams(piece.attempt)
        kept = streams.get(piece.stream, Kept())
        data = piece.text.encode(errors="replace")
        room = HEAD - kept.size if kept.told == kept.taken else 0
        head = data[: _boundary(data, room)]
        for text in _parts(head):
            self._add(piece, text)
        streams[piece.stream] = Kept(
            size=kept.size + len(head),
            told=kept.told + len(head),
            taken=kept.taken + len(data),
            tail=(kept.tail + data[len(head) :])[-TAIL:],
        )

    def _add(self, piece: OutputAppended, text: bytes) -> None:
        """A row, or a longer one: commands print lines, and a row for each would be many."""
        last = self._last.get(piece.attempt)
        if last and last["stream"] == piece.stream and len(last["text"]) + len(text) <= TAIL:
            last["text"] += text
        else:
            self._last[piece.attempt] = self._row(piece.attempt, piece.stream, piece.at, bytearray(text), 0)

    def _end(self, attempt: AttemptRecord | AttemptFinished) -> None:
        if attempt.state is AttemptState.RUNNING:
            return
        streams = self._streams(attempt.id)
        for stream, kept in streams.items():
            if kept.told < kept.taken:
                text = _from_a_line(kept)
                self._row(attempt.id, stream, attempt.finished, text, kept.taken - kept.told - len(text))
                streams[stream] = Kept(size=kept.size + len(text), told=kept.taken, taken=kept.taken)
        if attempt.state not in OPEN:
            self.over.append(attempt.id)

    def _streams(self, attempt: str) -> dict[str, Kept]:
        return self.streams.setdefault(attempt, dict(self._before.get(attempt, {})))

    def _row(self, attempt: str, stream: str, at: datetime | None, text: bytes | bytearray, cut: int) -> Row:
        node, phase, n = self._numbers.attempt(attempt)
        key = {"run": self._numbers.run, "node": node, "phase": phase, "attempt": n}
        self.rows.append(key | {"stream": stream, "at": at, "text": text, "cut": cut})
        return self.rows[-1]


def read(connection: Connection, run_id: str, run: int) -> dict[str, dict[str, Kept]]:
    """How the streams of the attempts of a run stand that may print more."""
    of_attempt = (nodes.c.id, attempts.c.phase, attempts.c.n, printed.c.stream)
    size, cut = func.sum(func.length(printed.c.text)), func.sum(printed.c.cut)
    query = (
        select(*of_attempt, size.label("size"), cut.label("cut"))
        .join_from(attempts, nodes, (nodes.c.run == attempts.c.run) & (nodes.c.n == attempts.c.node))
        .join(
            printed,
            (printed.c.run == attempts.c.run)
            & (printed.c.node == attempts.c.node)
            & (printed.c.phase == attempts.c.phase)
            & (printed.c.attempt == attempts.c.n),
        )
        .where(attempts.c.run == run, attempts.c.state.in_(OPEN))
        .group_by(*of_attempt)
    )
    found: dict[str, dict[str, Kept]] = {}
    for row in connection.execute(query):
        place = int(row.size) + int(row.cut)
        streams = found.setdefault(attempt_id(run_id, row.id, row.phase, row.n), {})
        streams[row.stream] = Kept(size=int(row.size), told=place, taken=place)
    return found


def places(streams: Mapping[str, Kept]) -> Mapping[str, int]:
    """The place to which each stream of an attempt was taken."""
    return {stream: kept.taken for stream, kept in streams.items()}


def _parts(data: bytes) -> Iterator[bytes]:
    while data:
        at = _boundary(data, TAIL)
        yield data[:at]
        data = data[at:]


def _boundary(data: bytes, limit: int) -> int:
    """The last place up to `limit` that is not within a character."""
    at = max(min(limit, len(data)), 0)
    while 0 < at < len(data) and data[at] & 0xC0 == 0x80:
        at -= 1
    return at


def _from_a_line(kept: Kept) -> bytes:
    """The end of a stream, from the beginning of a line or at least of a character."""
    text = kept.tail
    if kept.taken - kept.told == len(text):
        return text  # nothing is left out
    start = text.find(b"\n", 0, -1) + 1
    while not start and text and text[0] & 0xC0 == 0x80:
        text = text[1:]
    return text[start:]
