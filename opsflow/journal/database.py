"""The database under the journal: how it is reached, what a transaction is, what its errors mean."""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as NoConnection

from opsflow.errors import JournalConflict, JournalUnavailable

T = TypeVar("T")

_DRIVERS = {
    "mysql": ("mysql+pymysql", "mysql"),
    "mariadb": ("mysql+pymysql", "mysql"),
    "mysql+pymysql": ("mysql+pymysql", "mysql"),
    "postgresql": ("postgresql+psycopg", "postgres"),
    "postgres": ("postgresql+psycopg", "postgres"),
    "postgresql+psycopg": ("postgresql+psycopg", "postgres"),
}
"""Scheme of a URL → SQLAlchemy's name, and the extra that installs the driver."""

_PAUSES = (0.0, 0.1, 0.4, 1.0, 2.0, 4.0)
"""Seconds before each new try after a lost connection or a deadlock."""

_DEADLOCK = (1213, "40001", "40P01")
_BUSY_SECONDS = 30
_MYSQL_ARGUMENTS = {
    "connect_timeout": 10,
    "read_timeout": 60,
    "write_timeout": 60,
    # Strict: what does not fit is an error, never cut.
    "init_command": "SET SESSION sql_mode = 'STRICT_ALL_TABLES', innodb_lock_wait_timeout = 30",
}


class Database:
    """Runs pieces of work as transactions, and anew after a lost connection.

    Attributes:
        engine: SQLAlchemy's.
        shown: The URL without password and options, for messages.
    """

    def __init__(self, url: str) -> None:
        """Find the driver; nothing is connected yet.

        Raises:
            JournalUnavailable: the URL is none, its driver is missing, or SQLite's file cannot be made.
        """
        parsed = _parse(url)
        name, extra = _DRIVERS.get(parsed.drivername, (parsed.drivername, ""))
        self.shown = parsed.set(query={}).render_as_string(hide_password=True)
        self._password = str(parsed.password or "")
        try:
            self.engine = _engine(parsed.set(drivername=name))
        except ModuleNotFoundError as error:
            hint = f"pip install 'opsflow[{extra}]'" if extra else f"install the Python module {error.name}"
            raise JournalUnavailable(f"journal {self.shown}: its driver is not installed", hint=hint) from error
        except (NoSuchModuleError, OSError, TypeError) as error:
            raise self._unavailable(error) from error

    def check(self) -> None:
        """Connect once.

        Raises:
            JournalUnavailable: that is not possible, for whatever reason.
        """
        try:
            self.engine.connect().close()
        except Exception as error:  # drivers meet options that they don't know with any error at all
            raise self._unavailable(error) from error

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a short transaction that only reads."""
        return self._run(work, write=False)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction, durable when this returns.

        After a lost connection nobody knows whether the last COMMIT arrived: `work` is called again and must find out.

        Raises:
            JournalConflict: a row that must be unique is there already.
        """
        return self._run(work, write=True)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _run(self, work: Callable[[Connection], T], *, write: bool) -> T:
        pauses = iter(_PAUSES)
        lost = False
        while True:
            try:
                with self.engine.connect().execution_options(opsflow_write=write) as connection, connection.begin():
                    return work(connection)
            except IntegrityError as error:
                raise JournalConflict(f"journal {self.shown}: {self._reason(error)}") from error
            except (DBAPIError, NoConnection, sqlite3.Error) as error:
                # Once a connection was lost, a refused one means that the server is still on its way back.
                lost = lost or (isinstance(error, DBAPIError) and error.connection_invalidated)
                pause = next(pauses, None) if lost or _is_deadlock(error) else None
                if pause is None:
                    raise self._unavailable(error) from error
                time.sleep(pause)

    def _unavailable(self, error: Exception) -> JournalUnavailable:
        return JournalUnavailable(f"journal {self.shown}: {self._reason(error)}")

    def _reason(self, error: Exception) -> str:
        original = getattr(error, "orig", None) or error
        # PyMySQL: (number, message); others: the message.
        reason = str(original.args[-1] if original.args else original).strip() or type(original).__name__
        return reason.replace(self._password, "***") if self._password else reason


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # From None: the cause quotes the URL with its password.
        raise JournalUnavailable(
            "the journal's URL is not one", hint="sqlite:///PATH, mysql://USER:PASSWORD@HOST/DATABASE, postgresql://..."
        ) from None


def _engine(url: URL) -> Engine:
    backend = url.get_backend_name()
    # Parameters hold what tasks were given: they stay out of error messages.
    common: dict[str, Any] = {"hide_parameters": True}
    if backend == "sqlite":
        if url.database and not url.database.startswith((":", "file:")):
            _make_file(Path(url.database))
        engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, **common)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if url.drivername == "mysql+pymysql":
        common |= {"connect_args": _MYSQL_ARGUMENTS, "isolation_level": "READ COMMITTED"}
    elif backend == "postgresql":
        common |= {"connect_args": {"connect_timeout": 10}}
    return create_engine(url, **common)


def _make_file(path: Path) -> None:
    # SQLite gives its other files the mode of this one.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _configure_sqlite(connection: sqlite3.Connection, record: object) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    connection.isolation_level = None  # the module keeps its hands off; `_begin_sqlite` begins
    end = time.monotonic() + _BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] not in ("wal", "memory"):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            # The change of the mode does not wait for another process that is at it.
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that read first and wants to write then may be refused; one that says so at once waits its turn.
    write = connection.get_execution_options().get("opsflow_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _is_deadlock(error: Exception) -> bool:
    original = getattr(error, "orig", None)
    args = getattr(original, "args", ())
    return bool(args and args[0] in _DEADLOCK) or getattr(original, "sqlstate", None) in _DEADLOCK
