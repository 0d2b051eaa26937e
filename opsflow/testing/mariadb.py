"""A private MariaDB server from the distribution's `mariadbd`: own data, own port, own account."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/usr/libexec"))
_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_SOCKET_PATH_MAX = 100  # sockaddr_un holds 107 bytes; the server appends to it

# A commit survives the death of the server (level 2: the log is in the kernel's hands), not of the machine.
_FLAGS = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--performance-schema=OFF",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-doublewrite=0",
    "--innodb-use-native-aio=0",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=32M",
    "--max-allowed-packet=64M",
    "--character-set-server=utf8mb4",
)


def installed() -> bool:
    """Whether this machine has what `PrivateMariaDB` needs."""
    return all(shutil.which(name, path=_SEARCH) for name in ("mariadbd", "mariadb-install-db", "mariadb"))


class PrivateMariaDB:
    """A server that runs while the `with` block does, and leaves nothing behind.

    Attributes:
        user: Name of an account with all privileges, from 127.0.0.1 and over the socket.
        password: Its password.
        port: TCP port on 127.0.0.1; a restart keeps it.
        socket: Path of the Unix socket.
    """

    def __init__(self, directory: Path | str) -> None:
        """Choose names; nothing is started yet.

        Args:
            directory: An existing directory; a new one for the server's files is made in it.
        """
        self.user = "tester"
        self.password = secrets.token_urlsafe(18)
        self.port = 0
        self.socket = ""
        self._parent = Path(directory)
        self._home = self._parent / "not-started"
        self._process: subprocess.Popen[bytes] | None = None
        self._short: Path | None = None

    def __enter__(self) -> Self:
        """Create the data and start the server.

        Raises:
            FileNotFoundError: MariaDB's server is not installed.
            RuntimeError: it does not start; the message ends with its log.
        """
        self._home = Path(tempfile.mkdtemp(prefix="mariadb-", dir=self._parent.absolute()))
        try:
            self._install()
            self.port = _free_port()
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

    def url(self, database: str) -> str:
        """The URL of a database, `mysql://USER:PASSWORD@127.0.0.1:PORT/DATABASE`; the database may not exist yet."""
        return f"mysql://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Create an empty database (utf8mb4), dropping what had its name. Returns its URL."""
        self.execute(f"DROP DATABASE IF EXISTS `{database}`; CREATE DATABASE `{database}` CHARACTER SET utf8mb4")
        return self.url(database)

    def execute(self, sql: str, *, database: str = "") -> str:
        """Run statements with the command line client. Returns its tab-separated output, without column names.

        Raises:
            RuntimeError: a statement failed.
        """
        options = ["--no-defaults", f"--socket={self.socket}", f"--user={self.user}", "--batch", "--skip-column-names"]
        done = subprocess.run(
            [_find("mariadb"), *options, *([database] if database else [])],
            input=sql,
            env=os.environ | {"MYSQL_PWD": self.password},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return done.stdout

    def stop(self) -> None:
        """End the server in good order. Idempotent."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server at once, as a crash would; what was committed is kept. Idempotent."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start the server again on the same data and port, stopping it first if it runs."""
        self.stop()
        self._start()

    def _install(self) -> None:
        command = [
            _find("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self._home / 'data'}",
            "--auth-root-authentication-method=socket",
            "--skip-test-db",
            "--skip-name-resolve",
            *_as_root(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed:\n{done.stdout}{done.stderr}")
        account = self._home / "account.sql"
        account.touch(mode=0o600)
        with account.open("w") as file:
            for host in ("localhost", "127.0.0.1"):
                who = f"'{self.user}'@'{host}'"
                file.write(f"CREATE OR REPLACE USER {who} IDENTIFIED BY '{self.password}';\n")
                file.write(f"GRANT ALL PRIVILEGES ON *.* TO {who} WITH GRANT OPTION;\n")
        name = self._home / "s"
        if len(str(name)) > _SOCKET_PATH_MAX:
            self._short = Path(tempfile.mkdtemp(prefix="mariadb-"))
            name = self._short / "s"
        self.socket = str(name)

    def _start(self) -> None:
        command = [
            _find("mariadbd"),
            "--no-defaults",
            f"--datadir={self._home / 'data'}",
            f"--tmpdir={self._home}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            f"--pid-file={self._home / 'pid'}",
            f"--init-file={self._home / 'account.sql'}",
            *_FLAGS,
            *_as_root(),
        ]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + _START_SECONDS
        while not self._greets():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                tail = (self._home / "log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"mariadbd does not start:\n{tail}")
            time.sleep(0.05)

    def _greets(self) -> bool:
        # The server listens early but greets only when it serves, that is, when the account is there.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(self.socket)
                return bool(probe.recv(1))
            except OSError:
                return False

    def _end(self, signum: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signum)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _clean(self) -> None:
        self.kill()
        shutil.rmtree(self._home, ignore_errors=True)
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)


def _find(name: str) -> str:
    found = shutil.which(name, path=_SEARCH)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed (Debian: mariadb-server)")
    return found


def _as_root() -> tuple[str, ...]:
    # Without the option the server refuses to run as root; an ordinary user may not give it.
    return ("--user=root",) if os.geteuid() == 0 else ()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
