"""A program that makes the connection in place of TCP: ssh_config's ProxyCommand."""

import socket
import subprocess
import tempfile

_GRACE = 2.0
_SAID = 500


class ProxyCommand:
    """The program, started; what it reads and writes is `socket`.

    paramiko's own does not see that the program has ended, and leaves it to be reaped by nobody.

    Args:
        command: As a shell takes it.
    """

    def __init__(self, command: str) -> None:
        self.socket, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - as long as this object
        with theirs:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._stderr,
                start_new_session=True,
            )

    def said(self) -> str:
        """The last line that the program has written to stderr."""
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:_SAID] if lines else ""

    def close(self) -> None:
        """End it."""
        self.socket.close()
        self._process.terminate()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.close()
