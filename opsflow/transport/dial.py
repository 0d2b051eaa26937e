"""Making ssh connections: settings from the inventory and ssh_config, host keys, and one place for what goes wrong."""

import math
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fabric
import paramiko
from paramiko.ssh_exception import NoValidConnectionsError

from opsflow.errors import AuthenticationFailed, HostKeyRejected, OpsflowError, Unreachable
from opsflow.model import Host
from opsflow.transport.known_hosts import SYSTEM_FILES, known_keys, known_name

FOREIGN = (paramiko.SSHException, OSError, EOFError, ValueError)
"""Everything that fabric and paramiko raise while they connect."""

_KEEPALIVE = 30
_SILENCE = 60
_IDLE = 5.0
"""Seconds between looks at a silent connection; with paramiko's 0.1, thousands of them keep a processor busy."""
_AUTH_TIMEOUT = 30.0


def dial(host: Host) -> fabric.Connection:
    """An open connection, its host key checked.

    Raises:
        Unreachable: there is none, and why; `HostKeyRejected` and `AuthenticationFailed` are kinds of it.
    """
    hops: list[fabric.Connection] = []
    try:
        connection = _chain(host, hops)
        for hop in hops:
            _trust(hop, host)
        connection.open()
        _watch(connection.transport)
    except (OpsflowError, *FOREIGN) as error:
        hang_up(hops)
        if isinstance(error, OpsflowError):
            raise
        raise translate(error, host, hops) from error
    return connection


def hang_up(hops: list[fabric.Connection]) -> None:
    """Close connections, half-made ones too."""
    for hop in reversed(hops):
        transport = hop.client.get_transport()
        if transport is not None and isinstance(transport.sock, socket.socket):
            with suppress(OSError):
                transport.sock.shutdown(socket.SHUT_RDWR)  # so that its thread need not wait to see the end
        hop.client.close()


def chain_of(connection: fabric.Connection) -> list[fabric.Connection]:
    """A connection and those that it passes through, outermost first."""
    hops = []
    while isinstance(connection, fabric.Connection):
        hops.append(connection)
        connection = connection.gateway
    return hops[::-1]


def place(host: Host, connection: fabric.Connection | None = None) -> str:
    """How messages name a host: `name (user@address:port)`."""
    if connection is None:
        found = host.connection
        return f"{host.name} ({found.user + '@' if found.user else ''}{found.address or host.name}:{found.port or 22})"
    return f"{host.name} ({connection.user}@{connection.host}:{connection.port})"


def translate(error: BaseException, host: Host, hops: list[fabric.Connection]) -> Unreachable:
    """What a foreign error means."""
    where = place(host, hops[-1] if hops else None)
    for kind, make in _MEANINGS:
        if isinstance(error, kind):
            return make(error, host, where)
    return Unreachable(f"cannot reach {where}: {error or type(error).__name__}")


def _chain(host: Host, hops: list[fabric.Connection]) -> fabric.Connection:
    wanted = host.connection
    config = fabric.Config(lazy=True)  # no fabric files; ssh_config alone
    config.load_ssh_config()
    address = wanted.address or host.name
    # Not left to fabric, which takes the hops of a ProxyJump in the wrong order.
    configured = config.base_ssh_config.lookup(address).get("proxyjump", "none")
    jump = wanted.jump or (() if configured == "none" else tuple(configured.split(",")))
    common: dict[str, Any] = {"config": config, "connect_timeout": max(math.ceil(wanted.connect_timeout), 1)}
    gateway = None
    for hop in jump:
        gateway = fabric.Connection(hop.strip(), gateway=gateway, connect_kwargs=_options(host), **common)
    found = fabric.Connection(
        address,
        user=wanted.user,
        port=wanted.port,
        gateway=gateway,
        connect_kwargs=_options(host),
        **common,
    )
    hops += chain_of(found)
    return found


def _options(host: Host) -> dict[str, Any]:
    wanted = host.connection
    options: dict[str, Any] = {
        "banner_timeout": wanted.connect_timeout,
        "auth_timeout": _AUTH_TIMEOUT,
        "channel_timeout": wanted.connect_timeout,
        "transport_factory": _transport,
    }
    if wanted.key_file:
        key = Path(wanted.key_file).expanduser()
        if not key.is_file():
            raise AuthenticationFailed(f"cannot log in to {place(host)}: there is no key file {key}")
        options |= {"key_filename": str(key), "look_for_keys": False}
    return options


def _transport(sock: Any, **options: Any) -> paramiko.Transport:
    """A transport that would rather encrypt with GCM, whose authentication is part of the cipher.

    With the others paramiko computes and compares a code of its own for every packet, in Python: a fifth of a command.
    """
    transport = paramiko.Transport(sock, **options)
    security = transport.get_security_options()
    security.ciphers = sorted(security.ciphers, key=lambda cipher: "gcm" not in cipher)
    return transport


def _trust(hop: fabric.Connection, host: Host) -> None:
    """Give a connection the keys that are known for it, and make it refuse all others."""
    if host.connection.known_hosts:
        user_files = [host.connection.known_hosts]
    else:
        user_files = hop.ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2").split()
    files = [Path(file).expanduser() for file in user_files]
    name = known_name(hop.ssh_config.get("hostkeyalias", hop.host), hop.port)
    found = known_keys(name, (*files, *SYSTEM_FILES))
    for key in found.trusted:
        if key not in found.revoked:
            hop.client.get_host_keys().add(known_name(hop.host, hop.port), key.get_name(), key)
    hop.client.set_missing_host_key_policy(_Refuse(hop, host, files[0]))


class _Refuse(paramiko.MissingHostKeyPolicy):
    """Strangers stay out."""

    def __init__(self, hop: fabric.Connection, host: Host, file: Path) -> None:
        self._hop = hop
        self._host = host
        self._file = file

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        """Refuse, and say how to make the host known."""
        port = "" if self._hop.port == 22 else f"-p {self._hop.port} "
        raise HostKeyRejected(
            f"the host key of {place(self._host, self._hop)} is not known: {key.get_name()} {key.fingerprint}",
            hint=(
                "compare the fingerprint with one from a trusted source, then: "
                f"ssh-keyscan {port}{self._hop.host} >> {self._file}"
            ),
        )


def _watch(transport: paramiko.Transport) -> None:
    """Notice within a minute and a half if the other side has gone without a word."""
    transport.set_keepalive(_KEEPALIVE)
    if isinstance(transport.sock, socket.socket):
        transport.sock.settimeout(_IDLE)
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE * 1000)


def _changed(error: Any, host: Host, where: str) -> Unreachable:
    port = host.connection.port or 22
    file = host.connection.known_hosts or "~/.ssh/known_hosts"
    return HostKeyRejected(
        f"the host key of {where} is not the one that is known: it shows {error.key.get_name()} "
        f"{error.key.fingerprint}, known is {error.expected_key.fingerprint}",
        hint=(
            "somebody may be in between. Only if the machine was really given a new key: "
            f"ssh-keygen -R '{known_name(error.hostname, port)}' -f {file}"
        ),
    )


def _not_let_in(error: Any, _: Host, where: str) -> Unreachable:
    return AuthenticationFailed(f"cannot log in to {where}: {error}")


def _key_locked(error: Any, _: Host, where: str) -> Unreachable:
    return AuthenticationFailed(f"cannot log in to {where}: {error}", hint="unlock the key: ssh-add KEY_FILE")


def _no_name(error: Any, _: Host, where: str) -> Unreachable:
    return Unreachable(f"cannot reach {where}: its name cannot be resolved ({error.args[-1]})")


def _nobody_there(error: Any, _: Host, where: str) -> Unreachable:
    reasons = {(e.strerror or str(e)).lower() for e in error.errors.values()}
    return Unreachable(f"cannot reach {where}: {', '.join(sorted(reasons))}")


def _too_slow(_: Any, host: Host, where: str) -> Unreachable:
    return Unreachable(f"cannot reach {where}: no answer within {host.connection.connect_timeout:g} s")


def _system(error: Any, _: Host, where: str) -> Unreachable:
    if error.filename is not None:
        return AuthenticationFailed(f"cannot log in to {where}: {error.filename}: {error.strerror}")
    return Unreachable(f"cannot reach {where}: {(error.strerror or str(error)).lower()}")


def _protocol(error: Any, _: Host, where: str) -> Unreachable:
    if "No authentication methods available" in str(error):
        return AuthenticationFailed(f"cannot log in to {where}: there is no key to try")
    return Unreachable(f"cannot reach {where}: {error}")


def _hung_up(_: Any, __: Host, where: str) -> Unreachable:
    return Unreachable(f"cannot reach {where}: it closed the connection at once")


_MEANINGS: tuple[tuple[type[BaseException], Callable[[Any, Host, str], Unreachable]], ...] = (
    # Narrower classes first.
    (paramiko.BadHostKeyException, _changed),
    (paramiko.PasswordRequiredException, _key_locked),
    (paramiko.AuthenticationException, _not_let_in),
    (paramiko.SSHException, _protocol),
    (NoValidConnectionsError, _nobody_there),
    (socket.gaierror, _no_name),
    (TimeoutError, _too_slow),
    (OSError, _system),
    (EOFError, _hung_up),
)
