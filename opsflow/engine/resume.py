"""Taking up a run that an earlier session left."""

from collections.abc import Callable

from opsflow.engine.graph import Spread
from opsflow.engine.run import INTERRUPTED, NodeStatus, Run
from opsflow.model import AttemptState, NodeState, OnFailure, OnUnknown, Phase, RunState

_STOPS = frozenset({NodeState.FAILED, NodeState.REVERTED})
"""What needs a node in one of these stays blocked; outside of a rollback an operator has marked it reverted."""

_RETIRES = frozenset({NodeState.PENDING, NodeState.BLOCKED, NodeState.FAILED})


def end_interrupted(run: Run) -> None:
    """End the attempts that nobody drives any more, their fate unknown, so that they can be reverted."""
    for node in list(run.nodes.values()):
        _end_attempts(run, node.id, Phase.REVERT)
        if node.id not in run.plan.at_end:  # what runs at the end is followed
            _lose(run, node)


def reopen(run: Run, closed: Callable[[str], bool], spread: Spread) -> frozenset[str]:
    """Make pending again what may go on; what is in a closed scope stays and is put back.

    A revert that was interrupted is called again: it is idempotent.

    Returns:
        Nodes that stay failed because what they need was rolled back: nothing more follows from that.
    """
    failed_run = run.state is RunState.FAILED
    if run.state is RunState.PLANNED:
        run.move_run("start")
    elif run.state in {RunState.SUSPENDED, RunState.FAILED, RunState.ROLLED_BACK}:
        run.move_run("roll_back" if run.rollbacks else "resume")
    for node_id in run.plan.retired:
        if run.nodes[node_id].state in _RETIRES and not closed(node_id):
            run.move(node_id, "retire")
    failed: list[str] = []
    for node in list(run.nodes.values()):
        _end_attempts(run, node.id, Phase.REVERT)
        if closed(node.id):
            _lose(run, node)
        elif failed_run and node.state is NodeState.FAILED and policy(run, node.id) is not OnFailure.ROLLBACK:
            failed.append(node.id)
    bad = {n.id for n in run.nodes.values() if n.state in _STOPS or closed(n.id)}.difference(failed)
    stay = bad.union(spread.dependants(bad))
    for node_id in (*failed, *run.in_state(NodeState.BLOCKED)):
        if node_id not in stay:
            run.move(node_id, "retry")
    return frozenset(stay.intersection(failed))


def stopped_before(run: Run, closed: Callable[[str], bool]) -> list[str]:
    """Nodes behind which nothing may be begun, though that is not written down yet: an operator may have said so."""
    return [n for n in run.in_state(*_STOPS) if not closed(n)]


def policy(run: Run, node: str) -> OnFailure:
    """What a node that failed does to its run; what runs at the end does nothing to it, nor does what is retired.

    An attempt of unknown fate that is to be reverted takes its scope along: going forward over it would repeat it.
    """
    step = run.plan.steps[run.nodes[node].step]
    if step.at_end:
        return OnFailure.CONTINUE
    last = run.nodes[node].last(Phase.EXECUTE)
    uncertain = last is not None and last.state is AttemptState.UNKNOWN
    if uncertain and step.on_unknown is OnUnknown.REVERT:
        return OnFailure.ROLLBACK
    return OnFailure.CONTINUE if node in run.plan.gone else step.on_failure


def _lose(run: Run, node: NodeStatus) -> None:
    _end_attempts(run, node.id, Phase.EXECUTE)
    if node.state is NodeState.RUNNING:
        run.move(node.id, "lose", error=INTERRUPTED)


def _end_attempts(run: Run, node: str, phase: Phase) -> None:
    for attempt in list(run.nodes[node].attempts.values()):
        if attempt.state is AttemptState.RUNNING and attempt.phase is phase:
            run.end_attempt(attempt, AttemptState.UNKNOWN, error=INTERRUPTED)
