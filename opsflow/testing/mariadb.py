"""A private MariaDB server from the distribution's `mariadbd`: own data, own port, own account."""

import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path

from opsflow.testing.servers import PrivateServer, new_directory

_SOCKET_PATH_MAX = 100  # sockaddr_un holds 107 bytes; the server appends to it

# A commit survives the death of the server, not of the machine: nothing is synced.
_FLAGS = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--performance-schema=OFF",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
    "--innodb-use-native-aio=0",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=32M",
    "--max-allowed-packet=64M",
    "--character-set-server=utf8mb4",
)


def installed() -> bool:
    """Whether this machine has what `PrivateMariaDB` needs."""
    places = PrivateMariaDB.places()
    return all(shutil.which(name, path=places) for name in ("mariadbd", "mariadb-install-db", "mariadb"))


class PrivateMariaDB(PrivateServer):
    """A server that runs while the `with` block does, and leaves nothing behind.

    Attributes:
        socket: Path of the Unix socket.
    """

    program = "mariadbd"
    package = "mariadb-server"

    def __init__(self, directory: Path | str, *, tls: bool = False, flags: Sequence[str] = ()) -> None:
        """Choose names; nothing is started yet.

        Args:
            directory: An existing directory; a new one for the server's files is made in it.
            tls: It has a certificate.
            flags: More of the server's, which win.
        """
        super().__init__(tls=tls)
        self._flags = flags
        self.socket = ""
        self._parent = Path(directory)
        self._short: Path | None = None

    def url(self, database: str) -> str:
        """The URL of a database, `mysql://USER:PASSWORD@127.0.0.1:PORT/DATABASE`; the database may not exist yet."""
        return f"mysql://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Create an empty database (utf8mb4), dropping what had its name. Returns its URL."""
        self.execute(f"DROP DATABASE IF EXISTS `{database}`; CREATE DATABASE `{database}` CHARACTER SET utf8mb4")
        return self.url(database)

    def drop(self, database: str) -> None:
        """Drop a database, whoever is connected to it."""
        self.execute(f"DROP DATABASE IF EXISTS `{database}`")

    def execute(self, sql: str, *, database: str = "") -> str:
        """Run statements with the command line client. Returns its tab-separated output, without column names.

        Raises:
            RuntimeError: a statement failed.
        """
        options = ["--no-defaults", f"--socket={self.socket}", f"--user={self.user}", "--batch", "--skip-column-names"]
        command = [self._find("mariadb"), *options, *([database] if database else [])]
        return self._run(command, input=sql, env=os.environ | {"MYSQL_PWD": self.password})

    def _make_home(self) -> Path:
        return new_directory(self._parent, "mariadb")

    def _install(self) -> None:
        self._run(
            [
                self._find("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={self._home / 'data'}",
                "--auth-root-authentication-method=socket",
                "--skip-test-db",
                "--skip-name-resolve",
                *_as_root(),
            ],
            # Else its temporary tables are in a directory that somebody may clear while it is at work.
            env=os.environ | {"TMPDIR": str(self._home)},
        )
        account = self._home / "account.sql"
        account.touch(mode=0o600)
        with account.open("w") as file:
            for host in ("localhost", "127.0.0.1"):
                who = f"'{self.user}'@'{host}'"
                file.write(f"CREATE OR REPLACE USER {who} IDENTIFIED BY '{self.password}';\n")
                file.write(f"GRANT ALL PRIVILEGES ON *.* TO {who} WITH GRANT OPTION;\n")
        name = self._home / "s"
        if len(str(name)) > _SOCKET_PATH_MAX:
            self._short = new_directory(None, "mariadb")
            name = self._short / "s"
        self.socket = str(name)

    def _command(self) -> Sequence[str]:
        tls = [f"--ssl-cert={self.certificate}", f"--ssl-key={self._home / 'key.pem'}"] if self.certificate else []
        return [
            self._find("mariadbd"),
            "--no-defaults",
            f"--datadir={self._home / 'data'}",
            f"--tmpdir={self._home}",
            f"--socket={self.socket}",
            f"--port={self.port}",
            f"--pid-file={self._home / 'pid'}",
            f"--init-file={self._home / 'account.sql'}",
            *tls,
            *_FLAGS,
            *self._flags,
            *_as_root(),
        ]

    def _greets(self) -> bool:
        # The server listens early but greets only when it serves, that is, when the account is there.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(self.socket)
                return bool(probe.recv(1))
            except OSError:
                return False

    def _clean(self) -> None:
        super()._clean()
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)


def _as_root() -> tuple[str, ...]:
    # Without the option the server refuses to run as root; an ordinary user may not give it.
    return ("--user=root",) if os.geteuid() == 0 else ()
