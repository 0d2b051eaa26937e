"""All hosts of a run."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from opsflow.errors import InputError
from opsflow.events import HostKeyAccepted
from opsflow.model import LOCALHOST, Host, localhost
from opsflow.ports import Transport
from opsflow.transport.become import BecomeTransport, Password, Passwords
from opsflow.transport.fake import FakeTransport
from opsflow.transport.local import LocalTransport
from opsflow.transport.shell import ShellTransport

_AT_ONCE = 64
"""Hosts that are let go at the same time: they only wait for the other side."""


class HostTransports:
    """One transport per host and user, made when first asked for. For any number of threads.

    Args:
        hosts: The hosts by name; `localhost` is there without being named.
        connecting: How many connections may be in the making at the same time.
        passwords: For sudo and for locked keys; None: there are none.
        pins: The key that a host has shown earlier in the run, by its name; any other is refused.
        accepted: Unknown host keys are accepted and told to this; None: they are refused.
    """

    def __init__(
        self,
        hosts: Mapping[str, Host],
        *,
        connecting: int = 30,
        passwords: Passwords | None = None,
        pins: Mapping[str, str] | None = None,
        accepted: Callable[[HostKeyAccepted], None] | None = None,
    ) -> None:
        self._hosts = {LOCALHOST: localhost(), **hosts}
        self._gate = threading.BoundedSemaphore(connecting)
        self._lock = threading.Lock()
        self._passwords = passwords
        self._pins = pins or {}
        self._accepted = accepted
        self._made: dict[tuple[str, str], Transport] = {}

    def to(self, host: str, become: str = "") -> Transport:
        """The transport of a host; with `become`, as that user. All users of a host share one connection.

        Raises:
            InputError: there is no such host, or its transport is none that exists.
            TaskFailed: the password or passphrase that the inventory names cannot be had.
        """
        with self._lock:
            if (host, "") not in self._made:
                self._made[host, ""] = self._make(host)
            if (host, become) not in self._made:
                self._made[host, become] = self._sibling(host, become)
            return self._made[host, become]

    def release(self) -> None:
        """The run is over: release all hosts that were reached, several at a time."""
        with self._lock:
            made = list(self._made.values())
        _each(made, lambda transport: transport.release())

    def close(self) -> None:
        """Close them all; asked for again, they are made again."""
        with self._lock:
            made, self._made = self._made, {}
        _each(list(made.values()), lambda transport: transport.close())

    def _sibling(self, name: str, user: str) -> Transport:
        login = self._made[name, ""]
        if not isinstance(login, ShellTransport):
            return login  # a fake host has no users
        password = self._passwords.of(self._hosts[name]) if self._passwords else Password()
        return BecomeTransport(login, user, password)

    def _make(self, name: str) -> Transport:
        host = self._hosts.get(name)
        if host is None:
            raise InputError(f"there is no host {name!r}")
        match host.connection.transport:
            case "ssh":
                from opsflow.transport.ssh import SshTransport  # noqa: PLC0415 - a quarter of a second to import

                return SshTransport(
                    host,
                    gate=self._gate,
                    pinned=self._pins.get(name, ""),
                    accepted=self._accepted,
                    passphrase=self._passwords.passphrase(host) if self._passwords else "",
                )
            case "local":
                return LocalTransport()
            case "fake":
                return FakeTransport(name=name, commands=[("", "")])  # every command ends well
            case other:
                raise InputError(f"host {name!r}: there is no transport {other!r}; there are ssh, local and fake")


def _each(made: Sequence[Transport], work: Callable[[Transport], None]) -> None:
    """Do it with all, several at a time: each waits for the other side."""
    if made:
        with ThreadPoolExecutor(min(len(made), _AT_ONCE)) as pool:
            list(pool.map(work, made))
