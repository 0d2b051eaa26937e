"""Throwaway ssh hosts, and how each contender is told of them."""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from opsflow.testing import SshdFleet

OPSFLOW = Path(sys.executable).with_name("opsflow")
PROGRAMS = Path(__file__).resolve().parent / "programs"
PLUGINS = Path(__file__).resolve().parent / "plugins"
_FIRST = "127.88.1.1"
_MEMORY = Path("/dev/shm")
APART = (
    "The hosts' homes are in memory where there is /dev/shm: one disk for all of them would be measured instead. For"
    " every new file ext4 passes over what was deleted within the last minutes, and here that is much."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Hosts as a contender sees them.

    Attributes:
        user, key_file, known_hosts: How to log in, the same for all.
        places: Address and port by name.
    """

    user: str
    key_file: str
    known_hosts: str
    places: Mapping[str, tuple[str, int]]

    def first(self, number: int) -> "Hosts":
        """Some of them."""
        return replace(self, places=dict(list(self.places.items())[:number]))

    def moved(self, places: Mapping[str, tuple[str, int]], known_hosts: Path) -> "Hosts":
        """The same hosts reached at other places; their keys are written to `known_hosts`."""
        text = Path(self.known_hosts).read_text()
        for name, (address, port) in places.items():
            old_address, old_port = self.places[name]
            text = text.replace(f"[{old_address}]:{old_port} ", f"[{address}]:{port} ")
        known_hosts.write_text(text)
        return replace(self, places=places, known_hosts=str(known_hosts))

    def opsflow(self, path: Path) -> Path:
        """Write an opsflow inventory."""
        lines = [
            "[ssh]",
            f'user = "{self.user}"',
            f'key_file = "{self.key_file}"',
            f'known_hosts = "{self.known_hosts}"',
        ]
        for name, (address, port) in self.places.items():
            lines += [f"[hosts.{name}]", f'address = "{address}"', f"port = {port}"]
        return _write(path, lines)

    def plain(self, path: Path) -> Path:
        """Write what the bare loops read: JSON."""
        data = {
            "user": self.user,
            "key_file": self.key_file,
            "hosts": [
                {"address": address, "port": port, "key": self._key(address, port)}
                for address, port in self.places.values()
            ],
        }
        return _write(path, [json.dumps(data)])

    def ansible(self, path: Path) -> Path:
        """Write an ansible inventory."""
        options = f"-o UserKnownHostsFile={self.known_hosts}"
        return _write(
            path,
            [
                f"{name} ansible_host={address} ansible_port={port} ansible_user={self.user} "
                f"ansible_ssh_private_key_file={self.key_file} ansible_ssh_common_args='{options}'"
                for name, (address, port) in self.places.items()
            ],
        )

    def pyinfra(self, path: Path) -> Path:
        """Write a pyinfra inventory."""
        hosts = [
            (
                name,
                {
                    "ssh_hostname": address,
                    "ssh_port": port,
                    "ssh_user": self.user,
                    "ssh_key": self.key_file,
                    "ssh_known_hosts_file": self.known_hosts,
                    "ssh_strict_host_key_checking": "yes",
                },
            )
            for name, (address, port) in self.places.items()
        ]
        return _write(path, [f"hosts = {hosts!r}"])

    def _key(self, address: str, port: int) -> str:
        name = f"[{address}]:{port}"
        lines = Path(self.known_hosts).read_text().splitlines()
        return next(line.partition(" ")[2] for line in lines if line.startswith(f"{name} "))


@contextmanager
def home(otherwise: Path) -> Iterator[Path]:
    """A directory for homes of hosts; in memory, if there is a place."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=_MEMORY if _MEMORY.is_dir() else otherwise) as made:
        yield Path(made)


@contextmanager
def fleet(directory: Path, number: int) -> Iterator[Hosts]:
    """Start hosts, each with an sshd of its own; they end with the block."""
    names = [f"host-{n:03}" for n in range(1, number + 1)]
    with SshdFleet(directory, names, first_address=_FIRST) as servers:
        connections = {name: servers.connection(name) for name in names}
        yield Hosts(
            user=servers.user,
            key_file=str(servers.client_key),
            known_hosts=str(servers.known_hosts),
            places={name: (found.address, found.port or 22) for name, found in connections.items()},
        )


def playbook(path: Path, *, steps: int, per: str, task: str = "command", run: str | None = "true") -> Path:
    """Write a playbook of equal steps."""
    lines = ['name = "benchmark"', "[defaults]", f'per = "{per}"']
    for n in range(1, steps + 1):
        lines += ["[[step]]", f'id = "step-{n}"', f'task = "{task}"', 'hosts = "all"']
        if run is not None:
            lines += [f'with = {{ run = "{run}" }}']
    return _write(path, lines)


def apply(book: Path, inventory: Path, journal: Path, *, forks: int, more: Sequence[str] = ()) -> list[str | Path]:
    """The command line of a run that asks nobody."""
    url = f"sqlite:///{journal}"
    return [OPSFLOW, "apply", book, "-i", inventory, "--yes", "--forks", str(forks), "--journal", url, *more]


def _write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path
