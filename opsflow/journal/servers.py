"""A journal in MySQL, MariaDB or PostgreSQL: how it is connected to, and whether the server keeps what it confirms."""

from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text

DRIVERS = {
    "mysql": ("mysql+pymysql", "mysql"),
    "mariadb": ("mysql+pymysql", "mysql"),
    "mysql+pymysql": ("mysql+pymysql", "mysql"),
    "postgresql": ("postgresql+psycopg", "postgres"),
    "postgres": ("postgresql+psycopg", "postgres"),
    "postgresql+psycopg": ("postgresql+psycopg", "postgres"),
}
"""Scheme of a URL → SQLAlchemy's name, and the extra that installs the driver."""

_MYSQL: dict[str, Any] = {
    "connect_timeout": 10,
    "read_timeout": 60,
    "write_timeout": 60,
    # Strict: what does not fit is an error, never cut.
    "init_command": "SET SESSION sql_mode = 'STRICT_ALL_TABLES', innodb_lock_wait_timeout = 30",
}
_POSTGRESQL: dict[str, Any] = {
    "connect_timeout": 10,
    # A server that has gone without a word is noticed within a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 10,
    "keepalives_count": 5,
    "tcp_user_timeout": 60_000,
}
_SESSION = (
    "SELECT set_config('lock_timeout', '30s', false), "
    "CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', false) END"
)


def engine(url: URL, **common: Any) -> Engine:
    """An engine; what the URL itself says of the connection stays. Raises `ModuleNotFoundError`: no driver."""
    arguments = {"mysql": _MYSQL, "postgresql": _POSTGRESQL}.get(url.get_backend_name())
    if arguments is None:
        return create_engine(url, **common)
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    made = create_engine(url, connect_args=arguments, isolation_level="READ COMMITTED", **common)
    if url.get_backend_name() == "postgresql":
        event.listen(made, "connect", _begin_session)
    return made


def loses(connection: Connection) -> str:
    """What of the server's settings lets a confirmed commit be lost when its machine dies; empty: nothing.

    Sources: MySQL's manual, "The InnoDB Storage Engine and ACID"; MariaDB's, "Binary Log Group Commit and InnoDB Group
    Commit"; PostgreSQL's, "Write Ahead Log".
    """
    if connection.dialect.name == "postgresql":
        return "" if connection.scalar(text("SHOW fsync")) == "on" else "fsync = off"
    if connection.dialect.name not in ("mysql", "mariadb"):
        return ""
    query = "SELECT @@innodb_flush_log_at_trx_commit AS flush, @@log_bin AS log_bin, @@sync_binlog AS sync"
    row = connection.execute(text(query)).one()
    if int(row.flush) != 1:
        return f"innodb_flush_log_at_trx_commit = {row.flush}"
    # With a binary log it is that which decides after a crash whether a transaction had been committed.
    return f"sync_binlog = {row.sync}" if int(row.log_bin) and int(row.sync) != 1 else ""


def _begin_session(connection: Any, record: object) -> None:  # noqa: ARG001 - SQLAlchemy's signature
    connection.autocommit = True
    connection.execute(_SESSION)
    connection.autocommit = False
