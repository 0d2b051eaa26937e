"""What other users of a machine can read of its processes."""

import os
import threading
from contextlib import suppress
from pathlib import Path


class Watched:
    """Contents of these files of `/proc/PID`, of all processes of this machine while it watched."""

    def __init__(self, *files):
        self.seen = set()
        self._files = files
        self._end = threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def hold(self, text):
        return any(text.encode() in line for line in self.seen)

    def _watch(self):
        while not self._end.wait(0.02):
            for entry in os.listdir("/proc"):
                for name in self._files if entry.isdigit() else ():
                    with suppress(OSError):
                        self.seen.add(Path("/proc", entry, name).read_bytes())
