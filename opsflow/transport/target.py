"""One host for one run: operations that happen at most once, whatever becomes of the connections to it."""

import getpass
import json
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field

from opsflow.errors import Diverged, HostsHeld, Interrupted, Unreachable
from opsflow.model import Operation, Recorded, record_of
from opsflow.transport.channel import Channel, Lost, Place, escaped
from opsflow.transport.frames import Frame
from opsflow.transport.process import Capture, Process

INLINE = 8 * 1024
"""Bytes of input that travel with the start; more is spooled on the target beforehand."""
PATIENCE = 60.0
"""Seconds for which a lost connection is made again before an operation's fate is unknown."""

_CONNECTIONS = 4
_PART = 1024 * 1024
_POLL = (0.25, 1.0)
_SILENCE = 15.0
_BACKOFF = (0.1, 5.0)
_STARTING = 20.0
_EMPTY_GATE = 5.0
_CLEAN = 32


@dataclass(slots=True, kw_only=True)
class Call:
    """What is to be done once.

    Attributes:
        id: Its name on the target.
        digest: Hash of what it is.
        text: The script.
        env: Assignments, or empty; `body`: input that travels with it; `spooled`: input is there already.
        timeout: Whole seconds; 0: none.
        out, err: Who takes the output.
        reads: What is kept with it.
        place: Where it is recorded, if it may have been begun.
        begun: Whether it may have been begun.
    """

    id: str
    digest: str
    text: str
    out: Capture
    err: Capture
    env: str = ""
    body: bytes | None = None
    spooled: bool = False
    timeout: int = 0
    reads: str = ""
    place: Place | None = None
    begun: bool = False
    sent: float = field(default=0.0)

    def message(self, slot: int) -> list[str]:
        """The lines that start it, or attach to it."""
        piped = bool(self.env) or self.body is not None
        how = "-" if not (piped or self.spooled) else "f" if not piped else "q" if self.spooled else "p"
        lines = [f"T {escaped(self.text)}"]
        if piped:
            lines += [f"V {escaped(self.env)}", f"I {escaped(self.body or b'')}"]
        if self.reads:
            lines.append(f"R {self.reads}")
        return [*lines, f"S {slot} {self.id} {self.digest} {self.timeout} {how} ."]


def call_of(op: Operation | None, text: str, out: Capture, err: Capture) -> Call:
    """The call of an operation; without one, a read: a call of its own that nobody asks for again."""
    if op is None:
        return Call(id=f"r{secrets.token_hex(12)}.1", digest="-", text=text, out=out, err=err)
    place = Place(**json.loads(op.place)) if op.place else None
    return Call(
        id=op.id, digest=op.digest, text=text, out=out, err=err, reads=op.reads, place=place, begun=place is not None
    )


class Target:
    """The runners of one host for one run. For many threads.

    Args:
        start: Starts a shell of the target. Raises `Unreachable`.
        where: How messages name the host.
        run: Id of the run.
        epoch: Number of its owner.
        shared: Other runs may be at work there too.
    """

    def __init__(self, start: Callable[[], Process], *, where: str, run: str, epoch: int, shared: bool) -> None:
        self.where = where
        self.run_id = run
        self.epoch = epoch
        self._start = start
        self._shared = shared
        self._lock = threading.Lock()
        self._channels: list[Channel] = []
        self._done: list[str] = []
        self._closed = False
        self.opened = 0

    @property
    def place(self) -> Place:
        """Where operations are recorded; connects and claims the host. Raises as `Channel` does."""
        return self._channel().place

    def call(self, call: Call) -> tuple[int, str]:
        """Have something done once, and follow it to its end.

        Returns:
            Its exit status, and flags: `t`: its time ran out; `b`: the machine was booted since.

        Raises:
            Unreachable: certainly not begun.
            Diverged: something else was done under this name.
            Interrupted: its fate cannot be found out.
        """
        gives_up = 0.0
        pause = _BACKOFF[0]
        while True:
            try:
                channel = self._channel()
                known = call.place is None or call.place == channel.place
                with closing(_Following(channel, call)) as following:
                    status = following.to_end(may_start=known)
            except (Lost, Unreachable, HostsHeld) as error:
                if not call.sent and not isinstance(error, Lost):
                    raise
                reason = str(error)
            else:
                self._clean(call.id, channel)
                return status
            now = time.monotonic()
            gives_up = gives_up or now + PATIENCE
            if now > gives_up:
                raise Interrupted(f"the connection to {self.where} was lost, and cannot be made again: {reason}")
            time.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - jitter
            pause = min(pause * 2, _BACKOFF[1])

    def state(self, call: Call) -> str:
        """The letter of what is known of a call; `N`: nothing. Raises `Unreachable`."""
        channel = self._channel()
        try:
            with closing(_Following(channel, call)) as following:
                return following.ask().kind
        except Lost as error:
            raise Unreachable(f"{self.where}: {error}") from error

    def record(self, attempt: str) -> list[Recorded]:
        """The operations of an attempt that the target has on record, in order. Raises `Unreachable`."""
        key = record_of(attempt)
        channel = self._channel()
        found: list[Recorded] = []
        try:
            channel.expect(key)
            channel.send(f"Q {key} .")
            while True:
                frame = channel.wait(key, _SILENCE)
                if frame is None:
                    channel.close("no answer")
                    raise Unreachable(f"{self.where} does not answer")
                if frame.words[0] == ".":
                    return found
                found.append(Recorded(digest=frame.words[0], reads=" ".join(frame.words[1:])))
        except Lost as error:
            raise Unreachable(f"{self.where}: {error}") from error
        finally:
            channel.forget(key)

    def release(self) -> None:
        """The run is over: forget its records and let others have the host. What cannot be reached is left."""
        with suppress(Lost, Unreachable, HostsHeld, Interrupted):
            channel = self._channel()
            channel.expect(self.run_id)
            channel.send("Z .")
            channel.wait(self.run_id, _SILENCE)

    def close(self) -> None:
        """Let the connections go; what runs goes on, and who waits for it is interrupted."""
        with self._lock:
            channels, self._channels = self._channels, []
            self._closed = True
        for channel in channels:
            channel.close()

    def _channel(self) -> Channel:
        """A connection with a free slot, if there may be one."""
        with self._lock:
            if self._closed:
                raise Interrupted(f"the connection to {self.where} was closed")
            self._channels = [c for c in self._channels if c.alive]
            for channel in self._channels:
                if channel.free:
                    return channel
            if len(self._channels) >= _CONNECTIONS:
                return self._channels[secrets.randbelow(_CONNECTIONS)]
            holder = f"{getpass.getuser()}@{socket.gethostname()}"
            made = Channel(
                self._start(),
                where=self.where,
                run=self.run_id,
                epoch=self.epoch,
                holder=holder,
                shared=self._shared,
            )
            self._channels.append(made)
            self.opened += 1
            return made

    def _clean(self, id: str, channel: Channel) -> None:  # noqa: A002 - what it is called
        """Reads need not be kept; they are removed many at a time, with the next message."""
        if not id.startswith("r"):
            return
        with self._lock:
            self._done.append(id.removesuffix(".1"))
            done, self._done = (self._done, []) if len(self._done) >= _CLEAN else ([], self._done)
        if done:
            with suppress(Lost):
                channel.send(f"C {' '.join(done)} .")


class _Following:
    """One call on one channel."""

    def __init__(self, channel: Channel, call: Call) -> None:
        self._channel = channel
        self._call = call
        self._slot = 0
        self._last = ""
        channel.expect(call.id)

    def close(self) -> None:
        """Let the slot go."""
        self._channel.forget(self._call.id)
        if self._slot:
            self._channel.give(self._slot)

    def ask(self) -> Frame:
        """What is known of it. Raises `Lost`."""
        call = self._call
        self._channel.send(f"P {call.id} {call.digest} {call.out.count} {call.err.count} .")
        frame = self._channel.wait(call.id, _SILENCE)
        if frame is None:
            self._channel.close("no answer")
            raise Lost("no answer")
        return frame

    def to_end(self, *, may_start: bool) -> tuple[int, str]:
        """Start it, unless it was begun before; follow it; exit status and flags."""
        call, channel = self._call, self._channel
        frame = None
        if call.begun and (call.sent or not may_start):
            frame = self.ask()
            if frame.kind == "N" and not may_start:
                raise Interrupted(f"{channel.where} has no record of the operation: the machine or its records changed")
        if frame is None or frame.kind == "N":
            self._slot = channel.take()
            call.begun, call.place, call.sent = True, channel.place, time.monotonic()
            channel.send(*call.message(self._slot))
            frame = channel.wait(call.id, _POLL[0])
        return self._follow(frame)

    def _follow(self, frame: Frame | None) -> tuple[int, str]:
        pause = _POLL[0]
        began = time.monotonic()
        while True:
            if frame is None:
                frame = self.ask()
            more = self._take(frame)
            if frame.kind == "E" and not more and frame.words[-1] != "-":
                self._call.out.feed(b"")
                self._call.err.feed(b"")
                return int(frame.words[0]) % 256, frame.words[1]
            waited = time.monotonic() - began
            if (frame.kind == "N" and waited > _STARTING) or (frame.kind == "G" and waited > _EMPTY_GATE):
                self._stuck(frame.kind)
            frame = None
            if not more and self._last != "E":
                frame = self._channel.wait(self._call.id, pause)
                pause = min(pause * 1.5, _POLL[1])

    def _take(self, frame: Frame) -> bool:
        """Take what an answer brings; whether there is more to ask for at once."""
        call, self._last = self._call, frame.kind
        match frame.kind:
            case "M":
                raise Diverged("the operation at this place of the attempt was another one")
            case "F":
                raise Interrupted(f"{self._channel.where}: another session has taken over, or the attempt was ended")
            case "X":
                call.sent = 0.0  # certainly not begun
                raise Unreachable(f"{self._channel.where} cannot take the operation: {' '.join(frame.words)}".rstrip())
        if frame.kind not in "ERL" or frame.words[-1] == "-":
            return False
        if frame.words[-3:-1] != (str(call.out.count), str(call.err.count)):
            return True  # an answer to an earlier question
        for capture, data in ((call.out, frame.out), (call.err, frame.err)):
            if data:
                capture.feed(data)
        if _PART in (len(frame.out), len(frame.err)):
            return True
        if frame.kind == "L":
            why = "the machine was booted" if frame.words[0] == "reboot" else "its supervisor was killed"
            raise Interrupted(f"{self._channel.where}: {why} while the operation ran")
        return False

    def _stuck(self, kind: str) -> None:
        if kind == "G":
            raise Interrupted(f"{self._channel.where}: its supervisor was killed as the operation began")
        self._channel.close("it starts nothing")
        raise Lost("it starts nothing")


def place_text(place: Place) -> str:
    """A place as an intent keeps it."""
    return json.dumps(asdict(place), sort_keys=True)
