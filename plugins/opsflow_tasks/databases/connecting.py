"""How the clients of a server are started: options, and a password that nobody else sees."""

from opsflow import Context
from opsflow_tasks.databases.params import Connection, Database


def environment(ctx: Context, database: Database) -> dict[str, str]:
    """Environment of the clients, which holds the password: others' environments are for root alone to read.

    It leaves no file behind, whatever dies.
    """
    password = database.connection.password
    if password is None:
        return {}
    return {"PGPASSWORD" if database.engine == "postgresql" else "MYSQL_PWD": ctx.secret(password.name)}


def connected(ctx: Context, database: Database) -> str:
    """Shell function `connected PROGRAM ARGUMENT...`: starts a client with the options of the connection."""
    connection = database.connection
    before = ""
    if database.engine == "postgresql":
        options = _postgresql(connection)
        if connection.password_file:
            before = f"PGPASSFILE={ctx.quote(connection.password_file)} "
    else:
        options = _mysql(connection)
        # An option file of the login would beat the password in the environment.
        before = "HOME=/nonexistent " if connection.password else ""
    quoted = " ".join(ctx.quote(f"--{name}={value}") for name, value in options.items() if value)
    return f'connected() {{ program=$1; shift; {before}"$program" {quoted} "$@"; }}'


def _mysql(connection: Connection) -> dict[str, object]:
    return {
        "defaults-file": connection.defaults_file,  # must be the first
        "host": connection.host,
        "port": connection.port,
        "socket": connection.socket,
        # `localhost` would mean the socket, whatever the port.
        "protocol": "TCP" if connection.port and not connection.socket else None,
        "user": connection.user,
    }


def _postgresql(connection: Connection) -> dict[str, object]:
    return {"host": connection.socket or connection.host, "port": connection.port, "username": connection.user}
