"""The moments in a controller's life at which it may die, by name.

A moment is the beginning or the end of a call of a function of opsflow; `fault_hooks` kills the real process there.
"""

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
