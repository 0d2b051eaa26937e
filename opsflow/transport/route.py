"""The way to a host: the machines to pass through and the host itself, as inventory and ssh_config have them."""

import getpass
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opsflow.errors import Unreachable
from opsflow.model import Host, split_address
from opsflow.transport.known_hosts import known_name
from opsflow.transport.ssh_config import lookup, unheeded

CONNECT_TIMEOUT = 15.0
KEEPALIVE = 30.0

_USER_FILES = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
_SYSTEM_FILES = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
_DEFAULT_KEYS = tuple(f"~/.ssh/id_{kind}" for kind in ("ed25519", "ecdsa", "rsa"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """Who logs in with what.

    Attributes:
        user: The login name.
        wanted: Key files that were named, in order.
        others: Key files that are tried after the agent's keys.
        certificates: Files of certificates for any of them.
        agent: Socket of the agent; empty: none.
        only: Of the agent's keys, only those that are in `wanted`.
    """

    user: str
    wanted: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    certificates: tuple[Path, ...] = ()
    agent: str = ""
    only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One machine on the way, the host itself too.

    Attributes:
        address: Name or address to connect to.
        port: TCP port.
        identities: Who logs in.
        known_as: Its name in files of known hosts.
        known_files: These files; the first is the one to which a key is added.
        hashes: Whether names are hashed there.
        timeout: Seconds to connect.
        keepalive: Seconds between signs of life; 0: none.
        command: Program that makes the connection in place of TCP; empty: none.
        unheeded: Options of ssh_config that may be why it cannot be reached.
    """

    address: str
    port: int
    identities: Identities
    known_as: str
    known_files: tuple[Path, ...]
    hashes: bool
    timeout: float
    keepalive: float
    command: str = ""
    unheeded: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.identities.user}@{self.address}:{self.port}"


def route(host: Host) -> tuple[Hop, ...]:
    """The machines between here and a host, outermost first, the host last.

    A machine to pass through that is named in the inventory or in a ProxyJump is looked up in ssh_config like any
    other, so that it may have a user, a port, keys and a way of its own; of several in a row, the first may.

    Raises:
        Unreachable: the configuration cannot be followed.
    """
    return _route(host, host.connection.address or host.name, host.connection.user, host.connection.port, ())


def _route(host: Host, name: str, user: str | None, port: int | None, within: Sequence[str]) -> tuple[Hop, ...]:
    options = lookup(name, user=user, port=port)
    is_end = not within
    command = str(options.get("proxycommand") or "")
    jump = ",".join(host.connection.jump) if is_end else ""
    hop = _hop(host, name, options, is_end=is_end, command="" if jump else command)
    jump = jump or ("" if command else str(options.get("proxyjump", "none")))
    if jump.lower() in {"", "none"} or str(hop) in within[-1:]:  # what holds for all hosts holds for the jump host too
        return (hop,)
    if str(hop) in within:
        raise Unreachable(f"cannot reach {host.name}: ProxyJump leads in a circle, {' → '.join((*within, str(hop)))}")
    first, *more = [split_address(text.strip()) for text in jump.split(",")]
    before = _route(host, first[1], first[0], first[2], (*within, str(hop)))
    for next_user, next_name, next_port in more:
        found = lookup(next_name, user=next_user, port=next_port)
        before += (_hop(host, next_name, found, is_end=False, command=""),)
    return (*(before[:-1] if str(before[-1]) == str(hop) else before), hop)


def _hop(host: Host, name: str, options: Mapping[str, Any], *, is_end: bool, command: str) -> Hop:
    wanted = host.connection
    address = str(options.get("hostname", name))
    port = int(_number(options, "port", 22))
    timeout = wanted.connect_timeout or _number(options, "connecttimeout", CONNECT_TIMEOUT)
    keepalive = wanted.keepalive
    if keepalive is None:
        keepalive = _number(options, "serveraliveinterval", KEEPALIVE)
    files = [wanted.known_hosts] if wanted.known_hosts else shlex.split(options.get("userknownhostsfile", _USER_FILES))
    system = shlex.split(options.get("globalknownhostsfile", _SYSTEM_FILES))
    return Hop(
        address=address,
        port=port,
        identities=_identities(host, options, is_end=is_end),
        known_as=str(options.get("hostkeyalias") or known_name(address, port)),
        known_files=_paths([os.devnull if name == "none" else name for name in (*files, *system)]),
        hashes=str(options.get("hashknownhosts", "no")).lower() == "yes",
        timeout=timeout,
        keepalive=keepalive,
        command=command,
        unheeded=tuple(unheeded(options)),
    )


def _identities(host: Host, options: Mapping[str, Any], *, is_end: bool) -> Identities:
    own = host.connection.key_file
    agent = str(options.get("identityagent", "SSH_AUTH_SOCK"))
    if agent == "SSH_AUTH_SOCK" or agent.startswith("$"):
        agent = os.environ.get(agent.removeprefix("$").strip("{}"), "")
    said = [path for path in options.get("identityfile", ()) if path.lower() != "none"]
    only = str(options.get("identitiesonly", "no")).lower() == "yes"
    certificate = options.get("certificatefile")
    files = [own] if own and is_end else [*([own] if own else []), *said]
    return Identities(
        user=str(options.get("user") or getpass.getuser()),
        wanted=_paths(files),
        others=() if said or files else _paths(_DEFAULT_KEYS),
        certificates=_paths([certificate]) if certificate else (),
        agent="" if agent.lower() == "none" else os.path.expanduser(agent),  # noqa: PTH111 - may be empty
        only=only or bool(own and is_end),
    )


def _paths(names: Sequence[str]) -> tuple[Path, ...]:
    return tuple(Path(name).expanduser() for name in names)


def _number(options: Mapping[str, Any], key: str, default: float) -> float:
    try:
        return float(options.get(key, default))
    except ValueError:
        raise Unreachable(f"ssh_config has {key} {options[key]!r}, which is not a number") from None
