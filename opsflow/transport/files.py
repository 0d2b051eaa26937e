"""Files on hosts with a POSIX shell: sent to a temporary name and renamed into place; read whole, or from the end."""

import shlex
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import BinaryIO, TypeVar, cast

from opsflow.errors import Interrupted, TransferFailed, Unreachable
from opsflow.model import Operation
from opsflow.transport.download import OTHER, Download
from opsflow.transport.following import INLINE, call_of
from opsflow.transport.process import Capture, LinkLost, Source
from opsflow.transport.scripts import GET, TAIL, last_lines, script
from opsflow.transport.target import Target
from opsflow.transport.upload import ENDED, PLACE, RECEIVE, Upload

T = TypeVar("T")
_KEPT = 64 * 1024
_LARGEST_FILE = 64 * 1024 * 1024
_SMALL_FILE = 64 * 1024
_LARGEST_TAIL = 1024 * 1024
_TAIL_SECONDS = 60
_SPOOLED = 8 * 1024 * 1024


class FileTransport(ABC):
    """What a transport over a shell does with files. A subclass knows how scripts are run."""

    where: str
    """How messages name the host."""
    _target: Target | None
    """The host as it was claimed last."""

    @abstractmethod
    def _run(
        self,
        line: bytes,
        body: bytes | Source | None,
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

    def put(
        self, source: BinaryIO, path: str, *, mode: int = 0o600, digest: str = "", op: Operation | None = None
    ) -> str:
        """Stream `source` into a file. See `ports.Transport.put`.

        The target is told length and checksum beforehand and compares before it renames, so that a lost link leaves
        the old file. A symbolic link at `path` is replaced, not followed. The file belongs to the user that commands
        run as.
        """
        with tempfile.SpooledTemporaryFile(_SPOOLED) as spool:
            upload = Upload.of(source, cast("BinaryIO", spool), path, mode, digest)
            if op is None:
                upload.begin()
                self._check(path, *self._do(upload.words + RECEIVE + PLACE, upload))
            else:
                self._put(self._claimed(op.run, op.epoch), op, upload)
        return upload.digest

    def get(self, path: str) -> bytes:
        """The whole content of a file of at most 64 MiB. See `ports.Transport.get`."""
        out = self._read(path, f"{_SMALL_FILE + 1}\n{GET}", _SMALL_FILE)
        if out.truncated:
            out = self._read(path, f"{_LARGEST_FILE + 1}\n{GET}", _LARGEST_FILE, alone=True)
        if out.truncated:
            raise TransferFailed(f"cannot read {path} on {self.where}: it is larger than {_LARGEST_FILE} bytes")
        return out.data

    def fetch(self, path: str, into: BinaryIO, *, check: Callable[[], None] = lambda: None) -> str:
        """Stream a file into `into`. See `ports.Transport.fetch`.

        As long as it gets on, a lost link is made again; what is here is kept if the file still begins so.
        """
        load = Download(path, into, check)
        while True:
            most = load.count
            try:
                status, err = self._repeated(lambda: self._receive(load))
            except Unreachable:
                if load.count <= most:
                    raise
                continue
            if status != OTHER:
                break
            load.restart()
        if status:
            raise TransferFailed(f"cannot read {path} on {self.where}: {_last_line(err) or f'exit status {status}'}")
        return load.digest

    def tail(self, path: str, lines: int) -> Sequence[str]:
        """The last lines of a file. See `ports.Transport.tail`."""
        out = self._read(path, f"{max(lines, 0)}\n{TAIL}", _LARGEST_TAIL, timeout=_TAIL_SECONDS)
        return last_lines(out.text, lines)

    def _read(self, path: str, rest: str, most: int, *, timeout: int = 0, alone: bool = False) -> Capture:
        """What a script says of a file; the path is its first word.

        It goes with the host's operations, which costs one round trip and no session; unless it is to go alone, because
        it says much, or there are none.
        """
        text = f"set -- {shlex.quote(path)} {rest}"

        def once() -> Capture:
            out, err = Capture("stdout", most), Capture("stderr", _KEPT)
            if alone or self._target is None:
                status, _ = self._run(script(text), None, out, err, timeout or None)
            else:
                call = call_of(None, text, out, err)
                call.timeout = timeout
                status, _ = self._target.call(call)
            if status:
                said = _last_line(err) or f"exit status {status}"
                raise TransferFailed(f"cannot read {path} on {self.where}: {said}")
            return out

        return self._repeated(once)

    def _receive(self, load: Download) -> tuple[int, Capture]:
        err = Capture("stderr", _KEPT)
        return self._run(script(load.script), None, load, err, None)[0], err

    def _put(self, target: Target, op: Operation, upload: Upload) -> None:
        """A file as an operation: its rename into place is the act; what is large is there beforehand."""
        err = Capture("stderr", _KEPT)
        call = call_of(op, "", Capture("stdout", 0), err)
        upload.notes = f"{target.persist(lambda: target.place).base}/{target.run_id}/{call.id}"
        if upload.size <= INLINE:
            upload.begin()
            call.text, call.body = upload.words + RECEIVE + PLACE, upload.stream.read()
        else:
            if not call.begun or target.persist(lambda: target.state(call)) == "N":
                upload.ended = lambda: target.ended(op.attempt)
                self._send(target, upload)
            call.text = upload.words + PLACE
        self._check(upload.path, target.call(call)[0], err)

    def _send(self, target: Target, upload: Upload) -> None:
        """Have a file on the target under a temporary name. As long as it gets on, a lost link is made again."""
        most = 0
        while True:
            try:
                status, err = before_the_gate(target, lambda: self._try(target, upload))
            except Unreachable:
                if upload.taken <= most:
                    raise
                most = upload.taken
                continue
            if status == ENDED:
                raise Interrupted(f"{self.where}: the attempt was ended while {upload.path} was sent")
            if status == 0 or not upload.taken:
                return self._check(upload.path, status, err)
            upload.temporary = ""  # an earlier try has left something else than it was sent

    def _try(self, target: Target, upload: Upload) -> tuple[int, Capture]:
        """Send a file, or what is missing of it after the try before."""
        _ = target.place  # raises if somebody has taken over, or if we were told to let go
        there = 0
        if upload.temporary:
            out = Capture("stdout", _KEPT)
            self._run(script(f"wc -c < {shlex.quote(upload.temporary)}"), None, out, Capture("stderr", 0), None)
            there = int(out.text or 0)
        upload.begin(there)
        return self._do(upload.words + RECEIVE + "trap - EXIT\n", upload)

    def _do(self, text: str, body: Source) -> tuple[int, Capture]:
        err = Capture("stderr", _KEPT)
        return self._run(script(text), body, Capture("stdout", 0), err, None)[0], err

    def _check(self, path: str, status: int, err: Capture) -> None:
        if status:
            raise TransferFailed(f"cannot write {path} on {self.where}: {_last_line(err) or f'exit status {status}'}")


def before_the_gate(target: Target, work: Callable[[], T]) -> T:
    """Send what an operation needs. Raises `Unreachable` if it cannot be sent: then nothing has begun."""
    try:
        return target.persist(work)
    except LinkLost as error:
        raise Unreachable(error.reason) from error


def _last_line(err: Capture) -> str:
    lines = err.text.strip().splitlines()
    return lines[-1] if lines else ""
