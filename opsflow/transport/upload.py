"""One file on its way to a host: what `receive.sh` and the rename after it are told."""

import hashlib
import os
import secrets
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from posixpath import dirname
from typing import BinaryIO

from opsflow.errors import Cancelled
from opsflow.transport.process import CHUNK

_LINES = files("opsflow.transport").joinpath("receive.sh").read_text(encoding="utf-8").splitlines()
RECEIVE = "".join(f"{line}\n" for line in _LINES if not line.lstrip().startswith("#"))
"""Takes the file under a temporary name, which is removed at the end of the script, unless the trap is taken back."""
# The same words as in `receive.sh`.
PLACE = """
[ ! -d "$1" ] || { rm -f -- "$3"; echo "$1: is a directory" >&2; exit 1; }
mv -f -- "$3" "$1" || { rm -f -- "$3"; exit 1; }
[ ! "$7" ] || rm -f -- "$7.${3##*-}.tmp"
sync "$2" 2>/dev/null || sync
"""
"""Renames it into place."""
ENDED = 77
"""Exit status of `receive.sh` if the attempt was fenced."""
_BLOCK = 64 * 1024


@dataclass(slots=True, kw_only=True)
class Upload:
    """A file to be sent, in one try or several; each has a temporary name of its own.

    Attributes:
        stream: Its content, from `start` on.
        size, digest: Length in bytes and SHA-256.
        path, mode: Where it is to be, and its permissions.
        notes: Of what the temporary names are noted, as `receive.sh` has it; empty: they are not.
        ended: Whether it is no longer wanted.
        temporary: Temporary name of this try.
        before: That of the try before, and `taken`: how many bytes of it are taken over.
    """

    stream: BinaryIO
    start: int
    size: int
    digest: str
    path: str
    mode: int
    notes: str = ""
    ended: Callable[[], bool] = lambda: False
    temporary: str = ""
    before: str = ""
    taken: int = 0

    @classmethod
    def of(cls, source: BinaryIO, spool: BinaryIO, path: str, mode: int, digest: str = "") -> "Upload":
        """What is left of `source`, which is copied to `spool` if it cannot be rewound; without `digest` it is read."""
        if not source.seekable():
            shutil.copyfileobj(source, spool, CHUNK)
            source = spool
            source.seek(0)
        start = source.tell()
        if not digest:
            hashed = hashlib.sha256()
            while piece := source.read(CHUNK):
                hashed.update(piece)
            digest = hashed.hexdigest()
        size = source.seek(0, os.SEEK_END) - start
        return cls(stream=source, start=start, size=size, digest=digest, path=path, mode=mode)

    def begin(self, there: int = 0) -> None:
        """Begin a try; of what the one before has sent, so many bytes are there."""
        self.before, self.temporary = self.temporary, f"{dirname(self.path) or '.'}/.opsflow-{secrets.token_hex(8)}"
        self.taken = min(there, self.size) // _BLOCK * _BLOCK
        self.stream.seek(self.start + self.taken)

    @property
    def words(self) -> str:
        """The arguments of the scripts, as their first line."""
        what = (self.path, dirname(self.path) or ".", self.temporary, f"{self.mode:o}", str(self.size), self.digest)
        return f"set -- {shlex.join((*what, self.notes, self.before, str(self.taken // _BLOCK)))}\n"

    def read(self, size: int, /) -> bytes:
        """The next piece of what is to be sent. Raises `Cancelled`."""
        if self.ended():
            raise Cancelled(f"the attempt was cancelled while {self.path} was sent")
        return self.stream.read(size)
