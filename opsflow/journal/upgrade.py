"""Brings a database to this version's schema.

A migration only adds, with defaults: a process of an earlier version that has the journal open goes on writing.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import Column, Connection, Inspector, MetaData, String, Table, inspect, select, text

from opsflow.errors import JournalTooNew, JournalUnavailable
from opsflow.journal import sqlite
from opsflow.journal.database import Database
from opsflow.journal.tables import HEAD, VERSION_TABLE, runs
from opsflow.model import Upgrade

_LOCK_SECONDS = 60
_POSTGRESQL_LOCK = 0x6F707366  # any number, the same in every opsflow

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


def opened(url: str) -> Database:
    """A database with this version's schema.

    An empty one gets its tables, and a SQLite file of an earlier version is upgraded, with a copy of it kept. On a
    server other control machines may not be able to follow: there somebody has to say so, once it has runs.

    Raises:
        JournalUnavailable: not reachable, not writable, or of an earlier version on a server.
        JournalTooNew: written by a newer opsflow.
    """
    database = _checked(url)
    try:
        before = database.read(current)
        if not _is_current(before):
            _refuse_unasked(database, before)
            database.write(upgrade)
    except BaseException:
        database.close()
        raise
    return database


def upgraded(url: str) -> tuple[str, Upgrade]:
    """Upgrade a database, wherever it is; the URL to show, and what was done. Raises as `opened`."""
    database = _checked(url)
    try:
        return database.shown, database.write(upgrade)
    finally:
        database.close()


def current(connection: Connection) -> str:
    """The schema's version; empty if there is none yet."""
    inspector: Inspector = inspect(connection)
    if not inspector.has_table(VERSION_TABLE):
        return ""
    return connection.scalar(select(_version.c.version_num)) or ""


def upgrade(connection: Connection) -> Upgrade:
    """Bring the schema to `HEAD`, one process at a time.

    Args:
        connection: In a transaction; on SQLite it must hold the write lock already.
    """
    with _alone(connection):
        before = current(connection)
        if _is_current(before):
            return Upgrade(before=before, after=HEAD)
        copy = _copy(connection, before) if before else None
        _migrate(connection)
        return Upgrade(before=before, after=HEAD, copy=copy)


def _checked(url: str) -> Database:
    database = Database(url)
    try:
        database.check()
    except BaseException:
        database.close()
        raise
    return database


def _refuse_unasked(database: Database, version: str) -> None:
    # One without runs may be what a first opening left that died between two migrations: MySQL commits each.
    if version and database.engine.dialect.name != "sqlite" and database.read(_has_runs):
        raise JournalUnavailable(
            f"journal {database.shown}: it has schema {version}, and this opsflow needs {HEAD}",
            hint="opsflow journal upgrade; from then on all who use it need this version of opsflow",
        )


def _has_runs(connection: Connection) -> bool:
    return connection.scalar(select(runs.c.key).limit(1)) is not None


def _is_current(version: str) -> bool:
    if version > HEAD:
        raise JournalTooNew(
            f"the journal has schema {version}, this opsflow knows schemas up to {HEAD}",
            hint="use the newer opsflow that wrote it",
        )
    return version == HEAD


def _copy(connection: Connection, version: str) -> Path | None:
    """Copy a SQLite file, as it is without this transaction; None: it is none."""
    url = connection.engine.url
    if connection.dialect.name != "sqlite" or not sqlite.is_file(url):
        return None
    original = Path(str(url.database))
    copy = _new_file(original.with_name(f"{original.name}.schema-{version}"))
    try:
        with closing(sqlite3.connect(original)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except BaseException:
        copy.unlink()
        raise
    return copy


def _new_file(path: Path) -> Path:
    """A new empty file, private, of that name or one much like it."""
    for n in range(1, 1000):
        found = path if n == 1 else path.with_name(f"{path.name}-{n}")
        with suppress(FileExistsError):
            os.close(os.open(found, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            return found
    raise JournalUnavailable(f"there are too many copies like {path}", hint="remove those that nobody needs")


def _migrate(connection: Connection) -> None:
    # Imported when needed: it takes longer than everything else that a command does with an up-to-date journal.
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRESQL_LOCK})
    if connection.dialect.name not in ("mysql", "mariadb"):
        yield
        return
    # Its DDL commits by itself; a lock of the session outlives that.
    name = {"name": f"opsflow/{connection.engine.url.database}"[:64]}
    if connection.scalar(text("SELECT GET_LOCK(:name, :wait)"), name | {"wait": _LOCK_SECONDS}) != 1:
        raise JournalUnavailable("another process has been changing the journal's schema for a minute")
    try:
        yield
        # What was written after the last DDL, so that the next in line reads it.
        connection.execute(text("COMMIT"))
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), name)
