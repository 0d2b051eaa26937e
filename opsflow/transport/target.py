"""One host for one run: operations that happen at most once, whatever becomes of the connections to it."""

import getpass
import json
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import asdict
from typing import TypeVar

from opsflow.errors import (
    AuthenticationFailed,
    Cancelled,
    HostKeyRejected,
    HostsHeld,
    Interrupted,
    Refused,
    Unreachable,
)
from opsflow.model import Recorded, record_of
from opsflow.transport import following
from opsflow.transport.channel import Channel, Lost, Place
from opsflow.transport.following import Call, Following
from opsflow.transport.frames import Frame
from opsflow.transport.opening import Cut
from opsflow.transport.process import LinkLost, Process

_T = TypeVar("_T")
_CONNECTIONS = 4
_BACKOFF = (0.1, 5.0)
_STEADY = 60.0
"""Seconds after which a connection that is lost counts as lost for the first time."""
_SETTLED = 32
_FENCING = (0.1, 0.5)
_FINAL = (HostsHeld, HostKeyRejected, AuthenticationFailed, Refused)


class Target:
    """The runners of one host for one run. For many threads.

    Args:
        start: Starts a shell of the target. Raises `Unreachable`.
        where: How messages name the host.
        run: Id of the run.
        epoch: Number of its owner.
        shared: Other runs may be at work there too.
        patience: Seconds for which a lost connection is made again before an operation's fate is unknown.
        spare: Whether one more connection may be made beside the first.
    """

    def __init__(
        self,
        start: Callable[[], Process],
        *,
        where: str,
        run: str,
        epoch: int,
        shared: bool,
        patience: float = 60.0,
        spare: Callable[[], bool] = lambda: True,
    ) -> None:
        self.where = where
        self.run_id = run
        self.epoch = epoch
        self._start = start
        self._shared = shared
        self._patience = patience
        self._spare = spare
        self._lock = threading.Lock()
        self._channels: list[Channel] = []
        self._most = _CONNECTIONS
        self._settled: list[str] = []
        self._closed = False
        self._ended: set[str] = set()
        self.opened = 0

    @property
    def place(self) -> Place:
        """Where operations are recorded; connects and claims the host. Raises as `Channel` does."""
        return self._channel().place

    def call(self, call: Call) -> tuple[int, str]:
        """Have something done once, and follow it to its end.

        Returns:
            Its exit status, and flags: `t`: its time ran out; `b`: the machine was booted
            since; `o`: the disk was full as it ended; `k`: it was cancelled.

        Raises:
            Unreachable: certainly not begun.
            Cancelled: it was ended by `fence`.
            Diverged: something else was done under this name.
            Interrupted: its fate cannot be found out.
        """
        patience = _Patience(self._patience)
        call.settled = self._told()
        while True:
            try:
                channel = self._channel()
                known = call.place is None or call.place == channel.place or call.read
                with closing(Following(channel, call)) as followed:
                    status, flags = followed.to_end(may_start=known)
            except (Lost, Unreachable, HostsHeld) as error:
                if not call.sent and not self._worth_waiting(error):
                    raise
                failed = error
            else:
                if call.id.startswith("r"):  # a read need not be kept
                    self._settle(call.id.removesuffix(".1"))
                if "k" in flags:
                    raise Cancelled(f"{self.where}: the attempt was cancelled while the operation ran")
                return status, flags
            if patience.over():
                if not call.sent:
                    raise Unreachable(str(failed)) from failed
                raise Interrupted(f"the connection to {self.where} was lost, and cannot be made again: {failed}")

    def persist(self, work: Callable[[], _T]) -> _T:
        """Do what may be done twice, and do it again when its connection is lost.

        Raises:
            Unreachable, LinkLost: the host never answered, or does not any more for so long.
        """
        patience = _Patience(self._patience)
        while True:
            try:
                return work()
            except (LinkLost, Unreachable) as error:
                if not self._worth_waiting(error) or self._closed or patience.over():
                    raise

    def state(self, call: Call) -> str:
        """The letter of what is known of a call; `N`: nothing. Raises `Unreachable`."""
        channel = self._channel()
        try:
            with closing(Following(channel, call)) as followed:
                return followed.ask().kind
        except Lost as error:
            raise Unreachable(f"{self.where}: {error}") from error

    def record(self, attempt: str, delivery: int = 1) -> list[Recorded]:
        """The operations of an attempt that the target has on record, in order; earlier deliveries are refused then.

        Raises:
            Interrupted: a later delivery of the attempt has asked.
            Unreachable: no answer came.
        """
        key = record_of(attempt)
        *found, last = self._answers(key, f"Q {key} {delivery} .", last=".")
        if last.kind == "F":
            raise Interrupted(f"{self.where}: another worker has taken over the attempt")
        return [Recorded(digest=frame.words[0], reads=" ".join(frame.words[1:])) for frame in found]

    def ended(self, attempt: str) -> bool:
        """Whether an attempt was told to end."""
        return attempt in self._ended

    def fence(self, attempt: str, *, end: bool = False) -> None:
        """Let nothing more of an attempt start, and wait for what of it runs; with `end`, end that.

        Raises:
            Interrupted: a later owner of the run has been there.
            Unreachable: the target does not say, or not any more, that nothing runs.
        """
        key = record_of(attempt)
        asks = "k" if end else "-"
        if end:
            self._ended.add(attempt)
        pause = _FENCING[0]
        began = time.monotonic()
        while True:
            (frame,) = self._answers(key, f"N {key} {asks} .")
            if frame.kind == "F":
                raise Interrupted(f"{self.where}: a later session has taken over run {self.run_id}")
            runs = frame.words[0]
            unsigned = set(runs) == {"."} and time.monotonic() - began > following.EMPTY_GATE
            if runs == "over" or unsigned:
                return
            asks = "-"
            time.sleep(pause)
            pause = min(pause * 1.5, _FENCING[1])

    def forget(self, attempts: Iterable[str]) -> None:
        """The outcome of attempts is durable: what they printed goes, told with what is started next."""
        for attempt in attempts:
            self._settle(record_of(attempt))

    def release(self) -> None:
        """The run is over: forget its records and let others have the host. What cannot be reached is left."""
        with suppress(Lost, Unreachable, HostsHeld, Interrupted):
            channel = self._channel()
            channel.expect(self.run_id)
            channel.send("Z .")
            channel.wait(self.run_id, following.SILENCE)

    def _worth_waiting(self, error: BaseException) -> bool:
        """Whether a host that answered before, or whose connection was cut as it began to, may do so soon."""
        return not isinstance(error, _FINAL) and (self.opened > 0 or isinstance(error, Cut))

    def close(self) -> None:
        """Let the connections go; what runs goes on, and who waits for it is interrupted."""
        with self._lock:
            channels, self._channels = self._channels, []
            self._closed = True
        for channel in channels:
            channel.close()

    def _answers(self, key: str, message: str, *, last: str = "") -> list[Frame]:
        """What is answered to a message about `key`: one frame, or all up to the one whose first word is `last`.

        Raises:
            Unreachable: no answer came.
        """
        channel = self._channel()
        found: list[Frame] = []
        try:
            channel.expect(key)
            channel.send(message)
            while not found or (last and found[-1].words[:1] not in {(), (last,)}):
                frame = channel.wait(key, following.SILENCE)
                if frame is None:
                    channel.close("no answer")
                    raise Unreachable(f"{self.where} does not answer")
                found.append(frame)
        except Lost as error:
            raise Unreachable(f"{self.where}: {error}") from error
        finally:
            channel.forget(key)
        return found

    def _channel(self) -> Channel:
        """A connection with a free slot, if there may be one."""
        with self._lock:
            if self._closed:
                raise Interrupted(f"the connection to {self.where} was closed")
            self._channels = [c for c in self._channels if c.alive]
            for channel in self._channels:
                if channel.free:
                    return channel
            if not self._channels or (len(self._channels) < self._most and self._spare()):
                try:
                    made = self._made()
                except Unreachable:
                    self._channels = [c for c in self._channels if c.alive]
                    if not self._channels:
                        raise
                    self._most = len(self._channels)  # its server allows no more sessions
                else:
                    self._channels.append(made)
                    self.opened += 1
                    return made
            return secrets.choice(self._channels)

    def _made(self) -> Channel:
        return Channel(
            self._start(),
            where=self.where,
            run=self.run_id,
            epoch=self.epoch,
            holder=f"{getpass.getuser()}@{socket.gethostname()}",
            shared=self._shared,
        )

    def _settle(self, record: str) -> None:
        with self._lock:
            self._settled.append(record)

    def _told(self) -> list[str]:
        """Some of the records that need not be kept."""
        with self._lock:
            some, self._settled = self._settled[:_SETTLED], self._settled[_SETTLED:]
            return some


class _Patience:
    """For how long a connection that is lost is made again; a while in which it held makes that begin anew.

    Args:
        seconds: From the first loss on.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = 0.0
        self._pause = _BACKOFF[0]
        self._tried = time.monotonic()

    def over(self) -> bool:
        """It was lost again: whether that is the end; if not, waits a little."""
        now = time.monotonic()
        if now - self._tried > _STEADY:
            self._ends, self._pause = 0.0, _BACKOFF[0]
        self._ends = self._ends or now + self._seconds
        if now > self._ends:
            return True
        time.sleep(self._pause * (0.5 + random.random() / 2))  # noqa: S311 - jitter
        self._pause = min(self._pause * 2, _BACKOFF[1])
        self._tried = time.monotonic()
        return False


def place_text(place: Place) -> str:
    """A place as an intent keeps it."""
    return json.dumps(asdict(place), sort_keys=True)
