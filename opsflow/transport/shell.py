"""What every transport with a POSIX shell at its far end has in common."""

import io
import math
import secrets
import shutil
import tempfile
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import BinaryIO

from opsflow.errors import Interrupted
from opsflow.model import CommandResult, Operation, Recorded
from opsflow.ports import OutputSink
from opsflow.transport.channel import START
from opsflow.transport.files import FileTransport, T, before_the_gate
from opsflow.transport.following import INLINE, Call, call_of
from opsflow.transport.opening import GUARD, Opening, unopened
from opsflow.transport.process import CHUNK, Capture, Process, Source, communicate, pieces
from opsflow.transport.scripts import ARGUMENTS, IDENTITY, script, script_text
from opsflow.transport.target import Target, place_text

TIMED_OUT = 124
_GRACE = 15.0
_KEPT = 1024 * 1024


class ShellTransport(FileTransport):
    """A transport over a shell. A subclass starts `COMMAND` (or `ARGUMENTS`) and hands out its streams."""

    shared = False
    """Whether several runs may be at work on it at the same time."""
    patience = 60.0
    """Seconds for which a connection lost in the middle of an operation is made again."""

    def __init__(self) -> None:
        self._target: Target | None = None

    @property
    def spare(self) -> bool:
        """Whether a user may have more than one lasting command here."""
        return True

    @property
    def host_key(self) -> str:
        """The key that the host has shown, type and fingerprint; empty: there was no connection, or none needs one."""
        return ""

    @abstractmethod
    def start(self, arguments: Sequence[str] = ARGUMENTS, *, lasting: bool = False) -> Process:
        """Start a fixed command, nothing of the user's in it, in a process group of its own.

        Args:
            arguments: The command.
            lasting: It stays until the transport is closed.

        Raises:
            Unreachable: no connection could be made.
        """

    def close(self) -> None:
        """Let the connection go; what runs goes on. Idempotent."""
        target, self._target = self._target, None
        if target is not None:
            target.close()

    def reach(self) -> None:
        """Make sure that the host lets us in. See `ports.Transport.reach`."""

    def claim(self, run: str, epoch: int) -> str:
        """Claim the host. See `ports.Transport.claim`."""
        target = self._claimed(run, epoch)
        place = target.persist(lambda: target.place)
        return place_text(replace(place, key=self.host_key))

    def record(self, op: Operation) -> Sequence[Recorded]:
        """What an attempt has on record. See `ports.Transport.record`."""
        target = self._claimed(op.run, op.epoch)
        return target.persist(lambda: target.record(op.attempt, op.delivery))

    def fence(self, op: Operation) -> None:
        """Let nothing more of an attempt start. See `ports.Transport.fence`."""
        self._claimed(op.run, op.epoch).fence(op.attempt)

    def cancel(self, op: Operation) -> None:
        """End an attempt. See `ports.Transport.cancel`."""
        self._claimed(op.run, op.epoch).fence(op.attempt, end=True)

    def forget(self, attempts: Sequence[str]) -> None:
        """Outcomes are durable. See `ports.Transport.forget`."""
        if self._target is not None:
            self._target.forget(attempts)

    def release(self) -> None:
        """The run is over. See `ports.Transport.release`."""
        if self._target is not None:
            self._target.release()

    def run(
        self,
        command: str,
        *,
        input: bytes | BinaryIO | None = None,  # noqa: A002 - the contract's word
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        sink: OutputSink | None = None,
        op: Operation | None = None,
    ) -> CommandResult:
        """Run a shell command to its end. See `ports.Transport.run`.

        The streams of an operation are files on the target, so that they outlive the connection. Who opens one anew by
        its name (`>/dev/stderr`, `tee /dev/stdout`) cuts away what was printed before; `>&2`, `>>/dev/stderr` and
        `tee -a` do not.

        Args:
            command: What the target's `sh` is to do, of any length.
            input: Its standard input, sent as it is read; None: empty.
            timeout: Seconds, on the target rounded up to whole ones. Then its process group is ended.
            env: Variables added to its environment.
            cwd: Directory to run in; relative ones begin in the login directory.
            sink: Gets the output while it comes.
            op: Which operation it is; None: a read.

        Raises:
            ValueError: the command cannot be given to a shell.
        """
        line = script(command, env, cwd)
        out, err = Capture("stdout", _KEPT, sink), Capture("stderr", _KEPT, sink)
        target = self._claimed(op.run, op.epoch) if op else self._target
        if target is None or (op is None and input is not None):
            status, timed_out = self._run(line, input, out, err, timeout)
            flags = ""
        else:
            call = call_of(op, script_text(env, cwd, command), out, err)
            call.timeout = 0 if timeout is None else max(math.ceil(timeout), 1)
            self._give_input(target, call, input)
            status, flags = target.call(call)
            timed_out = "t" in flags
            status = TIMED_OUT if timed_out else status
        return CommandResult(
            exit_status=status,
            stdout=out.text,
            stderr=err.text,
            truncated=out.truncated or err.truncated or not {"b", "o"}.isdisjoint(flags),
            timed_out=timed_out,
        )

    def identity(self) -> str:
        """Machine-id, boot id and node name, as far as the machine tells; `-` for what it does not."""
        return " ".join(self.run(IDENTITY, timeout=60).stdout.split())

    def _claimed(self, run: str, epoch: int) -> Target:
        if self._target is None or (self._target.run_id, self._target.epoch) != (run, epoch):
            if self._target is not None:
                self._target.close()
            self._target = Target(
                lambda: self.start(START, lasting=True),
                where=self.where,
                run=run,
                epoch=epoch,
                shared=self.shared,
                patience=self.patience,
                spare=lambda: self.spare,
            )
        return self._target

    def _give_input(self, target: Target, call: Call, given: bytes | BinaryIO | None) -> None:
        """Little input travels with the start; much is on the target before it."""
        if given is None:
            return
        stream = io.BytesIO(given) if isinstance(given, bytes) else given
        head = stream.read(INLINE + 1)
        if len(head) <= INLINE:
            call.body = head
            return
        call.spooled = True
        if call.begun and target.persist(lambda: target.state(call)) != "N":
            return
        with tempfile.TemporaryFile() as spool:
            spool.write(head)
            shutil.copyfileobj(stream, spool, CHUNK)

            def send() -> str:
                spool.seek(0)
                return self.put(spool, f"{target.place.base}/{target.run_id}/{call.id}.in")

            before_the_gate(target, send)

    def _repeated(self, work: Callable[[], T]) -> T:
        return work() if self._target is None else self._target.persist(work)

    def _run(
        self,
        line: bytes,
        body: bytes | Source | None,
        out: Capture,
        err: Capture,
        timeout: float | None,
    ) -> tuple[int, bool]:
        """The exit status of a script, and whether its timeout ended it."""
        mark = secrets.token_hex(12)
        first = f"{GUARD} {mark} {'' if timeout is None else max(math.ceil(timeout), 1)}\n"
        said = {"stdout": Opening("stdout", mark.encode(), out), "stderr": Opening("stderr", mark.encode(), err)}
        limit = None if timeout is None else max(timeout, 1.0) + _GRACE
        began = time.monotonic()
        with closing(self.start()) as process:
            status = communicate(process, pieces(first.encode() + line, body), said, limit=limit)
        if not said["stdout"].begun:
            raise unopened(self.where, said["stderr"].data, said["stdout"].data)
        if status >= 0:
            return status, False
        if timeout is not None and time.monotonic() - began >= timeout:
            return TIMED_OUT, True
        raise Interrupted(f"{self.where}: a signal ended the shell that watched over the command")
