"""Brings a database to this version's schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Column, Connection, Inspector, MetaData, String, Table, inspect, select, text

from opsflow.errors import JournalTooNew, JournalUnavailable
from opsflow.journal.tables import HEAD, VERSION_TABLE

_LOCK_SECONDS = 60
_POSTGRESQL_LOCK = 0x6F707366  # any number, the same in every opsflow

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


def current(connection: Connection) -> str:
    """The schema's version; empty if there is none yet."""
    inspector: Inspector = inspect(connection)
    if not inspector.has_table(VERSION_TABLE):
        return ""
    return connection.scalar(select(_version.c.version_num)) or ""


def is_current(connection: Connection) -> bool:
    """Whether nothing needs to be done.

    Raises:
        JournalTooNew: the schema is newer than this program.
    """
    version = current(connection)
    if version > HEAD:
        raise JournalTooNew(
            f"the journal has schema {version}, this opsflow knows schemas up to {HEAD}",
            hint="use the newer opsflow that wrote it",
        )
    return version == HEAD


def upgrade(connection: Connection) -> None:
    """Bring the schema to `HEAD`, one process at a time.

    Args:
        connection: In a transaction; on SQLite it must hold the write lock already.
    """
    with _alone(connection):
        if not is_current(connection):
            _migrate(connection)


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
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), name)
