"""Hosts reached by ssh: one connection each, a channel for every operation."""

import logging
import select
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from typing import Any, cast

import paramiko

from opsflow.errors import Unreachable
from opsflow.events import HostKeyAccepted
from opsflow.model import Host
from opsflow.transport.dial import Link, dial, place
from opsflow.transport.incoming import Incoming
from opsflow.transport.opening import Cut
from opsflow.transport.process import LinkLost
from opsflow.transport.scripts import ARGUMENTS
from opsflow.transport.shell import ShellTransport

CHANNELS = 8
"""Operations at the same time on one connection; an sshd takes 10 sessions unless told otherwise."""
LASTING = 6
"""How many of them may stay open until the end: the others are for what comes and goes."""

_LOST = (paramiko.SSHException, OSError, EOFError)
_LAST_BREATH = 0.05
_TAKEN = 1024 * 1024
"""Bytes that are taken at once."""
_PACKET = 32 * 1024 - 64
"""Bytes that make one packet of the size that ssh servers take."""
_SESSION_WAIT = 3.0
_SESSION_PAUSE = 0.1
_SPARE = 3

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # what it has to say comes as an exception as well


class SshTransport(ShellTransport):
    """A host behind an ssh server. Connects at the first operation, and once more if the connection is found dead.

    Args:
        host: Which one, and how it is reached; the rest comes from `~/.ssh/config`.
        gate: Entered while a connection is made, so that not too many are made at once.
        pinned: The key that it showed earlier in the run, type and fingerprint; empty: the first one counts.
        accepted: Unknown keys on the way are accepted and told to this; None: they are refused.
        passphrase: What unlocks its key files; empty: nothing does.
    """

    def __init__(
        self,
        host: Host,
        *,
        gate: AbstractContextManager[object] | None = None,
        pinned: str = "",
        accepted: Callable[[HostKeyAccepted], None] | None = None,
        passphrase: str = "",
    ) -> None:
        super().__init__()
        self.where = place(host)
        self.patience = host.connection.reconnect
        self._pinned = pinned
        self._host = host
        self._gate = gate if gate is not None else nullcontext()
        self._accepted = accepted
        self._passphrase = passphrase
        self._link: Link | None = None
        self._lock = threading.Lock()
        self._channels = threading.BoundedSemaphore(CHANNELS)
        self._lasting = threading.BoundedSemaphore(LASTING)
        self._open: set[paramiko.Channel] = set()
        self._kept: set[paramiko.Channel] = set()

    @property
    def host_key(self) -> str:
        """The key that it has shown. See `ShellTransport.host_key`."""
        return self._pinned

    @property
    def spare(self) -> bool:
        """Whether there is room for more than one lasting channel of a user."""
        return len(self._kept) < _SPARE

    def start(self, arguments: Sequence[str] = ARGUMENTS, *, lasting: bool = False) -> "SshProcess":
        """Start a fixed command on a channel of its own; waits while too many are open that will end."""
        with ExitStack() as undo:
            if lasting:
                if not self._lasting.acquire(blocking=False):
                    raise Unreachable(
                        f"{self.where} has more than {LASTING} users at work", hint="let fewer steps overlap"
                    )
                undo.callback(self._lasting.release)
            self._channels.acquire()
            undo.callback(self._channels.release)
            channel = self._channel(f"exec {shlex.join(arguments)}")
            for known in (self._open, self._kept) if lasting else (self._open,):
                known.add(channel)
                undo.callback(known.discard, channel)
            return SshProcess(channel, self.where, undo.pop_all().close)

    def reach(self) -> None:
        """Connect, if there is no connection. See `ports.Transport.reach`."""
        self._linked()

    def close(self) -> None:
        """Close the connection, if there is one."""
        super().close()
        with self._lock:
            link, self._link = self._link, None
        if link is not None:
            link.close()

    def _channel(self, command: str) -> paramiko.Channel:
        """A channel on which a command was started. As long as it has no input, it does nothing."""
        began = time.monotonic()
        while True:
            link, is_new = self._linked()
            transport = link.transport
            asked = time.monotonic()
            try:
                return self._session(link, command)
            except _LOST as error:
                # What paramiko raises tells little: threads whose channels are refused get each other's errors.
                now = time.monotonic()
                kind = Unreachable if transport.is_active() else Cut
                failed = kind(f"{self.where} opens no session: {error or 'connection lost'}")
                if not transport.is_active() or now - asked >= link.timeout:
                    if is_new or (self._open and transport.is_active()):  # others may still be served
                        raise failed from error
                    transport.close()
                elif self._open <= self._kept and now - began > _SESSION_WAIT:  # none that will end
                    if self._open:
                        failed.hint = "let its ssh server allow more sessions (MaxSessions), or fewer users be at work"
                    raise failed from error
                else:  # the server allows fewer sessions than we do, or has not seen yet that one has ended
                    time.sleep(_SESSION_PAUSE)

    def _session(self, link: Link, command: str) -> paramiko.Channel:
        channel = link.transport.open_session(timeout=link.timeout)
        channel.in_buffer = cast("Any", Incoming())
        try:
            channel.exec_command(command)
        except BaseException:
            channel.close()
            raise
        return channel

    def _linked(self) -> tuple[Link, bool]:
        """The connection, and whether it was just made."""
        with self._lock:
            if self._link is not None:
                if self._link.alive:
                    return self._link, False
                self._link.close()
                self._link = None
            self._link = dial(
                self._host,
                gate=self._gate,
                pinned=self._pinned,
                accepted=self._accepted,
                passphrase=self._passphrase,
            )
            self.where = self._link.where
            self._pinned = self._link.key
            return self._link, True


class SshProcess:
    """A command at the other end of a channel.

    Args:
        channel: Where it was started.
        where: How messages name the host.
        release: Called once when the channel is let go.
    """

    def __init__(self, channel: paramiko.Channel, where: str, release: Callable[[], None]) -> None:
        self._channel = channel
        self._where = where
        self._release = release
        self._receive = {"stdout": channel.recv, "stderr": channel.recv_stderr}
        channel.settimeout(0.0)
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)
        self._full = False

    def write(self, data: bytes | memoryview) -> int | None:
        """Send some of `data`. See `Process.write`."""
        self._full = False
        try:
            return self._channel.send(bytes(data[:_PACKET]))
        except TimeoutError:
            self._full = True
            return 0
        except _LOST:
            return None  # either it has ended or the link is lost; `status` tells

    def close_input(self) -> None:
        """Let the command see the end of its input."""
        with suppress(*_LOST):
            self._channel.shutdown_write()

    def read(self, stream: str) -> bytes | None:
        """What came in. See `Process.read`."""
        try:
            data = self._receive[stream](_TAKEN)
        except TimeoutError:
            return None
        except _LOST as error:
            raise self._interrupted() from error
        if not data:
            del self._receive[stream]
        return data

    def wait(self, seconds: float) -> None:
        """Wait for room, or for output, or for the end where there is no more output. See `Process.wait`."""
        if self._full:
            with self._channel.out_buffer_cv:
                if not self._channel.out_window_size and not self._channel.closed:
                    self._channel.out_buffer_cv.wait(seconds)
        elif self._receive:
            self._poll.poll(seconds * 1000)
        else:
            self._channel.status_event.wait(seconds)

    def status(self) -> int | None:
        """The exit status. See `Process.status`."""
        if not self._channel.exit_status_ready():
            return None
        if self._channel.exit_status >= 0:
            return self._channel.exit_status
        # Closed without a status: by a signal, or because the connection is gone, which its thread tells soon.
        transport = self._channel.get_transport()
        transport.join(_LAST_BREATH)
        if not transport.is_active():
            raise self._interrupted()
        return self._channel.exit_status

    def close(self) -> None:
        """Close the channel."""
        with suppress(*_LOST):
            self._channel.close()
        self._release()

    def _interrupted(self) -> LinkLost:
        return LinkLost(f"the connection to {self._where} was lost")
