"""Hosts on ground that is not even: disks that are full or cannot be written, few tools, strange login shells."""

import os
import shutil
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from runner_ground import base_of

from opsflow.model import Host, Operation, record_of
from opsflow.testing import SshdFleet
from opsflow.testing.sshd import sshd_path
from opsflow.transport.ssh import SshTransport

PROGRAMS = {"dash": "dash", "bash": "bash", "ash": "busybox"}


def need(*programs, root=False):
    """Skip a test that cannot be made here, or fail it where everything has to be there."""
    absent = [name for name in programs if shutil.which(name) is None] + ([] if sshd_path() else ["sshd"])
    reason = f"{', '.join(absent)} not installed" if absent else ""
    if root and os.geteuid() != 0:
        reason = "only root can mount file systems and make accounts"
    if reason:
        pytest.skip(reason)


class HardGround:
    """One ssh host whose `sh` is of a certain kind.

    Attributes:
        home: Its home directory.
        transport: To it; opened anew by `again`.
    """

    def __init__(self, directory, shell, **more):
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        shells = {"one": shutil.which(PROGRAMS[shell])}
        self.fleet = SshdFleet(directory, ["one"], first_address=f"127.0.146.{1 + worker}", shells=shells, **more)
        self.home = self.fleet.home("one")
        self.home.mkdir(parents=True)
        self.transport = None
        self._opened = []
        self._undo = ExitStack()

    @property
    def base(self):
        return base_of(self.home)

    def use_shell(self, program):
        """Let another program be the host's `sh`."""
        self.fleet._shells["one"] = str(program)

    def start(self):
        self.fleet.start()
        self.again()

    def again(self):
        """Another transport, as after the death of the one that had the last."""
        self.transport = SshTransport(Host(name="one", connection=self.fleet.connection("one")))
        self._opened.append(self.transport)
        return self.transport

    def mount(self, options, *, kind="tmpfs", device="none"):
        """Mount something on the home, which is to be done before the start."""
        subprocess.run(["mount", "-t", kind, "-o", options, device, str(self.home)], check=True)
        self._undo.callback(lambda: subprocess.run(["umount", "-l", str(self.home)], check=False))

    def mount_file(self, size):
        """Mount a small file system of its own on the home; it becomes read-only at the first error."""
        image = self.home.with_name("image")
        with image.open("wb") as file:
            file.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m0", "-O", "^has_journal", "-N", "128", str(image)], check=True)
        self.mount("loop,errors=remount-ro", kind="ext4", device=str(image))

    def break_file_system(self):
        """Let the kernel find an error in it."""
        found = subprocess.run(
            ["findmnt", "-no", "SOURCE", str(self.home)], check=True, capture_output=True, text=True
        ).stdout
        trigger = Path("/sys/fs/ext4", Path(found.strip()).name, "trigger_fs_error")
        if not trigger.exists():
            pytest.skip("this kernel makes no errors to order")
        trigger.write_text("1")

    def run(self, command, op=None, **more):
        return self.transport.run(command, op=op or self.op("a"), **more)

    def op(self, attempt, number=1, epoch=1, **more):
        digest = f"{attempt}-{number}"
        return Operation(run="run-1", epoch=epoch, attempt=attempt, number=number, digest=digest, **more)

    def gate(self, op):
        return self.base / op.run / f"{record_of(op.attempt)}.{op.number}.go"

    def state(self, op):
        return self.gate(op).read_text()[:10].split()

    def close(self):
        for transport in self._opened:
            transport.close()
        self.fleet.stop()
        self._undo.close()


def fill(directory):
    """Take what blocks are left; the file that has them."""
    path = Path(directory) / "filler"
    with path.open("ab", buffering=0) as file:
        for size in (1 << 16, 4096, 512, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    return path


def take_inodes(directory):
    """Take what inodes are left; the directory that has them."""
    path = Path(directory) / "inodes"
    path.mkdir()
    with suppress(OSError):
        for n in range(1_000_000):
            (path / str(n)).touch()
    return path
