"""Kills a process at a boundary, or counts how often it comes by each.

In that process, and only there, the boundary's function is replaced by one that calls it and counts. A function that is
not there any more is an error.
"""

import functools
import importlib
import json
import os
import signal
import threading
from collections import Counter
from dataclasses import dataclass

from fault_boundaries import BOUNDARIES, BY_NAME, Boundary


def place(point):
    """Where a function is: what holds it, and its name there. Raises `AttributeError` if it is not there."""
    module, _, path = point.partition(":")
    owner = importlib.import_module(module)
    *classes, name = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    if name not in vars(owner):
        raise AttributeError(f"{point} is not in the code any more: the boundary must be updated")
    return owner, name


class _Watch:
    """Counts calls of functions, once it is open."""

    def __init__(self, opens):
        self.open = opens is None
        self._lock = threading.Lock()
        if opens is not None:
            self.at(Boundary(name="", point=opens), self._open)

    def at(self, boundary, reached):
        """Call `reached` wherever the boundary is."""
        owner, name = place(boundary.point)
        real = getattr(owner, name)

        @functools.wraps(real)
        def watched(*arguments, **named):
            if not boundary.after and boundary.when(arguments, None):
                reached()
            found = real(*arguments, **named)
            if boundary.after and boundary.when(arguments, found):
                reached()
            return found

        setattr(owner, name, watched)

    def guarded(self, what):
        """`what`, called by one thread at a time, and only once it is open."""

        def called():
            with self._lock:
                if self.open:
                    what()

        return called

    def _open(self):
        self.open = True


@dataclass(frozen=True, kw_only=True)
class Census:
    """Counts how often each boundary is reached, and writes that into a file of JSON.

    Attributes:
        file: Its path.
        opens: Where counting begins; None: at once.
        hurried: Those are counted that are waited for too long, and are made soon; else the others.
    """

    file: str
    opens: str | None = None
    hurried: bool = False

    def arm(self):
        """From now on it counts."""
        watch, counts = _Watch(self.opens), Counter()

        def count(name):
            counts[name] += 1
            with open(f"{self.file}.new", "w") as file:
                json.dump(counts, file)
            os.replace(f"{self.file}.new", self.file)

        for boundary in (b for b in BOUNDARIES if bool(b.settings) is self.hurried):
            for what, value in boundary.settings.items():
                setattr(*place(what), value)
            watch.at(boundary, watch.guarded(functools.partial(count, boundary.name)))


@dataclass(frozen=True, kw_only=True)
class AtBoundary:
    """The controller kills itself with SIGKILL at a boundary.

    Attributes:
        name: Which.
        n: When it is reached the n-th time, from 1.
        opens: Where counting begins; None: at once.
    """

    name: str
    n: int = 1
    opens: str | None = None

    def arm(self):
        """From now on it happens."""
        boundary, watch = BY_NAME[self.name], _Watch(self.opens)
        for what, value in boundary.settings.items():
            setattr(*place(what), value)
        left = self.n

        def reached():
            nonlocal left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

        watch.at(boundary, watch.guarded(reached))
