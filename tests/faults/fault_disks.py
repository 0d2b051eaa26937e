"""A disk so small that it can be made full."""

import os
import shutil
import subprocess
from contextlib import contextmanager

_ROOM = 3 * 1024 * 1024


def _sudo():
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


@contextmanager
def small_disk(place):
    """A file system of 3 MiB at a new directory. Raises `OSError` if it cannot be mounted."""
    place.mkdir()
    options = f"size={_ROOM},mode=0777"
    command = [*_sudo(), "mount", "-t", "tmpfs", "-o", options, "opsflow-faults", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        raise OSError("a small file system cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run([*_sudo(), "umount", "--lazy", str(place)], check=True)


def fill(disk):
    """Leave no room; the file that takes it, which may be there already."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


def is_full(disk):
    """Whether there is no room."""
    return shutil.disk_usage(disk).free == 0
