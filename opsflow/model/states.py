"""The words for where a run, a node and an attempt stand. Scripts rely on these names."""

from enum import StrEnum


class RunState(StrEnum):
    """Where a run stands. `ROLLED_BACK` only if every change was reverted."""

    PLANNED = "planned"
    RUNNING = "running"
    SUSPENDED = "suspended"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_INCOMPLETE = "rollback_incomplete"


OVER = frozenset({RunState.SUCCEEDED, RunState.ROLLED_BACK})
"""States of a run that has come to a good end, or is as if it had not been."""

EXIT_ROLLED_BACK = 3
"""Exit code of a run of which everything that failed was put back."""


class NodeState(StrEnum):
    """Where a node stands."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    BLOCKED = "blocked"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    REVERTING = "reverting"
    REVERTED = "reverted"
    REVERT_FAILED = "revert_failed"


DONE = frozenset({NodeState.SUCCEEDED, NodeState.UNCHANGED, NodeState.SKIPPED})
"""States of a node that lets go on what needs it."""

WELL = DONE | {NodeState.PENDING, NodeState.RUNNING}
"""States of a node with which nothing has gone wrong."""

AT_WORK = frozenset({NodeState.PENDING, NodeState.RUNNING, NodeState.REVERTING})
"""States of a node with which something is still to be done."""

UNTOUCHED = frozenset({NodeState.PENDING, NodeState.BLOCKED, NodeState.SKIPPED})
"""States of a node of which nothing need have begun: it may come to them before its batch begins."""


class AttemptState(StrEnum):
    """Where one attempt stands.

    `RUNNING` is also what a dead controller leaves behind; `UNREACHABLE`: failed, certainly nothing was started.
    """

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


class Phase(StrEnum):
    """Which hook an attempt calls."""

    EXECUTE = "execute"
    REVERT = "revert"


class Action(StrEnum):
    """What a plan says of a node."""

    CHANGE = "change"
    UNCHANGED = "unchanged"
    UNKNOWN = "unknown"
    SKIP = "skip"
    FAIL = "fail"


class OnFailure(StrEnum):
    """What a failed node does to its run."""

    ROLLBACK = "rollback"
    HALT = "halt"
    CONTINUE = "continue"


class OnUnknown(StrEnum):
    """What follows an attempt whose fate nobody knows."""

    ASK = "ask"
    RERUN = "rerun"
    REVERT = "revert"


class Asked(StrEnum):
    """What another process may ask of whoever drives a run."""

    CANCEL = "cancel"
    PAUSE = "pause"
    APPROVE = "approve"
    MARK = "mark"


class Mark(StrEnum):
    """An operator's verdict on a node whose fate opsflow does not know, or could not mend."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    REVERTED = "reverted"


class Irreversible(StrEnum):
    """What a rollback does at a node that cannot be undone."""

    STOP = "stop"
    ALLOW = "allow"
