"""Attempts whose end nobody saw, because a session before this one ended first."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from opsflow.engine.jobs import Jobs
from opsflow.engine.run import INTERRUPTED, Run
from opsflow.events import NodeFollowed
from opsflow.model import AttemptRecord, AttemptState, Failure, Job, Phase


def may_repeat(run: Run, attempt: AttemptRecord) -> bool:
    """Whether an attempt of unknown fate does no harm if it is made once more, and its node is not retired."""
    if attempt.node in run.plan.gone:
        return False
    # A task says it for all its uses, or has a parameter by which the playbook says it for one.
    return run.plan.task_of(attempt.node).idempotent or attempt.params.get("idempotent") is True


def end_unseen(run: Run, attempt: AttemptRecord, state: AttemptState, outputs: Mapping[str, Any] | None = None) -> None:
    """Write down how such an attempt ended, as far as it is known."""
    error = None if state is AttemptState.SUCCEEDED else attempt.error or INTERRUPTED
    run.end_attempt(attempt, state, outputs=outputs, error=error)


class Unsettled:
    """Nodes of which it is still to be found out what became of their last attempt.

    The target knows best; only where it does not, the task is asked.

    Args:
        run: The run.
        jobs: Makes its jobs.
        lost: The nodes.

    Attributes:
        nodes: All that are not settled, those that are being looked at too.
    """

    def __init__(self, run: Run, jobs: Jobs, lost: Iterable[str]) -> None:
        self._run = run
        self._jobs = jobs
        self._queue = deque(lost)
        self.nodes = set(self._queue)
        self._followed: set[str] = set()
        self._why: dict[str, Failure | None] = {}  # why the target could not tell

    def __bool__(self) -> bool:
        """Whether some wait to be looked at."""
        return bool(self._queue)

    def next(self) -> Job:
        """The next look."""
        node = self._queue.popleft()
        attempt = self._run.nodes[node].last(Phase.EXECUTE)
        assert attempt is not None
        if not attempt.machine or node in self._followed:
            return self._jobs.settle(attempt)
        return self._follow(attempt)

    def again(self, node: str, why: Failure | None = None) -> None:
        """The look told nothing, and why: it takes another one."""
        self._queue.append(node)
        self._why[node] = why

    def why(self, node: str) -> Failure | None:
        """Why the target could not tell what became of a node, if it could not."""
        return self._why.get(node)

    def settle(self, node: str) -> None:
        """It is known what became of a node; nothing happens if it was."""
        self.nodes.discard(node)
        if node in self._queue:
            self._queue.remove(node)

    def _follow(self, attempt: AttemptRecord) -> Job:
        self._followed.add(attempt.node)
        self._run.say(
            NodeFollowed(
                run_id=self._run.id,
                node=attempt.node,
                phase=Phase.EXECUTE,
                n=attempt.n,
                since=attempt.started,
                summary=attempt.preview["summary"],
            )
        )
        return self._jobs.execute(attempt, replay=True)
