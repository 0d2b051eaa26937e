"""The types of the journal's columns.

Times are integers, microseconds since 1970 in UTC: the same on every database, exact, and cheap to compare.
"""

import json
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Dialect, LargeBinary, String, Text, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """To the database."""
        return None if value is None else (value - EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """From the database."""
        return None if value is None else EPOCH + timedelta(microseconds=value)


class Json(TypeDecorator[Any]):
    """JSON in ASCII, so that no character is beyond any database; None is NULL."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """`TEXT` of MySQL holds 64 KiB."""
        return _long(dialect, "LONGTEXT") or super().load_dialect_impl(dialect)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """To the database."""
        return None if value is None else to_json(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        """From the database."""
        return None if value is None else json.loads(value)


class Packed(TypeDecorator[bytes]):
    """Bytes of any length."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """`BLOB` of MySQL holds 64 KiB."""
        return _long(dialect, "LONGBLOB") or super().load_dialect_impl(dialect)


class Word(TypeDecorator[Any]):
    """A state or phase, stored as its word."""

    impl = String(20)
    cache_ok = True

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        """To the database."""
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        """From the database."""
        return None if value is None else self.words(value)


class DatabaseTime(FunctionElement[int]):
    """The database's own clock, microseconds since 1970: the one clock that all control machines share."""

    type = BigInteger()
    inherit_cache = True


@compiles(DatabaseTime, "sqlite")
def _sqlite_time(element: DatabaseTime, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ARG001 - SQLAlchemy's signature
    return "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


@compiles(DatabaseTime, "mysql", "mariadb")
def _mysql_time(element: DatabaseTime, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ARG001 - SQLAlchemy's signature
    return "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"


@compiles(DatabaseTime, "postgresql")
def _postgresql_time(element: DatabaseTime, compiler: SQLCompiler, **kw: Any) -> str:  # noqa: ARG001 - SQLAlchemy's signature
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"


def _long(dialect: Dialect, name: str) -> TypeEngine[Any] | None:
    """MySQL's own type of a name; None for other databases, which start without what SQLAlchemy knows of MySQL."""
    if dialect.name not in {"mysql", "mariadb"}:
        return None
    from sqlalchemy.dialects import mysql  # noqa: PLC0415 - a tenth of the journal's import

    return dialect.type_descriptor(getattr(mysql, name)())


def to_json(value: Any) -> str:
    """Compact JSON, order kept."""
    return _ENCODER.encode(value)


def pack(value: Any) -> bytes:
    """JSON, compressed."""
    return zlib.compress(to_json(value).encode(), level=1)


def unpack(data: bytes) -> Any:
    """What `pack` was given."""
    return json.loads(zlib.decompress(data))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


_ENCODER = json.JSONEncoder(separators=(",", ":"), default=_plain)
