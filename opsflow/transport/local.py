"""The control machine itself."""

import os
import select
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from opsflow.errors import Unreachable
from opsflow.transport.process import CHUNK
from opsflow.transport.scripts import ARGUMENTS
from opsflow.transport.shell import ShellTransport


class LocalTransport(ShellTransport):
    """Runs commands here, as ssh would run them there: by `sh`, in the home directory.

    Args:
        home: Directory in which commands start and which they see as `HOME`; None: the user's own.
    """

    where = "localhost"
    shared = True

    def __init__(self, home: Path | str | None = None) -> None:
        super().__init__()
        self._home = str(home) if home is not None else os.path.expanduser("~")  # noqa: PTH111 - never raises

    def start(self, arguments: Sequence[str] = ARGUMENTS, *, lasting: bool = False) -> "LocalProcess":  # noqa: ARG002
        """Start the shell in a session of its own: no Ctrl-C reaches it."""
        try:
            return LocalProcess(
                subprocess.Popen(
                    arguments,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    cwd=self._home,
                    env={**os.environ, "HOME": self._home},
                    start_new_session=True,
                )
            )
        except OSError as error:
            raise Unreachable(f"cannot start a shell on {self.where} in {self._home}: {error.strerror}") from error


class LocalProcess:
    """A child process and its pipes."""

    def __init__(self, popen: "subprocess.Popen[bytes]") -> None:
        assert popen.stdin
        assert popen.stdout
        assert popen.stderr
        self._popen = popen
        self._stdin = popen.stdin
        self._outputs = {"stdout": popen.stdout, "stderr": popen.stderr}
        for pipe in (popen.stdin, popen.stdout, popen.stderr):
            os.set_blocking(pipe.fileno(), False)
        self._poll = select.poll()
        for pipe in self._outputs.values():
            self._poll.register(pipe, select.POLLIN)
        self._full = False

    def write(self, data: bytes | memoryview) -> int | None:
        """Send some of `data`. See `Process.write`."""
        try:
            taken = os.write(self._stdin.fileno(), data)
        except BlockingIOError:
            taken = 0
        except BrokenPipeError:
            taken = None
        if self._full != (taken == 0):
            self._full = not self._full
            (self._poll.register if self._full else self._poll.unregister)(self._stdin)
        return taken

    def close_input(self) -> None:
        """Let the command see the end of its input."""
        self._stdin.close()

    def read(self, stream: str) -> bytes | None:
        """What came in. See `Process.read`."""
        pipe = self._outputs[stream]
        try:
            data = os.read(pipe.fileno(), CHUNK)
        except BlockingIOError:
            return None
        if not data:
            self._poll.unregister(pipe)
        return data

    def wait(self, seconds: float) -> None:
        """Wait until a pipe is ready."""
        self._poll.poll(seconds * 1000)

    def status(self) -> int | None:
        """The exit status. See `Process.status`."""
        return self._popen.poll()

    def close(self) -> None:
        """Close the pipes; a child that still runs is reaped when it ends."""
        self._stdin.close()
        for pipe in self._outputs.values():
            pipe.close()
        if self._popen.poll() is None:
            threading.Thread(target=self._popen.wait, daemon=True).start()
