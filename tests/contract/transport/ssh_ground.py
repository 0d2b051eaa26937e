"""A user with a home directory of their own on the control machine, and ssh servers to be reached from there."""

import os
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from opsflow.model import Connection, Host
from opsflow.transport.ssh import SshTransport


class User:
    """A home directory, `HOME` for as long as the test runs.

    Args:
        home: The directory; made here.
        monkeypatch: Of the test.
    """

    def __init__(self, home, monkeypatch):
        self.home = home
        self.ssh = home / ".ssh"
        self.ssh.mkdir(parents=True, mode=0o700)
        self.made = []
        self.config("HashKnownHosts no\n")  # some systems' default is yes
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)

    def config(self, text, name="config"):
        (self.ssh / name).write_text(text)

    def knows(self, *fleets):
        """Put the hosts' keys into the user's own file."""
        text = "".join(fleet.known_hosts.read_text() for fleet in fleets)
        (self.ssh / "known_hosts").write_text(text)

    def key(self, name, *, passphrase="", kind="ed25519", bits=None):
        """Make a key, its public half beside it."""
        size = ["-b", str(bits)] if bits else []
        make = ["ssh-keygen", "-q", "-t", kind, *size, "-N", passphrase, "-C", name, "-f", self.ssh / name]
        subprocess.run(make, check=True)
        return self.ssh / name

    def to(self, address, **how):
        """A transport to an address, as an inventory may have it."""
        accepted = how.pop("accepted", None)
        more = {key: how.pop(key) for key in ("pinned", "passphrase") if key in how}
        host = Host(name="host", connection=Connection(address=address, **how))
        self.made.append(SshTransport(host, accepted=accepted, **more))
        return self.made[-1]

    def close(self):
        for transport in self.made:
            transport.close()


@contextmanager
def agent(*keys, monkeypatch):
    """A real ssh-agent that holds keys; `SSH_AUTH_SOCK` leads to it."""
    process = subprocess.Popen(["ssh-agent", "-D"], stdout=subprocess.PIPE, text=True)
    try:
        socket = process.stdout.readline().partition("=")[2].partition(";")[0]
        monkeypatch.setenv("SSH_AUTH_SOCK", socket)
        asked = {**os.environ, "SSH_ASKPASS": "/bin/false", "SSH_AUTH_SOCK": socket}
        for key in keys:
            subprocess.run(["ssh-add", "-q", key], env=asked, stdin=subprocess.DEVNULL, check=True, capture_output=True)
        yield socket
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def addresses(fleet, name):
    """`address`, `port` of a host."""
    found = fleet.connection(name)
    return found.address, found.port


def block(alias, fleet, name, *more):
    """A `Host` of ssh_config that leads to a host of a fleet."""
    address, port = addresses(fleet, name)
    lines = (f"Host {alias}", f"HostName {address}", f"Port {port}", f"User {fleet.user}", *more)
    return "\n    ".join(lines) + "\n"


def taken():
    """What this process holds, each by itself: sockets, and threads of connections."""
    sockets = {name for name in _descriptors() if name.startswith("socket:")}
    return sockets | {thread for thread in threading.enumerate() if type(thread).__module__.startswith("paramiko")}


def left_since(before):
    """What was taken since, and is not let go of; what there was before may go meanwhile."""
    ends = time.monotonic() + 10
    while (left := taken() - before) and time.monotonic() < ends:
        time.sleep(0.02)
    return left


def _descriptors():
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            yield os.readlink(path)
