"""Making ssh connections: hop by hop, every host key checked, what is only busy tried again."""

import math
import random
import socket
import time
from contextlib import AbstractContextManager, suppress
from typing import Any

import fabric
import paramiko

from opsflow.errors import AuthenticationFailed, OpsflowError, Unreachable
from opsflow.model import Host
from opsflow.transport.host_keys import Accepted, Doorkeeper
from opsflow.transport.login import Login
from opsflow.transport.proxy import ProxyCommand
from opsflow.transport.refusals import FOREIGN, Again, again, meaning
from opsflow.transport.route import Hop, route

_SILENCE = 60
_IDLE = 5.0
"""Seconds between looks at a silent connection; with paramiko's 0.1, thousands of them keep a processor busy."""
_AUTH_TIMEOUT = 30.0
_RETRIES = 3
"""How often a host that refuses is asked again; one that is too busy, as often as the time to connect permits."""
_PAUSES = (0.25, 2.0)


class Link:
    """An open connection to a host, with all that it passes through.

    Args:
        host: Which host.
        hops: The way to it.
        passphrase: What unlocks the key files that are named for the host; empty: nothing does.

    Attributes:
        key: The host's key, as `key_text` writes it.
    """

    def __init__(self, host: Host, hops: tuple[Hop, ...], passphrase: str) -> None:
        self.key = ""
        self.timeout = hops[-1].timeout
        self._host = host
        self._hops = hops
        self._passphrases = dict.fromkeys(hops[-1].identities.wanted, passphrase)
        self._proxy: ProxyCommand | None = None
        self._made: list[fabric.Connection] = []

    @property
    def where(self) -> str:
        """How messages name the host."""
        return f"{self._host.name} ({self._hops[-1]})"

    @property
    def transport(self) -> paramiko.Transport:
        """What opens sessions."""
        transport: paramiko.Transport = self._made[-1].transport
        return transport

    @property
    def alive(self) -> bool:
        """Whether nothing is known against it."""
        return bool(self._made[-1].is_connected)

    def open(self, *, pinned: str, accepted: Accepted | None) -> None:
        """Connect.

        Args:
            pinned: The key that the host has to show; empty: any that is known.
            accepted: Unknown keys are accepted and told to this; None: they are refused.

        Raises:
            Unreachable: it cannot be done; caused by what paramiko raised, if that is the reason.
        """
        for hop in self._hops:
            where = f"{self._host.name} ({hop})"
            wanted = pinned if hop is self._hops[-1] else ""
            keeper = Doorkeeper(hop, host=self._host.name, where=where, pinned=wanted, accepted=accepted)
            try:
                self._open(hop, where, keeper)
            except FOREIGN as error:
                said = self._proxy.said() if self._proxy else ""
                self.close()
                raise meaning(error, hop, where, said) from error
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close it, half-made too, with all that it passes through."""
        for made in reversed(self._made):
            transport = made.client.get_transport()
            if transport is not None and isinstance(transport.sock, socket.socket):
                with suppress(OSError):
                    transport.sock.shutdown(socket.SHUT_RDWR)  # so that its thread need not wait to see the end
            made.client.close()
        if self._proxy is not None:
            self._proxy.close()

    def _open(self, hop: Hop, where: str, keeper: Doorkeeper) -> None:
        def transport(sock: Any, **options: Any) -> paramiko.Transport:
            return _transport(sock, keeper, **options)

        options: dict[str, Any] = {
            "banner_timeout": hop.timeout,
            "auth_timeout": _AUTH_TIMEOUT,
            "channel_timeout": hop.timeout,
            "transport_factory": transport,
            "auth_strategy": Login(hop.identities, where, self._passphrases),
        }
        if hop.command:
            self._proxy = ProxyCommand(hop.command)
            options["sock"] = self._proxy.socket
        connection = fabric.Connection(
            hop.address,
            user=hop.identities.user,
            port=hop.port,
            config=fabric.Config(lazy=True),  # no files: the hop has all that is in ssh_config
            gateway=self._made[-1] if self._made else None,
            connect_timeout=max(math.ceil(hop.timeout), 1),
            connect_kwargs=options,
        )
        connection.client.set_missing_host_key_policy(keeper)
        self._made.append(connection)
        connection.open()
        self.key = keeper.shown
        _watch(connection.transport, hop.keepalive)
        _keep_keys(connection.transport)


def dial(
    host: Host,
    *,
    gate: AbstractContextManager[object],
    pinned: str = "",
    accepted: Accepted | None = None,
    passphrase: str = "",
) -> Link:
    """An open connection.

    A host that refuses is asked a few times more, one that is too busy as long as it may take to connect; who does not
    let us in, or is a stranger, is not asked again.

    Args:
        host: Where to.
        gate: Entered while a connection is made, so that not too many are made at once.
        pinned: The key that the host showed before in this run; empty: any that is known.
        accepted: Unknown keys are accepted and told to this; None: they are refused.
        passphrase: What unlocks the key files that are named for the host; empty: nothing does.

    Raises:
        Unreachable: there is none, and why; `HostKeyRejected` and `AuthenticationFailed` are kinds of it.
    """
    hops = _route(host)
    ends = time.monotonic() + sum(hop.timeout for hop in hops)
    pause, tries = _PAUSES[0], 0
    while True:
        link = Link(host, hops, passphrase)
        try:
            with gate:
                link.open(pinned=pinned, accepted=accepted)
        except Unreachable as error:
            tries += 1
            kind = again(error)
            if kind is Again.NEVER or (kind is Again.FEW and tries > _RETRIES) or time.monotonic() + pause > ends:
                raise
        else:
            return link
        time.sleep(pause * (0.5 + random.random() / 2))  # noqa: S311 - jitter
        pause = min(pause * 2, _PAUSES[1])


def place(host: Host) -> str:
    """How messages name a host to which there was no connection yet: `name (user@address:port)`."""
    found = host.connection
    return f"{host.name} ({found.user + '@' if found.user else ''}{found.address or host.name}:{found.port or 22})"


def _route(host: Host) -> tuple[Hop, ...]:
    try:
        hops = route(host)
    except OpsflowError:
        raise
    except FOREIGN as error:
        raise Unreachable(f"cannot reach {place(host)}: ssh_config cannot be followed: {error}") from error
    key_file = host.connection.key_file
    if key_file and not hops[-1].identities.wanted[0].is_file():
        raise AuthenticationFailed(
            f"cannot log in to {place(host)}: there is no key file {hops[-1].identities.wanted[0]}"
        )
    return hops


def _transport(sock: Any, keeper: Doorkeeper, **options: Any) -> paramiko.Transport:
    """A transport that would rather see a host key that is known, and encrypt with GCM.

    GCM's authentication is part of the cipher. With the others paramiko computes and compares a code of its own for
    every packet, in Python: a fifth of a command.
    """
    transport = paramiko.Transport(sock, **options)
    security = transport.get_security_options()
    security.key_types = keeper.preferred(security.key_types)
    security.ciphers = sorted(security.ciphers, key=lambda cipher: "gcm" not in cipher)
    return transport


def _keep_keys(transport: paramiko.Transport) -> None:
    """Leave it to the server to ask for new keys, up to the 2^32 blocks of RFC 4344.

    paramiko asks after 512 MiB. If the server closes a channel before it has answered, paramiko's only thread waits for
    itself: for half a minute, and then the connection is lost.
    """
    if transport.local_cipher.startswith("aes"):
        transport.packetizer.REKEY_BYTES = 16 * 2**32


def _watch(transport: paramiko.Transport, keepalive: float) -> None:
    """Notice when the other side has gone without a word."""
    transport.set_keepalive(max(math.ceil(keepalive), 0))
    transport.sock.settimeout(_IDLE)
    if isinstance(transport.sock, socket.socket) and transport.sock.family in {socket.AF_INET, socket.AF_INET6}:
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE * 1000)
