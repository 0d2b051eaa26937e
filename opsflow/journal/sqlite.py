"""A journal in a file: what makes its commits durable, and where the file must not be."""

import os
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event

from opsflow.errors import JournalUnavailable

_BUSY_SECONDS = 30
_MEMORY = ("", ":memory:")
_MOUNTS = Path("/proc/self/mountinfo")

_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "lustre", "9p", "davfs", "vboxsf"}
) | {
    f"fuse.{name}"
    for name in ("sshfs", "ceph", "glusterfs", "s3fs", "rclone", "davfs2", "gvfsd-fuse", "curlftpfs", "smbnetfs")
}
"""File systems whose other users this machine does not know: SQLite's locks and shared memory do not reach them."""


def is_file(url: URL) -> bool:
    """Whether the URL names an ordinary file."""
    return bool(url.database) and not str(url.database).startswith((":", "file:"))


def engine(url: URL, **common: Any) -> Engine:
    """An engine on a file, which is made if need be; without a path, on memory that lasts as long as the engine.

    Raises:
        OSError: the file cannot be made.
        JournalUnavailable: it would be where SQLite is not safe.
    """
    arguments: dict[str, Any] = {"timeout": _BUSY_SECONDS}
    if is_file(url):
        path = Path(str(url.database))
        if kind := network_kind(path):
            raise JournalUnavailable(
                f"journal {url.set(query={}).render_as_string()}: the file would be on a network file system ({kind}), "
                "where SQLite's locks are not safe",
                hint="say --journal sqlite:///PATH with a path on a disk of this machine, or use a database server",
            )
        _make_file(path)
    elif (url.database or "") in _MEMORY:
        # All threads use the one connection there is, one after the other.
        common |= {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
        arguments["check_same_thread"] = False
    made = create_engine(url, connect_args=arguments, **common)
    event.listen(made, "connect", _configure)
    event.listen(made, "begin", _begin)
    return made


def wal_is_safe(version: tuple[int, int, int]) -> bool:
    """Whether a version of SQLite has no WAL-reset bug, by which connections at work at once may damage the file.

    Source: https://sqlite.org/wal.html#walresetbug; mended in 3.51.3, 3.50.7 and 3.44.6.
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0)


def network_kind(path: Path) -> str:
    """The type of the network file system that a path is on, as mount(8) names it; empty if it is on none.

    Source: proc_pid_mountinfo(5), fields 5 and, behind the separator, 9.
    """
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return ""
    place, found, longest = path.absolute().resolve(), "", -1
    for line in lines:
        before, _, after = line.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), before.split()[4]))
        # The last of those mounted at one point is the one that is seen.
        if place.is_relative_to(point) and len(point.parts) >= longest:
            found, longest = after.split()[0], len(point.parts)
    return found if found in _NETWORK else ""


def _make_file(path: Path) -> None:
    # SQLite gives its other files the mode of this one.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _configure(connection: sqlite3.Connection, record: object) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    connection.isolation_level = None  # the module keeps its hands off; `_begin` begins
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
    _set_journal_mode(connection)
    # With it a commit is on the disk when it returns, in either mode.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _set_journal_mode(connection: sqlite3.Connection) -> None:
    wanted = "wal" if wal_is_safe(sqlite3.sqlite_version_info) else "truncate"
    end = time.monotonic() + _BUSY_SECONDS
    while (mode := connection.execute("PRAGMA journal_mode").fetchone()[0]) not in (wanted, "memory"):
        try:
            if connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()[0] == wanted:
                return
        except sqlite3.OperationalError:
            # The change of the mode does not wait for another process that is at it.
            if time.monotonic() > end:
                if mode != "wal":
                    raise
                raise sqlite3.OperationalError(
                    "a process with another SQLite uses it with write-ahead logging, which this SQLite "
                    f"({sqlite3.sqlite_version}) may damage: wait until that has ended"
                ) from None
            time.sleep(0.02)
        else:
            raise sqlite3.OperationalError(f"its journal mode cannot be {wanted}, it stays {mode}")


def _begin(connection: Connection) -> None:
    # A transaction that read first and wants to write then may be refused; one that says so at once waits its turn.
    write = connection.get_execution_options().get("opsflow_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
