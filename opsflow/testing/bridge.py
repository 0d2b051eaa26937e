"""A network of throwaway machines: a bridge, and for each of them a cable that can be pulled out."""

import fcntl
import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

_LOCKS = Path("/run/opsflow-machines")
_NETWORKS = 32


class Bridge:
    """The first network 10.99.N.0/24 that nobody uses, N counted from 0; this machine is .1, the others from .11 on.

    It is held by a lock on a file, which ends with the process. What a process that was killed left behind is removed
    by the next one that gets the network.

    Args:
        owner: Who uses it, kept in the file.
        clean: Called with what the file says of the owner before, and the names that begin with the network's prefix.
    """

    def __init__(self, owner: str, clean: Callable[[str, str], None]) -> None:
        self._lock, self._number = _free()
        self.prefix = f"ops{self._number}-"
        clean(self._lock.read(), self.prefix)
        self.remove_cables()
        self._lock.seek(0)
        self._lock.truncate()
        self._lock.write(owner)
        self._lock.flush()
        self._name = f"opsbr{self._number}"
        with suppress(RuntimeError):
            ip("link", "del", self._name)
        ip("link", "add", self._name, "type", "bridge")
        ip("addr", "add", f"10.99.{self._number}.1/24", "dev", self._name)
        ip("link", "set", self._name, "up")

    def plug(self, index: int) -> tuple[str, str]:
        """A cable for another machine: path of its network namespace, and its address."""
        namespace, cable = f"{self.prefix}{index}", self._cable(index)
        address = f"10.99.{self._number}.{11 + index}"
        ip("netns", "add", namespace)
        ip("link", "add", cable, "type", "veth", "peer", "name", "host0", "netns", namespace)
        ip("link", "set", cable, "master", self._name, "up")
        ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "host0")
        ip("-n", namespace, "link", "set", "host0", "up")
        ip("-n", namespace, "link", "set", "lo", "up")
        return f"/run/netns/{namespace}", address

    def pull(self, index: int) -> None:
        """Pull a machine's cable out: silence."""
        ip("link", "set", self._cable(index), "down")

    def mend(self, index: int) -> None:
        """Put it in again."""
        ip("link", "set", self._cable(index), "up")

    def close(self) -> None:
        """Remove all, and let others have the network."""
        self.remove_cables()
        with suppress(RuntimeError):
            ip("link", "del", self._name)
        self._lock.truncate(0)
        self._lock.close()

    def remove_cables(self) -> None:
        """Remove the machines' namespaces, and their cables with them."""
        for entry in Path("/run/netns").glob(f"{self.prefix}*"):
            with suppress(RuntimeError):
                ip("netns", "del", entry.name)
        for entry in Path("/sys/class/net").glob(f"v{self.prefix}*"):
            with suppress(RuntimeError):
                ip("link", "del", entry.name)

    def _cable(self, index: int) -> str:
        return f"v{self.prefix}{index}"


def ip(*words: str) -> None:
    """Call `ip`. Raises `RuntimeError`."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _free() -> tuple[IO[str], int]:
    _LOCKS.mkdir(mode=0o700, exist_ok=True)
    for number in range(_NETWORKS):
        lock = os.fdopen(os.open(_LOCKS / str(number), os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        return lock, number
    raise RuntimeError(f"all of the networks 10.99.0.0/24 to 10.99.{_NETWORKS - 1}.0/24 are in use")
