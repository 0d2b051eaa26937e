"""One revert of an attempt, whoever wants it: a rollback, or a node that is to be tried again."""

from collections.abc import Iterable

from opsflow.engine.jobs import Jobs
from opsflow.engine.run import Run, outcome_state
from opsflow.events import NodeFinished, NodeStarted
from opsflow.model import AttemptRecord, Job, NodeState, Outcome, Phase, Preview, Retry

_ONCE_MORE = Retry(attempts=2, delay=1.0)
"""A revert that fails is retried at least so often, whatever the step says of execute."""

_BROKEN = frozenset({NodeState.FAILED, NodeState.BLOCKED, NodeState.UNKNOWN, NodeState.REVERT_FAILED})


def begin_revert(run: Run, jobs: Jobs, undone: AttemptRecord) -> Job:
    """Write down that an attempt is reverted; the job that does it."""
    node = undone.node
    attempt = run.begin_attempt(
        node,
        Phase.REVERT,
        params=undone.params,
        preview=Preview.from_json(undone.preview),
        machine=undone.machine,
        undone=undone,
    )
    run.say(NodeStarted(run_id=run.id, node=node, phase=Phase.REVERT, n=attempt.n))
    return jobs.revert(attempt, undone)


def end_revert(run: Run, outcome: Outcome) -> None:
    """Write down what came of it."""
    attempt = run.nodes[outcome.job.node].last(Phase.REVERT)
    assert attempt is not None
    run.end_attempt(attempt, outcome_state(outcome), exit_status=outcome.exit_status, error=outcome.failure)


def retry_of_reverts(run: Run, node: str) -> Retry:
    """How often a node's reverts are tried."""
    own = run.plan.steps[run.nodes[node].step].retry
    return own if own.attempts > 1 else _ONCE_MORE


def cannot_be_undone(run: Run, node: str, attempts: Iterable[AttemptRecord]) -> bool:
    """Whether one of some attempts of a node cannot be reverted, or its task cannot be."""
    attempts = list(attempts)
    plans = [run.plan_of(attempt) for attempt in attempts] or [run.plan]
    if not all(plan.task_of(node).reversible for plan in plans):
        return True
    return not all(Preview.from_json(a.preview).reversible for a in attempts)


def say_finished(run: Run, node: str, phase: Phase, summary: str = "") -> None:
    """Tell that a node has come to a state in which it stays for now."""
    status = run.nodes[node]
    run.say(
        NodeFinished(
            run_id=run.id,
            node=node,
            state=status.state,
            phase=phase,
            summary=summary,
            outputs=status.outputs if phase is Phase.EXECUTE else {},
            error=status.error if status.state in _BROKEN else None,
            source=str(run.plan.steps[status.step].source or ""),
            on=run.plan.by_id[node].on,
        )
    )
