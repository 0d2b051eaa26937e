"""What comes in on a channel, until it is read."""

import threading
from collections import deque
from typing import Protocol

from paramiko.buffered_pipe import PipeTimeout


class _Event(Protocol):
    def set(self) -> None: ...

    def clear(self) -> None: ...


class Incoming:
    """In the place of paramiko's `BufferedPipe`, which moves all that it keeps whenever something comes or goes.

    This one keeps the pieces as they came. Written by the connection's thread, read by another.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pieces: deque[bytes] = deque()
        self._event: _Event | None = None
        self._closed = False

    def set_event(self, event: _Event) -> None:
        """What is set as long as there is something to read, or the end."""
        with self._changed:
            self._event = event
            self._tell()

    def feed(self, data: bytes) -> None:
        """Keep a piece."""
        with self._changed:
            self._pieces.append(data)
            self._changed.notify_all()
            if len(self._pieces) == 1:
                self._tell()

    def close(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._tell()

    def read_ready(self) -> bool:
        """Whether there is something to read."""
        return bool(self._pieces)

    def read(self, nbytes: int, timeout: float | None = None) -> bytes:
        """At most so many bytes; none: the end. Raises `PipeTimeout`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._pieces or self._closed, timeout):
                raise PipeTimeout
            return self._taken(nbytes)

    def empty(self) -> bytes:
        """All that is there; it counts as read."""
        with self._changed:
            return self._taken(sum(map(len, self._pieces)))

    def __len__(self) -> int:
        """How many bytes are there."""
        with self._changed:
            return sum(map(len, self._pieces))

    def _taken(self, most: int) -> bytes:
        taken: list[bytes] = []
        while self._pieces and most > 0:
            piece = self._pieces.popleft()
            if len(piece) > most:
                self._pieces.appendleft(piece[most:])
                piece = piece[:most]
            taken.append(piece)
            most -= len(piece)
        self._tell()
        return b"".join(taken)

    def _tell(self) -> None:
        if self._event is None:
            return
        if self._pieces or self._closed:
            self._event.set()
        else:
            self._event.clear()
