"""The control machine's side of `runner/`: one connection to it, used by many threads."""

import secrets
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from opsflow.errors import HostsHeld, Interrupted, Refused, Unreachable
from opsflow.transport.frames import Frame, Frames
from opsflow.transport.opening import FIRST, Cut, unopened
from opsflow.transport.process import Process
from opsflow.transport.program import program

START = ("sh", "-c", f"{FIRST} exec sh")
"""The command to which `runner/` is sent; every login shell understands it."""
SLOTS = 4
"""Operations at the same time on one connection, as `runner/` has it."""

_GREETING = 30.0
_HEARD = 4096
_TAKEN = 0.002
_FULL = 30.0


def refused(message: str) -> Refused:
    """A refusal with what is to be done about it, as far as its words tell."""
    hints = (hint for words, hint in _REMEDIES.items() if words in message)
    return Refused(message, hint=next(hints, "nothing was started; put that right, then resume"))


_REMEDIES = {
    "No space left": "nothing was started; the disk is full or out of inodes (df -h, df -i): make room, then resume",
    "quota exceeded": "nothing was started; make room in the login user's quota, then resume",
    "Read-only": "nothing was started; see in the host's log why (dmesg), mount it for writing, then resume",
}


class Lost(Exception):
    """The connection is of no use any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where operations are recorded. "There is no record" means "it never ran" only if this is still the same.

    Attributes:
        boot: Boot id of the machine.
        base_id: Random id of the directory of records, made with it.
        machine: Machine id, `-` if it has none.
        uid: Who the commands run as.
        base: Path of the directory.
        key: Key of the host, type and fingerprint; empty: it needs none. Checked by who connects.
    """

    boot: str
    base_id: str
    machine: str
    uid: str
    base: str
    key: str = field(default="", compare=False)


class Channel:
    """One runner at the other end of a connection.

    There is no thread of its own: of those who wait for an answer, one reads for all.

    Args:
        process: A shell of the target (`START`), as yet without input.
        where: How messages name the host.
        run: Id of the run for which the host is claimed.
        epoch: Number of the run's owner: an earlier one is refused from now on.
        holder: Who that is, for others who want the host.
        shared: The host is not claimed: several runs may be at work there.

    Raises:
        HostsHeld: another run is at work there.
        Interrupted: a later owner of the run has been there.
        Unreachable: no runner answers, or it cannot work there.
    """

    def __init__(self, process: Process, *, where: str, run: str, epoch: int, holder: str, shared: bool) -> None:
        self.where = where
        self._process = process
        self._run = run
        nonce = secrets.token_hex(12)
        self._frames = Frames(nonce)
        self._sending = threading.Lock()
        self._state = threading.Condition()
        self._reading = False
        self._answers: dict[str, deque[Frame]] = {}
        self._greetings: list[Frame] = []
        self._free = list(range(SLOTS, 0, -1))
        self._broken = ""
        self._ready = False
        self._heard = {"stderr": b"", "stdout": b""}
        self._open = set(self._heard)
        self.messages = 0
        try:
            self._put(program(nonce, run, epoch, holder, shared=shared))
            self.place = self._greeted()
        except Lost as error:
            failed = self._silence(error)
            process.close()
            raise failed from error
        except BaseException:
            process.close()
            raise

    @property
    def free(self) -> int:
        """How many slots are free."""
        return len(self._free)

    @property
    def alive(self) -> bool:
        """Whether nothing is known against it."""
        return not self._broken

    def send(self, *lines: str) -> None:
        """Send one message. Raises `Lost`."""
        self.messages += 1
        self._put("".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape"))

    def wait(self, key: str, seconds: float) -> Frame | None:
        """The next answer about `key`; None if there is none within that time. Raises `Lost`."""
        ends = time.monotonic() + seconds
        while True:
            with self._state:
                while not self._answers[key]:
                    left = ends - time.monotonic()
                    if self._broken:
                        raise Lost(self._broken)
                    if left <= 0:
                        return None
                    if not self._reading:
                        self._reading = True
                        break
                    self._state.wait(left)
                else:
                    return self._answers[key].popleft()
            self._read(max(ends - time.monotonic(), 0.0))

    def expect(self, key: str) -> None:
        """From now on answers about `key` are kept."""
        with self._state:
            self._answers[key] = deque()

    def forget(self, key: str) -> None:
        """Nobody waits for answers about `key` any more."""
        with self._state:
            self._answers.pop(key, None)

    def take(self) -> int:
        """A slot for an operation; waits until one is free. Raises `Lost`."""
        with self._state:
            while not self._free:
                if self._broken:
                    raise Lost(self._broken)
                self._state.wait(1.0)
            return self._free.pop()

    def give(self, slot: int) -> None:
        """The operation in a slot has ended, or was never put into it."""
        with self._state:
            self._free.append(slot)
            self._state.notify_all()

    def close(self, reason: str = "closed") -> None:
        """Let go of the connection; what runs goes on. Idempotent."""
        with self._state:
            first = not self._broken
            self._broken = self._broken or reason
            self._state.notify_all()
        if first:
            self._process.close()

    # Inside

    def _read(self, seconds: float) -> None:
        """Read once, for everybody."""
        found: list[Frame] = []
        broken = ""
        try:
            self._hear("stderr")  # the runner closes it
            data = self._hear("stdout")
            if data is None:
                self._process.wait(min(seconds, 1.0))
                data = self._hear("stdout")
            found.extend(self._frames.feed(data or b""))
            if data == b"":
                self._drain()
                broken = "its connection was closed"
        except Interrupted as error:
            broken = error.reason
        except (OSError, ValueError) as error:  # closed by another thread
            broken = str(error)
        finally:
            with self._state:
                self._reading = False
                for frame in found:
                    if not self._ready:
                        self._greetings.append(frame)
                    elif frame.key in self._answers:
                        self._answers[frame.key].append(frame)
                self._state.notify_all()
        if broken:
            self.close(broken)

    def _hear(self, stream: str) -> bytes | None:
        """What came; the end of what is said before the runner begins is kept."""
        data = self._process.read(stream) if stream in self._open else b""
        if data == b"":
            self._open.discard(stream)
        elif data and not self._ready:
            self._heard[stream] = (self._heard[stream] + data)[-_HEARD:]
        return data

    def _drain(self) -> None:
        """Hear the rest of what was said where no runner began."""
        with suppress(Interrupted, OSError, ValueError):
            while not self._ready and (self._hear("stderr") or self._hear("stdout")):
                pass

    def _silence(self, error: Lost) -> Unreachable:
        """Why no runner answers."""
        try:
            status = self._process.status()
        except Interrupted as lost:
            return Cut(f"{self.where}: no runner answers: {lost.reason}")
        return unopened(self.where, *self._heard.values(), otherwise=str(error) if status is None else "")

    def _put(self, data: bytes) -> None:
        with self._sending:
            view = data
            ends = time.monotonic() + _FULL
            while view:
                if self._broken:
                    raise Lost(self._broken)
                try:
                    taken = self._process.write(view[:65536])
                except (Interrupted, OSError, ValueError) as error:
                    self.close(str(error))
                    raise Lost(str(error)) from error
                if taken is None or time.monotonic() > ends:
                    self._drain()
                    self.close("it reads no more")
                    raise Lost("it reads no more")
                if taken == 0:
                    time.sleep(_TAKEN)
                view = view[taken:]

    def _greeted(self) -> Place:
        ends = time.monotonic() + _GREETING
        while not self._greetings and time.monotonic() < ends:
            self._read(1.0)
            if self._broken and not self._greetings:
                raise Lost(self._broken)
        if not self._greetings:
            raise Lost(f"no answer within {_GREETING:g} s")
        self._ready = True
        frame = self._greetings[0]
        if frame.kind == "H":
            base_id, machine, uid, _, *base = frame.words
            return Place(boot=frame.key, base_id=base_id, machine=machine, uid=uid, base=" ".join(base))
        if frame.key == "stale":
            raise Interrupted(f"{self.where}: a later session has taken over run {self._run}")
        if frame.key == "held":
            run, *by = frame.words
            raise HostsHeld(
                f"{self.where} is at work for run {run}",
                holders={self.where: f"{run} {' '.join(by)}"},
                hint="wait for that run to end, or stop it",
            )
        raise refused(f"{self.where} cannot take operations: {' '.join((frame.key, *frame.words))}")


def escaped(content: str | bytes) -> str:
    """Something as one line for `printf %b`, every byte kept."""
    if isinstance(content, str):
        return content.replace("\\", "\\\\").replace("\n", "\\n")
    return "".join(_BYTES[byte] for byte in content)


_BYTES = [chr(n) if 32 <= n < 127 and n != 92 else f"\\0{n:03o}" for n in range(256)]
