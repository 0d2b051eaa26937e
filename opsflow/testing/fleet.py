"""What all fleets of throwaway hosts have in common: a lifetime, names, keys, and an inventory."""

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from opsflow.model import Connection


class Fleet(ABC):
    """Hosts reached by ssh with one key; starts with `start` or as a context manager.

    Args:
        directory: Where everything of the fleet is; made if missing, kept afterwards.
        names: The hosts' names.
        user: The account on every host.
    """

    def __init__(self, directory: Path | str, names: Sequence[str], user: str) -> None:
        self.directory = Path(directory).absolute()
        self.names = tuple(names)
        self.user = user
        self.client_key = self.directory / ".fleet" / "client_key"
        self.known_hosts = self.directory / ".fleet" / "known_hosts"
        self._addresses: dict[str, tuple[str, int]] = {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def start(self) -> None:
        """Make what is missing and start every host. Raises `RuntimeError`."""

    @abstractmethod
    def stop(self) -> None:
        """End every host with all that was started on it."""

    @abstractmethod
    def home(self, name: str) -> Path:
        """The home directory of a host's account, as this machine sees it."""

    @abstractmethod
    def log(self, name: str) -> str:
        """What a host has to say of itself."""

    def connection(self, name: str) -> Connection:
        """How to reach a host, for a `Host` of the model."""
        address, port = self._addresses[name]
        return Connection(
            address=address,
            port=port,
            user=self.user,
            key_file=str(self.client_key),
            known_hosts=str(self.known_hosts),
        )

    def inventory(self) -> str:
        """The fleet as a native inventory: TOML."""
        lines = [
            "[ssh]",
            f'user = "{self.user}"',
            f'key_file = "{self.client_key}"',
            f'known_hosts = "{self.known_hosts}"',
        ]
        for name in self.names:
            address, port = self._addresses[name]
            lines += ["", f'[hosts."{name}"]', f'address = "{address}"', f"port = {port}"]
        return "\n".join(lines) + "\n"

    def _files(self, name: str) -> Path:
        """Where what belongs to one host is, its home apart."""
        return self.directory / ".fleet" / name

    def _make_keys(self) -> None:
        """Make the client's key and each host's, unless they are there."""
        wanted = [self.client_key, *(self._files(name) / "host_key" for name in self.names)]
        makers = [
            subprocess.Popen(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "fleet", "-f", str(path)])
            for path in wanted
            if not path.exists()
        ]
        statuses = [maker.wait() for maker in makers]
        if any(statuses):
            raise RuntimeError("ssh-keygen made no key")

    def _make_known(self) -> None:
        """Write `known_hosts`."""
        lines = []
        for name in self.names:
            address, port = self._addresses[name]
            key = (self._files(name) / "host_key.pub").read_text().split()
            lines.append(f"{address if port == 22 else f'[{address}]:{port}'} {key[0]} {key[1]}\n")
        self.known_hosts.write_text("".join(lines))
