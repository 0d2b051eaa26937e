"""Which database, and how it is reached."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from opsflow import Duration, Secret


def _known(value: object) -> object:
    return {"mariadb": "mysql", "postgres": "postgresql"}.get(str(value), value)


def _plain(value: str) -> str:
    if not value or any(ord(c) < ord(" ") or ord(c) == 127 for c in value):
        raise ValueError("must not be empty nor hold control characters")
    return value


Plain = Annotated[str, AfterValidator(_plain)]
"""Text that goes onto a line of its own."""

Compression = Literal["gzip", "zstd", "none"]


class Connection(BaseModel):
    """How the client on the target reaches the server. Nothing given: as the client is configured there."""

    model_config = ConfigDict(extra="forbid")

    host: Plain | None = Field(None, description="Name or address of the server, as seen from the target.")
    port: int | None = Field(None, ge=1, le=65535, description="TCP port of the server.")
    socket: Plain | None = Field(
        None, description="Path of the server's Unix socket on the target; with postgresql, of the socket's directory."
    )
    user: Plain | None = Field(None, description="Account to log in with.")
    password: Secret | None = Field(
        None, description="Its password: `{{ secret('env:NAME') }}`. Never on a command line of the target."
    )
    defaults_file: Plain | None = Field(
        None, description="Option file on the target that is read instead of all others (mysql); may hold the password."
    )
    password_file: Plain | None = Field(
        None, description="Absolute path on the target of the file to look up passwords in (postgresql), not ~/.pgpass."
    )

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        for name in ("defaults_file", "password_file"):
            if self.password and getattr(self, name):
                raise ValueError(f"`password` and `{name}` exclude each other: only one of them would count")
        return self


class Database(BaseModel):
    """A database of a target."""

    model_config = ConfigDict(extra="forbid")

    engine: Annotated[Literal["sqlite", "mysql", "postgresql"], BeforeValidator(_known)] = Field(
        description="`sqlite`; `mysql` for MySQL and MariaDB; or `postgresql`."
    )
    database: Plain = Field(description="Name of the database; with sqlite the path of its file on the target.")
    connection: Connection = Field(
        default_factory=Connection, description="How the server is reached (mysql, postgresql)."
    )
    timeout: Duration | None = Field(None, description="Bounds each command on the target.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.engine == "sqlite" and self.connection.model_dump(exclude_none=True):
            raise ValueError("`connection` is for servers; an sqlite database is a file")
        for name, engine in (("defaults_file", "mysql"), ("password_file", "postgresql")):
            if getattr(self.connection, name) and self.engine != engine:
                raise ValueError(f"`connection.{name}` is for {engine}")
        return self
