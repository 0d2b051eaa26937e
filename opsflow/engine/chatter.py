"""What is printed can wait a little before it is written down."""

import time

_SECONDS = 0.25
_SIZE = 1 << 20
"""Characters of output that may wait."""


class Chatter:
    """What waits to be flushed and is not urgent: else a command that prints line by line would cause many commits."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._count = 0
        self._size = 0

    def take(self, size: int) -> None:
        """One more change or event; `size`: characters of it."""
        self._count += 1
        self._size += size

    def may_wait(self, count: int) -> bool:
        """Whether the `count` changes and events that there are may wait."""
        return count == self._count and self._size < _SIZE and time.monotonic() - self._since < _SECONDS
