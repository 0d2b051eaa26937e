"""What private database servers have in common: files, a port, and a process that may die and comes back."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from opsflow.testing.processes import below, kill

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0


class PrivateServer(ABC):
    """A server that runs while the `with` block does, and leaves nothing behind.

    Attributes:
        user: Name of an account with all privileges, from 127.0.0.1.
        password: Its password.
        port: TCP port on 127.0.0.1; a restart keeps it.
        certificate: The server's own, self-signed for 127.0.0.1; None: it speaks no TLS.
    """

    program: ClassVar[str]
    """The server's program."""
    package: ClassVar[str]
    """The Debian package that has it."""
    stops_at: ClassVar[signal.Signals] = signal.SIGTERM
    """What ends it in good order at once, clients or not."""

    def __init__(self, *, tls: bool = False) -> None:
        self.user = "tester"
        self.password = secrets.token_urlsafe(18)
        self.port = 0
        self.certificate: Path | None = None
        self._tls = tls
        self._home = Path("not-started")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Create the data and start the server.

        Raises:
            FileNotFoundError: it is not installed.
            RuntimeError: it does not start; the message ends with its log.
        """
        self._home = self._make_home()
        try:
            if self._tls:
                self.certificate = self._make_certificate()
            self._install()
            self.port = free_port()
            self._start()
        except BaseException:
            self._clean()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server and remove its files."""
        self._clean()

    @property
    def pid(self) -> int:
        """Process id of the server. Raises `RuntimeError` if it does not run."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    @abstractmethod
    def url(self, database: str) -> str:
        """The URL of a database; the database may not exist yet."""

    @abstractmethod
    def execute(self, sql: str, *, database: str = "") -> str:
        """Run statements with the command line client. Returns its tab-separated output, without column names.

        Raises:
            RuntimeError: a statement failed.
        """

    @abstractmethod
    def create(self, database: str) -> str:
        """Create an empty database, dropping what had its name. Returns its URL."""

    @abstractmethod
    def drop(self, database: str) -> None:
        """Drop a database, whoever is connected to it."""

    def stop(self) -> None:
        """End the server in good order. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(self.stops_at)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End the server at once, as a crash would; what was committed is kept. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            kill([process.pid, *below(process.pid)])
            process.wait()

    def restart(self) -> None:
        """Start the server again on the same data and port, stopping it first if it runs."""
        self.stop()
        self._start()

    @abstractmethod
    def _make_home(self) -> Path:
        """A new directory for all files."""

    @abstractmethod
    def _install(self) -> None:
        """Make the data and the account."""

    @abstractmethod
    def _command(self) -> Sequence[str]:
        """What starts the server."""

    @abstractmethod
    def _greets(self) -> bool:
        """Whether it serves."""

    def _account(self) -> Mapping[str, Any]:
        """Arguments of `subprocess` with which its programs run as whom they must."""
        return {}

    def _start(self) -> None:
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                start_new_session=True,
                **self._account(),
            )
        end = time.monotonic() + _START_SECONDS
        while not self._greets():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                tail = (self._home / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.program} does not start:\n{tail}")
            time.sleep(0.05)

    def _clean(self) -> None:
        self.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def _make_certificate(self) -> Path:
        certificate, key = self._home / "certificate.pem", self._home / "key.pem"
        self._run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key),
             "-out", str(certificate)]
        )  # fmt: skip
        return certificate

    def _run(self, command: Sequence[str], **more: Any) -> str:
        """Run a program of the server's account to its end; its output. Raises `RuntimeError` if it fails."""
        options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "cwd": self._home} | dict(self._account())
        if "input" in more:
            del options["stdin"]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command, capture_output=True, text=True, check=False, **options | more
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}".strip())
        return done.stdout

    def _find(self, program: str) -> str:
        found = shutil.which(program, path=self.places())
        if found is None:
            raise FileNotFoundError(f"{program} is not installed (Debian: {self.package})")
        return found

    @classmethod
    def places(cls) -> str:
        """Where its programs are looked for."""
        return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/libexec"))


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def new_directory(parent: Path | None, name: str) -> Path:
    """A new directory in `parent`, or among the temporary ones."""
    return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent and parent.absolute()))
