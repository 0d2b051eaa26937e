"""`app.apply` with a clock for its parts. Usage: PLAYBOOK INVENTORY JOURNAL PLUGINS FORKS (0: serial).

The last line is JSON: seconds of each part, nodes, peak memory in bytes.
"""

import gc
import json
import resource
import sys
import time
from itertools import pairwise
from pathlib import Path

from opsflow import app
from opsflow.events import RunStarted


class Clock(app.Stop):
    """A listener that notes when each part ended, and the operator who says yes and never stops it."""

    def __init__(self):
        super().__init__()
        self.began = time.monotonic()
        self.marks = {}

    @property
    def requested(self):
        """Asked for the first time when the preview begins."""
        self.marks.setdefault("compile", time.monotonic())
        return False

    def __call__(self, event):
        if isinstance(event, RunStarted):
            self.marks["begin"] = time.monotonic()

    def confirm(self, question):
        self.marks["preview"] = time.monotonic()
        return bool(question)

    def seconds(self):
        marks = [self.began, *(self.marks[part] for part in ("compile", "preview", "begin")), time.monotonic()]
        spans = (after - before for before, after in pairwise(marks))
        return dict(zip(("compile", "preview", "begin", "run"), spans, strict=True))


def main():
    gc.set_threshold(50_000)  # as the command line does
    playbook, inventory, journal, plugins, forks = sys.argv[1:]
    settings = app.Settings(
        project=Path(playbook).parent,
        journal=f"sqlite:///{journal}",
        plugins=(Path(plugins),),
        forks=max(int(forks), 1),
        executor="threads" if int(forks) else "serial",
    )
    clock = Clock()
    request = app.Request(playbook=Path(playbook), inventory=inventory)
    summary = app.apply(request, settings, [clock], confirm=clock.confirm, stop=clock)
    print(json.dumps({**clock.seconds(), "nodes": sum(summary.counts.values()), "peak": peak()}))
    return summary.exit_code


def peak():
    for line in Path("/proc/self/status").read_text().splitlines() if sys.platform == "linux" else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    sys.exit(main())
