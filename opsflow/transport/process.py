"""A command on a host, seen as three streams and an end, and the loop that serves them without threads."""

import codecs
import io
import time
from collections.abc import Iterator, Mapping
from typing import Protocol

from opsflow.errors import Interrupted
from opsflow.ports import OutputSink

CHUNK = 64 * 1024
_PIECE = 1024 * 1024
_SHORTEST_PAUSE = 0.001
_LONGEST_PAUSE = 0.2
_DRAIN_IDLE = 0.5
_DRAIN_MOST = 5.0


class Process(Protocol):
    """A started command. No method blocks, `wait` excepted; each raises `Interrupted` once the link is lost."""

    def write(self, data: bytes | memoryview) -> int | None:
        """Send some of `data`; returns how many bytes were taken, None if the command reads no more."""

    def close_input(self) -> None:
        """Let the command see the end of its input."""

    def read(self, stream: str) -> bytes | None:
        """What came in on `stdout` or `stderr`; None: nothing now; empty: it has ended."""

    def wait(self, seconds: float) -> None:
        """Wait until there may be something to read, or room for what was not taken, at most so long."""

    def status(self) -> int | None:
        """The exit status, None while it runs; negative if a signal ended the process itself."""

    def close(self) -> None:
        """Let go of the streams. The command is not ended."""


class Source(Protocol):
    """What is sent, read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none: the end."""


class Capture:
    """Keeps the beginning of a stream and passes all of it on as text.

    Args:
        stream: `stdout` or `stderr`.
        limit: How many bytes are kept.
        sink: Gets the text as it comes, what is beyond the limit too.

    Attributes:
        count: How many bytes came.
    """

    def __init__(self, stream: str, limit: int, sink: OutputSink | None = None) -> None:
        self._stream = stream
        self._limit = limit
        self._sink = sink
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._kept = io.BytesIO()
        self.truncated = False
        self.count = 0

    def feed(self, data: bytes) -> None:
        """Take a piece; an empty one is the end."""
        self.count += len(data)
        room = self._limit - self._kept.tell()
        self._kept.write(data if len(data) <= room else data[:room])
        self.truncated = self.truncated or len(data) > room
        if self._sink:
            text = self._decoder.decode(data, final=not data)
            if text:
                self._sink(self._stream, text)

    @property
    def data(self) -> bytes:
        """The bytes kept."""
        return self._kept.getvalue()

    @property
    def text(self) -> str:
        """The bytes kept as text; invalid UTF-8 replaced, a character cut by the limit left out."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return decoder.decode(self.data, final=not self.truncated)


class LinkLost(Interrupted):
    """The connection under a command was lost."""


def pieces(head: bytes, body: bytes | Source | None) -> Iterator[bytes]:
    """`head`, then the body, in pieces small enough to send."""
    for block in (head, body or b""):
        if isinstance(block, bytes):
            yield from (block[at : at + _PIECE] for at in range(0, len(block), _PIECE))
        else:
            while piece := block.read(_PIECE):
                yield piece


def communicate(
    process: Process, source: Iterator[bytes], captures: Mapping[str, Capture], *, limit: float | None
) -> int:
    """Send the input and take the output until the process has ended.

    What it left running in the background may keep the output open: once the status is known, the rest is taken as
    long as it comes without pauses.

    Args:
        process: What was started.
        source: Its input.
        captures: Who takes the output, by stream.
        limit: Seconds after which nothing is waited for any more.

    Returns:
        Its status, as `Process.status` says it.

    Raises:
        Interrupted: the link was lost, or the limit is over.
    """
    began = time.monotonic()
    feed = _Feed(process, source)
    unread = dict(captures)
    pause = _SHORTEST_PAUSE
    ended = moved_at = 0.0
    while True:
        status = process.status()  # asked before reading: what was written before the end is then there to read
        moved = feed.step() if status is None else False
        for stream in list(unread):
            data = process.read(stream)
            if data is not None:
                moved = True
                captures[stream].feed(data)
                if not data:
                    del unread[stream]
        now = time.monotonic()
        if status is not None:
            ended = ended or now
            moved_at = now if moved or not moved_at else moved_at
            if not unread or now - moved_at > _DRAIN_IDLE or now - ended > _DRAIN_MOST:
                return status
        if limit is not None and now - began > limit:
            raise Interrupted(f"no word from the command within {limit:g} s")
        if moved:
            pause = _SHORTEST_PAUSE
        else:
            process.wait(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


class _Feed:
    """The input on its way to the command."""

    def __init__(self, process: Process, source: Iterator[bytes]) -> None:
        self._process = process
        self._source = source
        self._piece: memoryview | None = None
        self._next()

    def step(self) -> bool:
        """Send what is taken now, at most a piece; whether that was anything."""
        moved = False
        while self._piece is not None:
            taken = self._process.write(self._piece)
            if taken == 0:
                break
            moved = True
            if taken is not None and taken < len(self._piece):
                self._piece = self._piece[taken:]
                continue
            self._piece = None
            if taken is not None:
                self._next()
            if self._piece is None:
                self._process.close_input()
            break
        return moved

    def _next(self) -> None:
        piece = next(self._source, None)
        self._piece = None if piece is None else memoryview(piece)
