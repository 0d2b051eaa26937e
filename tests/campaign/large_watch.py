"""Looks at all processes a thousand times a second: how much memory each had, and whether a secret stood in its words."""

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context

_PERIOD = 0.001
_AGAIN = 0.1
"""Seconds after which every process is looked at again; a young one, which may be another program by then, much sooner."""


@dataclass(kw_only=True)
class Seen:
    """What was seen.

    Attributes:
        looks: How often it looked at the list of processes.
        seconds: For how long.
        revealed: Command lines in which the secret stood.
        peaks: The most memory that a process of a program had, in MiB, by the program's name.
    """

    looks: int = 0
    seconds: float = 0.0
    revealed: set = field(default_factory=set)
    peaks: dict = field(default_factory=dict)

    @property
    def rate(self):
        """Looks per second."""
        return self.looks / self.seconds


class Watch:
    """Watches every process of the machine while its block lasts, from a process of its own that comes first.

    Args:
        secret: What may stand in no command line.
        counted: A process counts whose command line holds one of these.
        without: But not if it holds this.

    Attributes:
        seen: What it saw, once the block has ended.
    """

    def __init__(self, secret, counted, without):
        processes = get_context("spawn")
        self._link, theirs = processes.Pipe()
        self._watcher = processes.Process(target=_watch, args=(theirs, secret.encode(), tuple(counted), without))
        self.seen = Seen()

    def __enter__(self):
        self._watcher.start()
        self._link.recv()
        return self

    def __exit__(self, *_):
        self._link.send("over")
        self.seen = self._link.recv()
        self._watcher.join()


def _watch(link, secret, counted, without):
    with suppress(PermissionError):
        os.nice(-20)
    seen, began, mine = Seen(), time.monotonic(), os.getpid()
    known = {mine: (began, float("inf"))}  # pid: when it was there first, and when it is looked at again
    due = began
    link.send("begun")
    while not link.poll():
        now = time.monotonic()
        there = {int(name) for name in os.listdir("/proc") if name[0] <= "9"}
        for pid in known.keys() - there:
            del known[pid]
        for pid in there:
            first, again = known.get(pid, (now, now))
            if again <= now:
                known[pid] = first, now + min(_AGAIN, (now - first) / 2)
                _look(pid, seen, secret, counted, without)
        seen.looks += 1
        due = max(due + _PERIOD, now - _AGAIN)  # a look that came late makes the next ones come sooner
        time.sleep(max(due - time.monotonic(), 0))
    seen.seconds = time.monotonic() - began
    link.send(seen)


def _look(pid, seen, secret, counted, without):
    words = _read(f"/proc/{pid}/cmdline")
    if secret in words:
        seen.revealed.add(words)
    if without in words or not any(one in words for one in counted):
        return
    status = _read(f"/proc/{pid}/status")
    at = status.find(b"VmHWM:")
    if at >= 0:
        program = os.path.basename(words.split(b"\0")[0].decode(errors="replace"))
        peak = int(status[at + 6 : status.find(b"kB", at)]) / 1024
        seen.peaks[program] = max(peak, seen.peaks.get(program, 0.0))


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
