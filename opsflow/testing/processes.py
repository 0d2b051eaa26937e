"""Processes of this machine, seen without tools where there is a `/proc`."""

import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A process: its parent's id and the name of its program."""

    parent: int
    program: str


def processes() -> dict[int, Seen]:
    """All processes by id, those that are dead and not yet reaped left out."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=True)
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
        return {int(row[0]): Seen(parent=int(row[1]), program=row[2].rsplit("/", 1)[-1]) for row in rows}
    found = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                # The name stands in parentheses and may hold some itself; state and parent follow the last one.
                head, _, tail = (entry / "stat").read_text(errors="replace").rpartition(")")
                state, parent = tail.split()[:2]
                if state != "Z":
                    found[int(entry.name)] = Seen(parent=int(parent), program=head.partition("(")[2])
    return found


def below(ancestor: int) -> list[int]:
    """Ids of the processes that `ancestor` started, directly or not, parents first."""
    seen = processes()
    found = [ancestor]
    for pid in found:  # grows while it is walked
        found += [child for child, process in seen.items() if process.parent == pid]
    return found[1:]


def with_environment(entry: str) -> list[int]:
    """Ids of the processes that were started with `NAME=VALUE` in their environment, where this can be seen."""
    wanted = entry.encode()
    found = []
    for pid in processes():
        with suppress(OSError):
            if wanted in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def kill(pids: Iterable[int]) -> None:
    """Send SIGKILL to those that are still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
