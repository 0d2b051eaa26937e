"""Files on hosts with a POSIX shell: sent to a temporary name and renamed into place; read whole, or from the end."""

import hashlib
import secrets
import shlex
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from posixpath import dirname
from typing import BinaryIO, cast

from opsflow.errors import TransferFailed
from opsflow.model import Operation
from opsflow.transport.following import INLINE, call_of
from opsflow.transport.process import CHUNK, Capture
from opsflow.transport.scripts import GET, PLACE, PUT, RECEIVE, TAIL, last_lines, script
from opsflow.transport.target import Target

_KEPT = 64 * 1024
_LARGEST_FILE = 64 * 1024 * 1024
_LARGEST_TAIL = 1024 * 1024
_TAIL_SECONDS = 60.0
_SPOOLED = 8 * 1024 * 1024


class FileTransport(ABC):
    """What a transport over a shell does with files. A subclass knows how scripts are run."""

    where: str
    """How messages name the host."""

    @abstractmethod
    def _run(
        self,
        line: bytes,
        body: bytes | BinaryIO | None,
        out: Capture,
        err: Capture,
        timeout: float | None,
    ) -> tuple[int, bool]:
        """Run a script in a shell of its own; its exit status, and whether its time was over."""

    @abstractmethod
    def _claimed(self, run: str, epoch: int) -> Target:
        """The host, claimed for a run."""

    def put(self, source: BinaryIO, path: str, *, mode: int = 0o600, op: Operation | None = None) -> str:
        """Stream `source` into a file. See `ports.Transport.put`.

        The target is told length and checksum beforehand and compares before it renames, so that a lost link leaves
        the old file. A symbolic link at `path` is replaced, not followed.
        """
        with tempfile.SpooledTemporaryFile(_SPOOLED) as spool:
            stream, size, digest = _measured(source, cast("BinaryIO", spool))
            directory = dirname(path) or "."
            temporary = f"{directory}/.opsflow-{op.id if op else secrets.token_hex(8)}"
            words = shlex.join((path, directory, temporary, f"{mode:o}", str(size), digest))
            err = Capture("stderr", _KEPT)
            if op is None:
                status = self._receive(f"set -- {words}\n{PUT}", stream, err)
            else:
                status = self._put(op, f"set -- {words}\n", stream, size, err)
        if status:
            raise TransferFailed(f"cannot write {path} on {self.where}: {_last_line(err) or f'exit status {status}'}")
        return digest

    def get(self, path: str) -> bytes:
        """The whole content of a file of at most 64 MiB. See `ports.Transport.get`."""
        out, err = Capture("stdout", _LARGEST_FILE), Capture("stderr", _KEPT)
        line = script(f"set -- {shlex.quote(path)} {_LARGEST_FILE + 1}\n{GET}")
        status, _ = self._run(line, None, out, err, None)
        if status:
            raise TransferFailed(f"cannot read {path} on {self.where}: {_last_line(err) or f'exit status {status}'}")
        if out.truncated:
            raise TransferFailed(f"cannot read {path} on {self.where}: it is larger than {_LARGEST_FILE} bytes")
        return out.data

    def tail(self, path: str, lines: int) -> Sequence[str]:
        """The last lines of a file. See `ports.Transport.tail`."""
        out, err = Capture("stdout", _LARGEST_TAIL), Capture("stderr", _KEPT)
        line = script(f"set -- {shlex.quote(path)} {max(lines, 0)}\n{TAIL}")
        status, _ = self._run(line, None, out, err, _TAIL_SECONDS)
        if status:
            raise TransferFailed(f"cannot read {path} on {self.where}: {_last_line(err) or f'exit status {status}'}")
        return last_lines(out.text, lines)

    def _put(self, op: Operation, words: str, stream: BinaryIO, size: int, err: Capture) -> int:
        """A file as an operation: its rename into place is the act; what is large is there beforehand."""
        target = self._claimed(op.run, op.epoch)
        call = call_of(op, words + (PUT if size <= INLINE else PLACE), Capture("stdout", 0), err)
        if size <= INLINE:
            call.body = stream.read()
        elif not call.begun or target.state(call) == "N":
            status = self._receive(words + RECEIVE + "trap - EXIT\n", stream, err)
            if status:
                return status
        return target.call(call)[0]

    def _receive(self, command: str, stream: BinaryIO, err: Capture) -> int:
        return self._run(script(command), stream, Capture("stdout", 0), err, None)[0]


def _measured(source: BinaryIO, spool: BinaryIO) -> tuple[BinaryIO, int, str]:
    """A stream with the rest of `source`, its length and its SHA-256; a source that can't be rewound is copied."""
    seekable = source.seekable()
    start = source.tell() if seekable else 0
    digest = hashlib.sha256()
    size = 0
    while piece := source.read(CHUNK):
        digest.update(piece)
        size += len(piece)
        if not seekable:
            spool.write(piece)
    stream = source if seekable else spool
    stream.seek(start)
    return stream, size, digest.hexdigest()


def _last_line(err: Capture) -> str:
    lines = err.text.strip().splitlines()
    return lines[-1] if lines else ""
