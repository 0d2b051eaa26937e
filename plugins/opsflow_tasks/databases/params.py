"""Which database, and how it is reached."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from opsflow import Context, Duration, Secret


def _known(value: object) -> object:
    if value in {"postgresql", "postgres"}:
        raise ValueError("postgresql is not supported by this version; sqlite and mysql are")
    return "mysql" if value == "mariadb" else value


def _plain(value: str) -> str:
    if not value or any(ord(c) < ord(" ") or ord(c) == 127 for c in value):
        raise ValueError("must not be empty nor hold control characters")
    return value


Plain = Annotated[str, AfterValidator(_plain)]
"""Text that goes onto a line of its own."""

Compression = Literal["gzip", "none"]


class Connection(BaseModel):
    """How the client on the target reaches the server. Nothing given: as the client is configured there."""

    model_config = ConfigDict(extra="forbid")

    host: Plain | None = Field(None, description="Name or address of the server, as seen from the target.")
    port: int | None = Field(None, ge=1, le=65535, description="TCP port of the server.")
    socket: Plain | None = Field(None, description="Path of the server's Unix socket on the target.")
    user: Plain | None = Field(None, description="Account to log in with.")
    password: Secret | None = Field(
        None, description="Its password: `{{ secret('env:NAME') }}`. Never on a command line of the target."
    )
    defaults_file: Plain | None = Field(
        None, description="Option file on the target that is read instead of all others; may hold the password."
    )

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password and self.defaults_file:
            raise ValueError("`password` and `defaults_file` exclude each other: the file's password would win")
        return self

    def options(self, ctx: Context) -> str:
        """Options of the client, quoted for the shell; an option file must be the first."""
        given = {"defaults-file": self.defaults_file, "host": self.host, "port": self.port, "socket": self.socket}
        if self.port and not self.socket:
            given["protocol"] = "TCP"  # `localhost` would mean the socket, whatever the port
        given["user"] = self.user
        return " ".join(ctx.quote(f"--{name}={value}") for name, value in given.items() if value)

    def environment(self, ctx: Context) -> dict[str, str]:
        """Environment of the client, which holds the password."""
        return {"MYSQL_PWD": ctx.secret(self.password.name)} if self.password else {}


class Database(BaseModel):
    """A database of a target."""

    model_config = ConfigDict(extra="forbid")

    engine: Annotated[Literal["sqlite", "mysql"], BeforeValidator(_known)] = Field(
        description="`sqlite`, or `mysql` for MySQL and MariaDB."
    )
    database: Plain = Field(description="Name of the database; with sqlite the path of its file on the target.")
    connection: Connection = Field(default_factory=Connection, description="How the server is reached (mysql).")
    timeout: Duration | None = Field(None, description="Bounds each command on the target.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.engine == "sqlite" and self.connection.model_dump(exclude_none=True):
            raise ValueError("`connection` is for servers; an sqlite database is a file")
        return self
