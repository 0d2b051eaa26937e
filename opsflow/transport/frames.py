"""What the runner on a target says, taken out of a stream in which anything else may stand too."""

from collections.abc import Iterator
from dataclasses import dataclass

_DATA = frozenset("ERL")
"""Answers whose last word names the streams that follow: `o`, `e`, `oe`; `.`: none; `-`: they are to be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One answer.

    Attributes:
        kind: Its letter; see `runner/mouth.sh`.
        key: Id of the operation, or what else it is about.
        words: What follows.
        out, err: What came of an operation's streams.
    """

    kind: str
    key: str
    words: tuple[str, ...] = ()
    out: bytes = b""
    err: bytes = b""


class Frames:
    """Cuts a stream into frames.

    A frame begins with the nonce at the beginning of a line, and the data in it end with it: only who knows the nonce
    can make one, and no command does.

    Args:
        nonce: What the runner was told to mark its frames with.
    """

    def __init__(self, nonce: str) -> None:
        self._mark = b"\n" + nonce.encode()
        self._buffer = bytearray()
        self._searched = 0
        self._begun: tuple[str, ...] | None = None
        self._streams: dict[str, bytes] = {}

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take some bytes; the frames that are complete with them."""
        self._buffer += data
        while True:
            if self._begun is None and not self._header():
                return
            assert self._begun is not None
            for stream in self._wanted():
                found = self._cut(b"\n")
                if found is None:
                    return
                self._streams[stream] = found
            kind, key, *words = (*self._begun, "")[: max(len(self._begun), 2)]
            streams, self._streams, self._begun = self._streams, {}, None
            yield Frame(kind=kind, key=key, words=tuple(words), out=streams.get("o", b""), err=streams.get("e", b""))

    def _wanted(self) -> list[str]:
        assert self._begun is not None
        has = self._begun[-1] if self._begun[0] in _DATA else ""
        return [stream for stream in "oe" if stream in has and stream not in self._streams]

    def _header(self) -> bool:
        """Find the beginning of the next frame."""
        if self._cut(b" ") is None:
            return False
        ends = self._buffer.find(b"\n")
        if ends < 0:
            self._buffer[:0] = self._mark + b" "  # once more when there is more
            return False
        # The newline stays: the next mark may begin with it.
        self._begun = tuple(self._buffer[:ends].decode("utf-8", "surrogateescape").split(" "))
        del self._buffer[: ends + (1 if self._begun[0] in _DATA else 0)]
        return True

    def _cut(self, after: bytes) -> bytes | None:
        """What stands before the next mark that is followed by `after`, both removed; None: it is not there yet."""
        at = self._buffer.find(self._mark + after, self._searched)
        if at < 0:
            self._searched = max(len(self._buffer) - len(self._mark), 0)
            return None
        found = bytes(self._buffer[:at])
        del self._buffer[: at + len(self._mark) + len(after)]
        self._searched = 0
        return found
