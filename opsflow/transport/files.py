"""Files on hosts with a POSIX shell: sent to a temporary name and renamed into place; read whole, or from the end."""

import hashlib
import secrets
import shlex
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from posixpath import dirname
from typing import BinaryIO, TypeVar, cast

from opsflow.errors import TransferFailed, Unreachable
from opsflow.model import Operation
from opsflow.transport.following import INLINE, call_of
from opsflow.transport.process import CHUNK, Capture, LinkLost
from opsflow.transport.scripts import GET, PLACE, PUT, RECEIVE, TAIL, last_lines, script
from opsflow.transport.target import Target

T = TypeVar("T")
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
    def _repeated(self, work: Callable[[], T]) -> T:
        """Do what may be done twice, again when its connection is lost."""

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
        out = self._read(path, f"{_LARGEST_FILE + 1}\n{GET}", _LARGEST_FILE)
        if out.truncated:
            raise TransferFailed(f"cannot read {path} on {self.where}: it is larger than {_LARGEST_FILE} bytes")
        return out.data

    def tail(self, path: str, lines: int) -> Sequence[str]:
        """The last lines of a file. See `ports.Transport.tail`."""
        out = self._read(path, f"{max(lines, 0)}\n{TAIL}", _LARGEST_TAIL, timeout=_TAIL_SECONDS)
        return last_lines(out.text, lines)

    def _read(self, path: str, rest: str, most: int, *, timeout: float | None = None) -> Capture:
        """What a script says of a file; the path is its first word."""

        def once() -> Capture:
            out, err = Capture("stdout", most), Capture("stderr", _KEPT)
            status, _ = self._run(script(f"set -- {shlex.quote(path)} {rest}"), None, out, err, timeout)
            if status:
                said = _last_line(err) or f"exit status {status}"
                raise TransferFailed(f"cannot read {path} on {self.where}: {said}")
            return out

        return self._repeated(once)

    def _put(self, op: Operation, words: str, stream: BinaryIO, size: int, err: Capture) -> int:
        """A file as an operation: its rename into place is the act; what is large is there beforehand."""
        target = self._claimed(op.run, op.epoch)
        call = call_of(op, words + (PUT if size <= INLINE else PLACE), Capture("stdout", 0), err)
        if size <= INLINE:
            call.body = stream.read()
        elif not call.begun or target.persist(lambda: target.state(call)) == "N":
            start = stream.tell()

            def send() -> int:
                stream.seek(start)
                return self._receive(words + RECEIVE + "trap - EXIT\n", stream, err)

            status = before_the_gate(target, send)
            if status:
                return status
        return target.call(call)[0]

    def _receive(self, command: str, stream: BinaryIO, err: Capture) -> int:
        return self._run(script(command), stream, Capture("stdout", 0), err, None)[0]


def before_the_gate(target: Target, work: Callable[[], T]) -> T:
    """Send what an operation needs. Raises `Unreachable` if it cannot be sent: then nothing has begun."""
    try:
        return target.persist(work)
    except LinkLost as error:
        raise Unreachable(error.reason) from error


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
