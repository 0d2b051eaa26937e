"""One operation, followed on one connection from its start to its end."""

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from opsflow.errors import Diverged, Interrupted, Refused
from opsflow.model import Operation
from opsflow.transport.channel import Channel, Lost, Place, escaped, refused
from opsflow.transport.frames import Frame
from opsflow.transport.process import Capture

POLL = (0.25, 1.0)
"""Seconds between questions for output, at first and at most; a command that ends at once is never asked after."""
SILENCE = 15.0
"""Seconds without an answer after which a connection is given up."""
STARTING = 20.0
"""Seconds after which a start that had no effect is made on another connection."""
EMPTY_GATE = 5.0
"""Seconds after which a gate without a name was left so by a supervisor that was killed."""

INLINE = 8 * 1024
"""Bytes of input that travel with the start; more is spooled on the target beforehand."""

PIPED = 4 * 1024
"""Bytes of input that a target can give to a command without a process that writes them, if they are lines of text."""

LONG = 8 * 1024
"""Characters of a script that goes to its shell through a pipe; a shorter one does in its environment."""

_PART = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Call:
    """What is to be done once.

    Attributes:
        id: Its name on the target.
        digest: Hash of what it is.
        text: The script.
        body: Input that travels with it; `spooled`: input is there already.
        timeout: Whole seconds; 0: none.
        out, err: Who takes the output.
        reads: What is kept with it.
        settled: Records of which the target need keep no more than that they were; told with the start.
        delivery: Which delivery of the attempt asks; the target refuses earlier ones than it has seen.
        place: Where it is recorded, if it may have been begun.
        begun: Whether it may have been begun.
    """

    id: str
    digest: str
    text: str
    out: Capture
    err: Capture
    body: bytes | None = None
    spooled: bool = False
    timeout: int = 0
    reads: str = ""
    delivery: int = 1
    settled: Sequence[str] = ()
    place: Place | None = None
    begun: bool = False
    sent: float = field(default=0.0)

    @property
    def read(self) -> bool:
        """Whether it changes nothing, and may be done again."""
        return self.id.startswith("r")

    def message(self, slot: int) -> list[str]:
        """The lines that start it, or attach to it."""
        lines = [f"C {' '.join(self.settled)} ."] if self.settled else []
        if len(self.text) > LONG:
            lines.append(f"L {escaped(self.text)}")
        else:
            lines += [f"T {line}" for line in self.text.split("\n")]
        how, given = self._given()
        lines += given
        if self.reads:
            lines.append(f"R {self.reads}")
        return [*lines, f"S {slot} {self.id} {self.digest} {self.timeout} {how} {self.delivery} ."]

    def _given(self) -> tuple[str, list[str]]:
        """How it gets its input, and the lines that bring it."""
        body = self.body
        if body is None:
            return ("f" if self.spooled else "-"), []
        if len(body) <= PIPED and body.endswith(b"\n") and b"\0" not in body:
            text = body[:-1].decode("utf-8", "surrogateescape")
            return "h", [f"H {line}" for line in text.split("\n")]
        return "p", [f"I {escaped(body)}"]


def call_of(op: Operation | None, text: str, out: Capture, err: Capture) -> Call:
    """The call of an operation; without one, a read: a call of its own that nobody asks for again."""
    if op is None:
        return Call(id=f"r{secrets.token_hex(12)}.1", digest="-", text=text, out=out, err=err)
    place = Place(**json.loads(op.place)) if op.place else None
    return Call(
        id=op.id,
        digest=op.digest,
        text=text,
        out=out,
        err=err,
        reads=op.reads,
        delivery=op.delivery,
        place=place,
        begun=place is not None,
    )


class Following:
    """One call on one channel."""

    def __init__(self, channel: Channel, call: Call) -> None:
        self._channel = channel
        self._call = call
        self._slot = 0
        self._last = ""
        self._again = call.sent > 0
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
        frame = self._channel.wait(call.id, SILENCE)
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
            frame = channel.wait(call.id, POLL[0])
        return self._follow(frame)

    def _follow(self, frame: Frame | None) -> tuple[int, str]:
        pause = POLL[0]
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
            if (frame.kind == "N" and waited > STARTING) or (frame.kind == "G" and waited > EMPTY_GATE):
                self._stuck(frame.kind)
            frame = None
            if not more and self._last != "E":
                frame = self._channel.wait(self._call.id, pause)
                pause = min(pause * 1.5, POLL[1])

    def _take(self, frame: Frame) -> bool:
        """Take what an answer brings; whether there is more to ask for at once."""
        call, self._last = self._call, frame.kind
        match frame.kind:
            case "M":
                raise Diverged("the operation at this place of the attempt was another one")
            case "F":
                raise Interrupted(f"{self._channel.where}: another session has taken over, or the attempt was ended")
            case "X":
                raise self._refused(" ".join(frame.words))
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

    def _refused(self, why: str) -> Refused | Interrupted:
        """This start was not made. Another one that was sent before it may have been."""
        message = f"{self._channel.where} cannot take the operation: {why}".rstrip()
        if self._again and not self._call.read:
            return Interrupted(f"{message}; it was sent before, and may have begun then")
        self._call.sent = 0.0  # certainly not begun
        return refused(message)

    def _stuck(self, kind: str) -> None:
        if kind == "G":
            place = self._call.place
            booted = place is not None and place.boot != self._channel.place.boot
            why = "the machine was booted" if booted else "its supervisor was killed"
            raise Interrupted(f"{self._channel.where}: {why} as the operation began")
        self._channel.close("it starts nothing")
        raise Lost("it starts nothing")
