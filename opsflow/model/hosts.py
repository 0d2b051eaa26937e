"""Hosts and how they are reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LOCALHOST = "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How a host is reached.

    Attributes:
        transport: `ssh`, `local` or `fake`.
        address: Name or address to connect to.
        port: TCP port; None leaves it to ssh_config, then 22.
        user: Login name; None leaves it to ssh_config, then the caller's.
        key_file: Private key, `~` expanded; None leaves it to ssh_config, the agent, the default keys.
        jump: Hosts to pass through, outermost first, each `[user@]host[:port]`.
        known_hosts: File of known host keys; None means the user's own.
        connect_timeout: Seconds for one connection attempt.
        become_password: Reference to the secret that sudo is answered, such as `env:NAME`; empty: none.
    """

    transport: str = "ssh"
    address: str = ""
    port: int | None = None
    user: str | None = None
    key_file: str | None = None
    jump: tuple[str, ...] = ()
    known_hosts: str | None = None
    connect_timeout: float = 15.0
    become_password: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine of the inventory.

    Attributes:
        name: Its name in the inventory.
        connection: How to reach it.
        vars: Its variables, weaker ones already overridden; values may be templates, rendered when used.
        groups: The groups it belongs to, `all` left out, sorted.
    """

    name: str
    connection: Connection
    vars: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()


def localhost() -> Host:
    """The control machine itself, for steps whose `hosts` is `localhost`."""
    return Host(name=LOCALHOST, connection=Connection(transport="local", address=LOCALHOST))
