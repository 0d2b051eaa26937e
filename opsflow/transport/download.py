"""One file on its way from a host: what `send.sh` is told, and where what it says goes."""

import hashlib
import shlex
from collections.abc import Callable
from importlib.resources import files
from typing import BinaryIO

from opsflow.transport.process import Capture

_LINES = files("opsflow.transport").joinpath("send.sh").read_text(encoding="utf-8").splitlines()
_SEND = "".join(f"{line}\n" for line in _LINES if not line.lstrip().startswith("#"))
OTHER = 78
"""Exit status of `send.sh` if the file does not begin with what is here already."""


class Download(Capture):
    """Writes a file as it comes, in one try or several.

    Args:
        path: Which file of the host.
        stream: Where it is written, from its beginning.
        check: Called for every piece; what it raises ends the try.
    """

    def __init__(self, path: str, stream: BinaryIO, check: Callable[[], None]) -> None:
        super().__init__("stdout", 0)
        self._path = path
        self._file = stream
        self._check = check
        self._hash = hashlib.sha256()

    def feed(self, data: bytes) -> None:
        """Take a piece; an empty one is the end. Raises `OSError`."""
        self._check()
        self._file.write(data)
        self._hash.update(data)
        self.count += len(data)

    def restart(self) -> None:
        """Forget what came."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.count = 0

    @property
    def digest(self) -> str:
        """SHA-256 of what came, as hexadecimal digits."""
        return self._hash.hexdigest()

    @property
    def script(self) -> str:
        """What says the rest."""
        return f"set -- {shlex.join((self._path, str(self.count), self.digest))}\n{_SEND}"
