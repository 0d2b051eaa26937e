"""A fleet of real machines on this one: each with its own systemd, sshd, network, boot id and disk.

They are containers of systemd-nspawn, which need root on Linux, and about 20 MB and three seconds to boot each.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from opsflow.testing.bridge import Bridge
from opsflow.testing.disks import Disk
from opsflow.testing.fleet import Fleet
from opsflow.testing.image import image
from opsflow.testing.processes import below, kill, processes

_PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "iptables": "iptables",
    "mkfs.ext4": "e2fsprogs",
}
_READY_WITHIN = 60.0
_GONE_WITHIN = 20.0


def machines_missing() -> str:
    """Why there can be no machines here; empty if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "machines need root on Linux"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    packages = " ".join(_PROGRAMS[program] for program in missing)
    return f"not on PATH: {', '.join(missing)} (Debian: apt-get install {packages})" if missing else ""


class MachineFleet(Fleet):
    """Machines reached by ssh as root; starts with `start` or as a context manager.

    Args:
        directory: Where disks and logs are; made if missing, the logs kept afterwards.
        names: The hosts' names.
        shells: Program of the image that is a host's `sh`, by name; the others have dash.
        packages: Debian packages that the image has beside the usual ones.
    """

    def __init__(
        self,
        directory: Path | str,
        names: Sequence[str],
        *,
        shells: Mapping[str, str] | None = None,
        packages: Sequence[str] = (),
    ) -> None:
        super().__init__(directory, names, "root")
        self._shells = dict(shells or {})
        self._packages = tuple(packages)
        self._bridge: Bridge | None = None
        self._disks: dict[str, Disk] = {}
        self._namespaces: dict[str, str] = {}
        self._machines: dict[str, subprocess.Popen[bytes]] = {}
        self._rejected: set[str] = set()

    def start(self) -> None:
        """Boot every host from a fresh disk. Takes about three seconds, where there is an image already.

        Raises:
            RuntimeError: there can be no machines here, or one does not boot; the message has its log.
        """
        if reason := machines_missing():
            raise RuntimeError(reason)
        base = image(self._packages)
        for name in self.names:
            self._files(name).mkdir(parents=True, exist_ok=True)
        self._make_keys()
        self._bridge = Bridge(str(self.directory), _clean)
        for index, name in enumerate(self.names):
            self._namespaces[name], address = self._bridge.plug(index)
            self._addresses[name] = (address, 22)
            self._disks[name] = Disk(self._files(name), base)
            self._disks[name].make()
            self._furnish(name)
        os.sync()  # a disk that is torn soon has all this
        self._make_known()
        for name in self.names:
            self._launch(name)
        for name in self.names:
            self._await(name)

    def stop(self) -> None:
        """End every host, and remove disks and network."""
        for name in self.names:
            self._end(name)
            self._accept(name)
        for disk in self._disks.values():
            disk.remove()
        if self._bridge is not None:
            self._bridge.close()
            self._bridge = None

    # What can happen to a host

    def power_loss(self, name: str) -> None:
        """Take a host's power: silence, and what had not reached its disk is lost. See `boot`."""
        self.cut(name)
        self._end(name)
        self._disks[name].tear()

    def boot(self, name: str) -> None:
        """Switch a host on again, on the same disk; returns when it takes connections. It has a new boot id."""
        self._disks[name].attach()
        self._launch(name)
        self.mend(name)
        self._await(name)

    def cut(self, name: str) -> None:
        """Pull a host's cable out: connections fall silent, new ones are not answered."""
        self._network.pull(self.names.index(name))

    def reject(self, name: str) -> None:
        """Refuse what is sent to a host: connections break at once, new ones too."""
        _iptables("-I", self._addresses[name][0])
        self._rejected.add(name)

    def mend(self, name: str) -> None:
        """Undo `cut` and `reject`."""
        self._network.mend(self.names.index(name))
        self._accept(name)

    def end_sessions(self, name: str) -> None:
        """SIGKILL to the sshd processes of a host's sessions. Their commands go on, and new connections are taken."""
        seen = processes()
        servers = [p for p in self.processes(name) if p in seen and seen[p].program.startswith("sshd")]
        kill(pid for pid in servers if seen[pid].parent in servers)

    # What can be seen of it

    def root(self, name: str) -> Path:
        """A host's root directory, as this machine sees it."""
        return self._files(name) / "root"

    def home(self, name: str) -> Path:
        """The home directory of root on a host, as this machine sees it."""
        return self.root(name) / "root"

    def log(self, name: str) -> str:
        """What a host has said on its console."""
        path = self._files(name) / "console"
        return path.read_text(errors="replace") if path.exists() else ""

    def processes(self, name: str) -> list[int]:
        """Ids, on this machine, of all processes of a host; none if it is off."""
        machine = self._machines.get(name)
        return below(machine.pid) if machine is not None else []

    def boot_id(self, name: str) -> str:
        """The boot id of a host that is on."""
        first = self.processes(name)[0]
        return Path(f"/proc/{first}/root/proc/sys/kernel/random/boot_id").read_text().strip()

    def loses_what_is_not_synced(self, name: str) -> bool:
        """Whether a loss of power loses what had not reached the disk."""
        return self._disks[name].loses_what_is_not_synced

    # Inside

    @property
    def _network(self) -> Bridge:
        assert self._bridge is not None, "the fleet was not started"
        return self._bridge

    def _furnish(self, name: str) -> None:
        """Put on a fresh disk what makes it this host's."""
        root = self.root(name)
        (root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        shutil.copyfile(self._files(name) / "host_key.pub", root / "etc/ssh/ssh_host_ed25519_key.pub")
        shutil.copyfile(self._files(name) / "host_key", root / "etc/ssh/ssh_host_ed25519_key")
        (root / "etc/ssh/ssh_host_ed25519_key").chmod(0o600)
        keys = self.home(name) / ".ssh"
        keys.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(f"{self.client_key}.pub", keys / "authorized_keys")
        if name in self._shells:
            shell = root / "usr/bin/sh"
            shell.unlink()
            shell.symlink_to(self._shells[name])

    def _launch(self, name: str) -> None:
        command = ["systemd-nspawn", "-q", "--register=no", "--keep-unit", "--resolv-conf=off", "--timezone=off"]
        command += ["-D", str(self.root(name)), "-M", f"{self._network.prefix}{name}", f"--hostname={name}"]
        command += [f"--network-namespace-path={self._namespaces[name]}", "-b"]
        with (self._files(name) / "console").open("ab") as console:
            self._machines[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
            )

    def _await(self, name: str) -> None:
        ends = time.monotonic() + _READY_WITHIN
        while time.monotonic() < ends and self._machines[name].poll() is None:
            with suppress(OSError), socket.create_connection(self._addresses[name], timeout=1.0) as probe:
                if probe.recv(4) == b"SSH-":
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{name} does not boot; it says:\n{self.log(name)[-4000:]}")

    def _end(self, name: str) -> None:
        machine = self._machines.pop(name, None)
        if machine is not None:
            _end_machine(machine.pid)
            machine.wait()

    def _accept(self, name: str) -> None:
        if name in self._rejected:
            _iptables("-D", self._addresses[name][0])
            self._rejected.discard(name)


def _end_machine(leader: int) -> None:
    """SIGKILL to all processes of a container, and wait until the last one has ended."""
    inside = below(leader)
    kill([*inside[:1], leader])  # with the first one the kernel ends all others
    ends = time.monotonic() + _GONE_WITHIN
    while (left := [pid for pid in inside if pid in processes()]) and time.monotonic() < ends:
        kill(left)
        time.sleep(0.02)


def _clean(directory: str, prefix: str) -> None:
    """Remove what a fleet that was killed left behind: machines whose names begin so, and what is mounted."""
    for pid, seen in processes().items():
        if seen.program.startswith("systemd-nspawn"):
            with suppress(OSError):
                words = (Path("/proc") / str(pid) / "cmdline").read_text().split("\0")
                if any(word.startswith(prefix) for word in words):
                    _end_machine(pid)
    mounts = [line.split(" ")[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for path in reversed(mounts):
        if directory and path.startswith(f"{directory}/"):
            subprocess.run(["umount", "-l", path], check=False)


def _iptables(action: str, address: str) -> None:
    rule = ["OUTPUT", "-d", address, "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset"]
    subprocess.run(["iptables", "-w", action, *rule], check=True)
