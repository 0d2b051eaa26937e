"""A private PostgreSQL server from the distribution's packages: own data, own port, own account, never root's."""

import os
import pwd
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from opsflow.testing.servers import PrivateServer, new_directory

_DEBIAN = Path("/usr/lib/postgresql")  # VERSION/bin: not on the PATH

_FLAGS = (
    "listen_addresses=127.0.0.1",
    "shared_buffers=16MB",
    "max_connections=40",
    "autovacuum=off",
    "jit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "log_min_messages=fatal",
    "recovery_init_sync_method=syncfs",
)


def installed() -> bool:
    """Whether this machine has what `PrivatePostgreSQL` needs."""
    return all(shutil.which(name, path=PrivatePostgreSQL.places()) for name in ("postgres", "initdb", "psql"))


class PrivatePostgreSQL(PrivateServer):
    """A server that runs while the `with` block does, and leaves nothing behind.

    Its files are among the temporary ones: where root calls it, another account has to reach them.
    """

    program = "postgres"
    package = "postgresql"
    stops_at: ClassVar[signal.Signals] = signal.SIGINT

    def url(self, database: str) -> str:
        """The URL of a database, `postgresql://USER:PASSWORD@127.0.0.1:PORT/DATABASE`; it may not exist yet."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Create an empty database (UTF-8), dropping what had its name. Returns its URL."""
        self.drop(database)
        self.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def drop(self, database: str) -> None:
        """Drop a database, whoever is connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def execute(self, sql: str, *, database: str = "") -> str:
        """Run statements with the command line client. Returns its tab-separated output, without column names.

        Raises:
            RuntimeError: a statement failed.
        """
        options = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator=\t"]
        where = ["--host=127.0.0.1", f"--port={self.port}", f"--username={self.user}", "--set=ON_ERROR_STOP=1"]
        environment = os.environ | {"PGPASSWORD": self.password, "PGOPTIONS": "-c client_min_messages=warning"}
        command = [self._find("psql"), *options, *where, f"--dbname={database or 'postgres'}", "--file=-"]
        return self._run(command, input=sql, env=environment)

    def _make_home(self) -> Path:
        home = new_directory(None, "postgresql")
        if account := self._account():
            shutil.chown(home, account["user"], account["group"])
        return home

    def _account(self) -> Mapping[str, Any]:
        if os.geteuid():
            return {}
        for name in ("postgres", "nobody"):
            with suppress(KeyError):
                found = pwd.getpwnam(name)
                return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
        raise RuntimeError("PostgreSQL does not run as root, and there is no account postgres or nobody")

    def _install(self) -> None:
        password = self._home / "password"
        password.touch(mode=0o600)
        password.write_text(self.password)
        if account := self._account():
            shutil.chown(password, account["user"], account["group"])
        self._run(
            [
                self._find("initdb"),
                f"--pgdata={self._home / 'data'}",
                f"--username={self.user}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--wal-segsize=1",
            ]
        )

    def _command(self) -> Sequence[str]:
        flags = [*_FLAGS, "unix_socket_directories="]  # their paths may be too long
        if self.certificate:
            flags += ["ssl=on", f"ssl_cert_file={self.certificate}", f"ssl_key_file={self._home / 'key.pem'}"]
        options = [option for flag in flags for option in ("-c", flag)]
        return [self._find("postgres"), "-D", str(self._home / "data"), "-p", str(self.port), *options]

    def _greets(self) -> bool:
        # The file's last line says `ready` only once clients are let in.
        try:
            lines = (self._home / "data" / "postmaster.pid").read_text().split("\n")
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready" and lines[0] == str(self.pid)

    @classmethod
    def places(cls) -> str:
        """Where its programs are looked for, Debian's newest version first."""
        versions = sorted(_DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
        return os.pathsep.join([*map(str, versions), super().places()])
