"""The moments in a controller's life at which it may die, by name, and a way to kill the real process there.

A moment is the beginning or the end of a call of a function of opsflow. In the process that is to die, and only there,
that function is replaced by one that calls it and counts. A function that is not there any more is an error.
"""

import functools
import importlib
import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from opsflow.model import AttemptFinished, AttemptStarted, JobKind, Outcome, RollbackStarted, RunChanged

FORWARD, BACK = "forward", "back"
"""The ways of a run: doing, and putting back."""
BOTH = (FORWARD, BACK)
AT_END = "cleans"
"""The step of `fault_work` that runs at the end."""
FAILURE = "opsflow.engine.loop:Engine._failed"
"""Where the way back begins in a run that fails."""
_ACTS = (JobKind.EXECUTE, JobKind.REVERT)


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """A moment.

    Attributes:
        name: What it is called.
        point: `MODULE:NAME` or `MODULE:CLASS.NAME` of a function.
        after: When it returns; else when it is called.
        when: Of its arguments and, `after`, its result: whether this call counts.
        ways: On which ways of a run it comes.
        fresh: It comes only where the journal has no tables yet.
        settings: Values that what it waits for is made soon with, by `MODULE:NAME`.
    """

    name: str
    point: str
    after: bool = False
    when: Callable = field(default=lambda *_: True)
    ways: tuple = BOTH
    fresh: bool = False
    settings: dict = field(default_factory=dict)


def _commits(kind, test=lambda _: True):
    """Whether a commit has a change of a kind."""

    def has(arguments, _):
        return any(isinstance(change, kind) and test(change) for change in arguments[2])

    return has


def _around(name, kind, test=lambda _: True, **more):
    """Before and after a commit of a kind of change."""
    point, when = "opsflow.journal.store:SqlJournal.commit", _commits(kind, test)
    return (
        Boundary(name=f"{name} is not committed yet", point=point, when=when, **more),
        Boundary(name=f"{name} is committed", point=point, when=when, after=True, **more),
    )


def _operation(arguments, _):
    """Whether a message starts an operation, not a read."""
    what, *words = arguments[-1].split()
    return what == "S" and not words[1].startswith("r")


def _at_end(arguments, _):
    return arguments[1].job.step == AT_END


BOUNDARIES = (
    # The journal's beginning
    Boundary(name="the schema is not made yet", point="opsflow.journal.upgrade:_migrate", ways=(FORWARD,), fresh=True),
    Boundary(
        name="a table of the schema is made",
        point="alembic.ddl.impl:DefaultImpl.create_table",
        after=True,
        ways=(FORWARD,),
        fresh=True,
    ),
    Boundary(
        name="the schema is made, not committed",
        point="opsflow.journal.upgrade:_migrate",
        after=True,
        ways=(FORWARD,),
        fresh=True,
    ),
    Boundary(name="the journal is open", point="opsflow.journal.upgrade:opened", after=True),
    # The run's beginning, and its change of hands
    Boundary(name="the preview has looked", point="opsflow.app.running:_look", after=True, ways=(FORWARD,)),
    Boundary(name="the run is not in the journal yet", point="opsflow.journal.writer:begin", ways=(FORWARD,)),
    Boundary(name="the run has begun", point="opsflow.journal.store:SqlJournal.begin", after=True, ways=(FORWARD,)),
    Boundary(name="the lease is about to be taken", point="opsflow.journal.lease:take"),
    Boundary(name="the lease is taken, not committed", point="opsflow.journal.lease:take", after=True),
    Boundary(name="hosts are about to be held", point="opsflow.journal.lease:hold"),
    Boundary(name="hosts are held, not committed", point="opsflow.journal.lease:hold", after=True),
    Boundary(name="the run is taken over", point="opsflow.journal.store:SqlJournal.resume", after=True),
    Boundary(name="a resume has read the run", point="opsflow.app.resuming:load", after=True),
    Boundary(name="a resume has looked at what was left", point="opsflow.engine.loop:reopen", after=True),
    Boundary(name="a heartbeat is due", point="opsflow.journal.store:SqlJournal.heartbeat"),
    Boundary(
        name="a heartbeat is written, not committed",
        point="opsflow.journal.writer:hear",
        after=True,
        settings={"opsflow.journal.store:_BEAT_SECONDS": 0.0},
    ),
    # Hosts
    Boundary(name="the hello is not sent yet", point="opsflow.transport.target:Target._made"),
    Boundary(name="the hello is sent, not answered", point="opsflow.transport.channel:Channel._greeted"),
    Boundary(name="the host is claimed", point="opsflow.transport.target:Target._made", after=True),
    Boundary(name="a node is prepared", point="opsflow.engine.work:Worker._prepare", after=True),
    # The intent, the message, the outcome
    *_around("an intent", AttemptStarted),
    Boundary(
        name="an intent is written, COMMIT not sent",
        point="opsflow.journal.writer:commit",
        after=True,
        when=lambda arguments, _: bool(arguments[2].begun),
    ),
    Boundary(
        name="an attempt is not handed over yet",
        point="opsflow.engine.executors.threads:ThreadExecutor.submit",
        when=lambda arguments, _: arguments[1].kind in _ACTS,
    ),
    Boundary(name="the message is not sent yet", point="opsflow.transport.channel:Channel.send", when=_operation),
    Boundary(
        name="the message is sent, not answered",
        point="opsflow.transport.channel:Channel.send",
        after=True,
        when=_operation,
    ),
    Boundary(name="output is asked for", point="opsflow.transport.following:Following.ask"),
    Boundary(
        name="the answer has come",
        point="opsflow.transport.following:Following.to_end",
        after=True,
        when=lambda arguments, _: not arguments[0]._call.read,
    ),
    Boundary(name="an earlier attempt is about to be fenced", point="opsflow.transport.target:Target.fence"),
    Boundary(name="an earlier attempt is fenced", point="opsflow.transport.target:Target.fence", after=True),
    Boundary(
        name="a record is read for a replay",
        point="opsflow.transport.target:Target.record",
        after=True,
        ways=(FORWARD,),
    ),
    Boundary(
        name="the outcome is here, not looked at",
        point="opsflow.engine.loop:Engine._take",
        when=lambda arguments, _: isinstance(arguments[1], Outcome) and arguments[1].job.kind in _ACTS,
    ),
    *_around("an outcome", AttemptFinished),
    Boundary(
        name="an outcome is written, COMMIT not sent",
        point="opsflow.journal.writer:commit",
        after=True,
        when=lambda arguments, _: bool(arguments[2].ended),
    ),
    Boundary(name="COMMIT is answered", point="sqlalchemy.engine.default:DefaultDialect.do_commit", after=True),
    Boundary(name="a host may forget", point="opsflow.transport.target:Target.forget"),
    # Trying again
    Boundary(name="a failed try waits", point="opsflow.engine.lanes:Timers.add", after=True),
    Boundary(
        name="in the pause before a try",
        point="opsflow.engine.loop:Engine._patience",
        when=lambda arguments, _: any(wait is not None for wait in arguments[0]._ways.waits),
    ),
    Boundary(name="between tries, before the revert", point="opsflow.engine.between:Between.add", ways=(FORWARD,)),
    Boundary(
        name="between tries, after the revert", point="opsflow.engine.between:Between._end", after=True, ways=(FORWARD,)
    ),
    # Back
    Boundary(name="a scope is closed", point="opsflow.engine.rollback:Undo._close", after=True, ways=(BACK,)),
    Boundary(name="the rollback plan is not frozen yet", point="opsflow.engine.rollback:Undo._freeze", ways=(BACK,)),
    *_around("the rollback plan", RollbackStarted, ways=(BACK,)),
    Boundary(name="between two reverts", point="opsflow.engine.rollback:Undo.take", after=True, ways=(BACK,)),
    Boundary(name="a revert failed", point="opsflow.engine.rollback:Undo._retry_or_stick", ways=(BACK,)),
    Boundary(name="all is reverted", point="opsflow.engine.run:Run.end_rollback", after=True, ways=(BACK,)),
    # The end
    Boundary(
        name="`finally` begins",
        point="opsflow.engine.forward:begin_execute",
        when=lambda arguments, _: arguments[2].job.step == AT_END,
    ),
    Boundary(
        name="`finally` has ended",
        point="opsflow.engine.forward:Forward._take_act",
        after=True,
        when=_at_end,
    ),
    Boundary(name="the run's verdict is not made yet", point="opsflow.engine.loop:conclude"),
    *_around("the run's end", RunChanged, lambda change: change.finished is not None),
    Boundary(name="the writer is about to leave", point="opsflow.journal.store:SqlJournal.leave"),
    Boundary(name="the writer has left", point="opsflow.journal.store:SqlJournal.leave", after=True),
    Boundary(name="hosts are about to be released", point="opsflow.transport.pool:HostTransports.release"),
    Boundary(name="hosts are released", point="opsflow.transport.pool:HostTransports.release", after=True),
)

BY_NAME = {boundary.name: boundary for boundary in BOUNDARIES}


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
    """

    file: str
    opens: str | None = None

    def arm(self):
        """From now on it counts."""
        watch, counts = _Watch(self.opens), Counter()

        def count(name):
            counts[name] += 1
            with open(f"{self.file}.new", "w") as file:
                json.dump(counts, file)
            os.replace(f"{self.file}.new", self.file)

        for boundary in BOUNDARIES:
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
