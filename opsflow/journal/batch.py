"""The changes of one commit, put together so that each kind of row needs one statement.

What is changed several times within a commit is written once, from its first state to its last; that each change
began where the one before had ended is checked here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from opsflow.errors import JournalConflict
from opsflow.model import (
    AttemptFinished,
    AttemptRecord,
    AttemptStarted,
    AttemptState,
    Change,
    NodeChanged,
    OutputAppended,
    PlanReplaced,
    RequestApplied,
    RollbackFinished,
    RollbackRecord,
    RollbackStarted,
    RunChanged,
)

OPEN = (AttemptState.RUNNING, AttemptState.UNKNOWN)
"""An attempt in one of these can get an outcome."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """What a commit comes to, by kind and id."""

    run: RunChanged | None = None
    replaced: PlanReplaced | None = None
    nodes: dict[str, NodeChanged] = field(default_factory=dict)
    begun: dict[str, AttemptRecord] = field(default_factory=dict)
    ended: dict[str, AttemptFinished] = field(default_factory=dict)
    rollbacks: dict[str, RollbackRecord] = field(default_factory=dict)
    rolled: dict[str, RollbackFinished] = field(default_factory=dict)
    output: list[OutputAppended] = field(default_factory=list)
    applied: list[RequestApplied] = field(default_factory=list)


def collect(changes: Sequence[Change]) -> Batch:  # noqa: C901 - one line for each kind of change
    """Put `changes` together.

    Raises:
        JournalConflict: a change does not begin where the one before it ended.
    """
    batch = Batch()
    for change in changes:
        match change:
            case RunChanged():
                batch.run = _run(batch.run, change)
            case PlanReplaced():
                batch.replaced = change
            case NodeChanged():
                batch.nodes[change.node] = _node(batch.nodes.get(change.node), change)
            case AttemptStarted():
                _start(batch, change.attempt)
            case AttemptFinished():
                _finish(batch, change)
            case OutputAppended():
                batch.output.append(change)
            case RollbackStarted():
                batch.rollbacks[change.rollback.id] = change.rollback
            case RollbackFinished():
                _finish_rollback(batch, change)
            case RequestApplied():
                batch.applied.append(change)
    return batch


def _run(earlier: RunChanged | None, change: RunChanged) -> RunChanged:
    if earlier is None:
        return change
    if earlier.after is not change.before:
        raise JournalConflict(f"the run is {earlier.after}, not {change.before}")
    return replace(change, before=earlier.before)


def _node(earlier: NodeChanged | None, change: NodeChanged) -> NodeChanged:
    if earlier is None:
        return change
    if earlier.after is not change.before:
        raise JournalConflict(f"node {change.node} is {earlier.after}, not {change.before}")
    return replace(change, before=earlier.before)


def _start(batch: Batch, attempt: AttemptRecord) -> None:
    if attempt.id in batch.begun or attempt.id in batch.ended:
        raise JournalConflict(f"attempt {attempt.id} began already")
    batch.begun[attempt.id] = attempt


def _finish(batch: Batch, change: AttemptFinished) -> None:
    begun = batch.begun.get(change.id)
    before = begun or batch.ended.get(change.id)
    if before is not None and before.state not in OPEN:
        raise JournalConflict(f"attempt {change.id} is {before.state} already")
    if begun is None:
        batch.ended[change.id] = change
        return
    batch.begun[change.id] = replace(
        begun,
        state=change.state,
        finished=change.finished,
        outputs=change.outputs,
        exit_status=change.exit_status,
        error=change.error,
    )


def _finish_rollback(batch: Batch, change: RollbackFinished) -> None:
    begun = batch.rollbacks.get(change.id)
    if begun is None:
        batch.rolled[change.id] = change
    else:
        batch.rollbacks[change.id] = replace(begun, finished=change.finished, complete=change.complete)
