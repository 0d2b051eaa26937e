"""Where a report goes: a stream whose reader may leave without the run noticing."""

import contextlib
import os
from typing import TextIO


class LastingStream:
    """Writes to a stream; when its reader is gone (closed pipe, hung-up terminal), to nowhere.

    A run must not die in the middle because nobody looks any more.

    Attributes:
        lost: Whether the reader is gone.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost = False

    def write(self, text: str) -> int:
        """Write, or let it go."""
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:  # the terminal's encoding is narrower than what hosts say
            encoding = self._stream.encoding or "ascii"
            return self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except OSError:
            self._give_up()
            return len(text)

    def line(self, text: str = "") -> None:
        """Write a line and see to it that it arrives."""
        self.write(text + "\n")
        self.flush()

    def flush(self) -> None:
        """Send what is buffered, or let it go."""
        try:
            self._stream.flush()
        except OSError:
            self._give_up()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor, for the terminal's size."""
        return self._stream.fileno()

    @property
    def encoding(self) -> str:
        """The encoding of the stream."""
        return self._stream.encoding or "utf-8"

    def _give_up(self) -> None:
        self.lost = True
        # What is still buffered goes to nowhere too: at exit the interpreter would try again to send it.
        with contextlib.suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
