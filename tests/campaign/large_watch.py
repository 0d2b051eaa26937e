"""Looks at all processes a thousand times a second: how much memory each had, and whether a secret stood in its words."""

import os
import threading
import time


class Watch:
    """Watches every process of the machine while its block lasts.

    Args:
        secret: What may stand in no command line.
        ours: Whether a process counts, by its command line.

    Attributes:
        looks: How often it looked.
        revealed: Command lines in which the secret stood.
        peaks: The most memory that a process of a program had, in MiB, by the program's name.
    """

    def __init__(self, secret, ours):
        self._secret = secret.encode()
        self._ours = ours
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.looks = 0
        self.seconds = 0.0
        self.revealed = set()
        self.peaks = {}

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    @property
    def rate(self):
        """Looks per second."""
        return self.looks / self.seconds

    def _watch(self):
        began = time.monotonic()
        known = {}  # pid: when it was looked at
        while not self._over.is_set():
            now = time.monotonic()
            there = {int(name) for name in os.listdir("/proc") if name.isdigit()}
            for pid in known.keys() - there:
                del known[pid]
            for pid in there:
                if now - known.get(pid, 0.0) > 0.01:  # a new one, or one that may be another program by now
                    known[pid] = now
                    self._look(pid)
            self.looks += 1
            self.seconds = time.monotonic() - began
            time.sleep(max(0.001 - (time.monotonic() - now), 0))

    def _look(self, pid):
        words = _read(f"/proc/{pid}/cmdline")
        if self._secret in words:
            self.revealed.add(words)
        if not self._ours(words):
            return
        status = _read(f"/proc/{pid}/status")
        at = status.find(b"VmHWM:")
        if at >= 0:
            program = os.path.basename(words.split(b"\0")[0].decode(errors="replace"))
            peak = int(status[at + 6 : status.find(b"kB", at)]) / 1024
            self.peaks[program] = max(peak, self.peaks.get(program, 0.0))


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
