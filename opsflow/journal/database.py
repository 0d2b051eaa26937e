"""The database under the journal: how it is reached, what a transaction is, what its errors mean."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as NoConnection

from opsflow.errors import JournalConflict, JournalError, JournalUnavailable
from opsflow.journal import servers, sqlite

T = TypeVar("T")

_PAUSES = (0.0, 0.1, 0.4, 1.0, 2.0, 4.0)
"""Seconds before each new try after a lost connection or a deadlock."""

_DEADLOCK = (1213, "40001", "40P01")


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
        name, extra = servers.DRIVERS.get(parsed.drivername, (parsed.drivername, ""))
        self._durable = parsed.query.get("durable") != "no"
        self.shown = parsed.set(query={}).render_as_string(hide_password=True)
        self._password = str(parsed.password or "")
        try:
            self.engine = _engine(parsed.set(drivername=name).difference_update_query(["durable"]))
        except ModuleNotFoundError as error:
            hint = f"pip install 'opsflow[{extra}]'" if extra else f"install the Python module {error.name}"
            raise JournalUnavailable(f"journal {self.shown}: its driver is not installed", hint=hint) from error
        except (NoSuchModuleError, OSError, TypeError) as error:
            raise self._unavailable(error) from error

    def check(self) -> None:
        """Connect once, and see whether what is written stays.

        Raises:
            JournalUnavailable: that is not possible, for whatever reason, or the server may lose what it has confirmed.
        """
        try:
            loses = self.read(servers.loses) if self._durable else self.read(lambda _: "")
        except JournalError:
            raise
        except Exception as error:  # drivers meet options that they don't know with any error at all
            raise self._unavailable(error) from error
        if loses:
            why = f"the server may lose what it has confirmed when its machine dies ({loses})"
            raise JournalUnavailable(
                f"journal {self.shown}: {why}",
                hint="set it so that commits are durable; or, if others have copies, add ?durable=no to the URL",
            )

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

    def outside(self, statement: str) -> None:
        """Execute a statement around which there may be no transaction. Raises `JournalUnavailable`."""
        try:
            with closing(self.engine.raw_connection()) as connection:
                connection.cursor().execute(statement)
        except (DBAPIError, NoConnection, sqlite3.Error) as error:
            raise self._unavailable(error) from error

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
        # PyMySQL: (number, message); others: the message. psycopg's goes on with guesses in further lines.
        reason = str(original.args[-1] if original.args else original).strip().partition("\n")[0]
        reason = reason or type(original).__name__
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
    # Parameters hold what tasks were given: they stay out of error messages.
    make = sqlite.engine if url.get_backend_name() == "sqlite" else servers.engine
    return make(url, hide_parameters=True)


def _is_deadlock(error: Exception) -> bool:
    original = getattr(error, "orig", None)
    args = getattr(original, "args", ())
    return bool(args and args[0] in _DEADLOCK) or getattr(original, "sqlstate", None) in _DEADLOCK
