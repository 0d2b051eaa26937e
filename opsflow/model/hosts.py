"""Hosts and how they are reached."""

import ipaddress
import re
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
        key_file: Private key, `~` expanded, and the only one tried; None leaves it to ssh_config, the agent, the
            default keys.
        jump: Hosts to pass through, outermost first, each `[user@]host[:port]`; `("none",)`: none, whatever ssh_config
            says.
        known_hosts: File of known host keys; None means the user's own.
        connect_timeout: Seconds for one connection attempt; None leaves it to ssh_config, then 15.
        keepalive: Seconds between signs of life on a silent connection, 0: none; None leaves it to ssh_config, then 30.
        reconnect: Seconds for which a connection lost in the middle of an operation is made again before the
            operation's fate is unknown.
        become_password: Reference to the secret that sudo is answered, such as `env:NAME`; empty: none.
        key_passphrase: Reference to the secret that unlocks the key files; empty: none.
        become: The user as whom steps work there that do not say it themselves; empty: whoever is logged in.
    """

    transport: str = "ssh"
    address: str = ""
    port: int | None = None
    user: str | None = None
    key_file: str | None = None
    jump: tuple[str, ...] = ()
    known_hosts: str | None = None
    connect_timeout: float | None = None
    keepalive: float | None = None
    reconnect: float = 60.0
    become_password: str = ""
    key_passphrase: str = ""
    become: str = ""


_ADDRESS = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@:\s/]+)@)?(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^@:\[\]\s/]+))(?::(?P<port>[0-9]+))?/?"
)


def split_address(text: str) -> tuple[str | None, str, int | None]:
    """User, host and port of `[user@]host[:port]` or `ssh://...`; an IPv6 address in brackets, if a port follows.

    Raises:
        ValueError: it is nothing of the kind.
    """
    user, _, host = text.rpartition("@")
    if _is_ipv6(host):
        return user or None, host, None
    found = _ADDRESS.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else None
    if not found or (port is not None and not 0 < port < 65536):
        raise ValueError(f"{text!r} names no host: write HOST, USER@HOST or USER@HOST:PORT")
    return found["user"], found["six"] or found["host"], port


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """A value of a host, and where it comes from.

    Attributes:
        name: Of the variable or connection key.
        value: What holds.
        by: Who says it: `all`, `group NAME`, `host`, or a table or variable.
        where: The file, with line and column where they can be told.
        over: The weaker values that it hides, strongest first.
    """

    name: str
    value: Any
    by: str
    where: str
    over: tuple["Provenance", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMembers:
    """What a group is made of: the groups in it, and the hosts that it names itself."""

    children: tuple[str, ...]
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostExplanation:
    """A host, and where all that is known of it comes from; by name."""

    host: Host
    variables: tuple[Provenance, ...]
    connection: tuple[Provenance, ...]
