"""What other processes ask of a run, taken up between two steps of the loop."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from opsflow.engine.gates import decide_as_asked
from opsflow.engine.jobs import Jobs
from opsflow.engine.mark import mark_as_asked
from opsflow.engine.run import NodeStatus, Run
from opsflow.engine.stop import Stop
from opsflow.events import RunStopping
from opsflow.model import (
    Asked,
    AttemptRecord,
    AttemptState,
    Failure,
    Job,
    NodeState,
    Outcome,
    Phase,
    RequestRecord,
    Verdict,
)
from opsflow.ports import Executor

_MAY_RUN = frozenset({NodeState.UNKNOWN, NodeState.REVERTING})


class Requests:
    """Applies requests to a run.

    Args:
        run: The run.
        jobs: Makes its jobs.
        executor: Where they are worked on.
        stop: The wish to stop.
        flying: Jobs at work, by node.
        engaged: Whether a node is at work or about to be.
        marked_failed: Told of a node that was marked failed.
        again: Makes a node whose attempt was cancelled ready for the next.
        gates: What waits for an approval, by node.
        decided: Told of a node at a gate that was opened or refused.
    """

    def __init__(
        self,
        run: Run,
        *,
        jobs: Jobs,
        executor: Executor,
        stop: Stop,
        flying: Mapping[str, Job],
        engaged: Callable[[str], bool],
        marked_failed: Callable[[str], None],
        again: Callable[[str], None],
        gates: Callable[[], Mapping[str, str]],
        decided: Callable[[str], None],
    ) -> None:
        self._run = run
        self._jobs = jobs
        self._executor = executor
        self._stop = stop
        self._flying = flying
        self._engaged = engaged
        self._marked_failed = marked_failed
        self._again = again
        self._gates = gates
        self._decided = decided
        self.stopping = False  # somebody asked for it, and listeners know
        self._killer = ""
        self._taken: set[int] = set()
        self._left: deque[AttemptRecord] = deque()
        self.unanswered: dict[str, Failure | None] = {}  # nodes whose host does not say that nothing runs

    def take(self, request: RequestRecord) -> None:
        """Apply a request, and write down what came of it; both are durable with the next flush.

        One that is heard again before that is applied already.
        """
        if request.id in self._taken:
            return
        self._taken.add(request.id)
        answers = {
            Asked.CANCEL: self._cancel,
            Asked.PAUSE: self._cancel,
            Asked.MARK: self._mark,
            Asked.APPROVE: self._decide,
        }
        self._run.answer(request, answers[request.what](request))

    # Cancelling

    def next(self, free: int) -> list[Job]:
        """Up to `free` jobs that end attempts which earlier sessions left at work."""
        found: list[Job] = []
        while self._left and len(found) < free:
            attempt = self._left.popleft()
            undone = self._undone(attempt)
            found.append(self._jobs.cancel(attempt, undone))
        return found

    def ended(self, outcome: Outcome) -> None:
        """See what came of such a job."""
        node = self._run.nodes[outcome.job.node]
        if outcome.verdict is not Verdict.CANCELLED:
            self.unanswered[node.id] = outcome.failure
            return
        attempt = node.attempts[outcome.job.record]
        self._run.end_attempt(attempt, AttemptState.FAILED, error=outcome.failure)
        if attempt.phase is Phase.EXECUTE:
            self._again(node.id)

    def signed(self, outcome: Outcome) -> Outcome:
        """The outcome, and if it was cancelled by whom."""
        if outcome.verdict is not Verdict.CANCELLED or not self._killer:
            return outcome
        return replace(outcome, failure=Failure(kind="Cancelled", message=f"cancelled by {self._killer}"))

    def _cancel(self, request: RequestRecord) -> dict[str, Any]:
        kill = bool(request.data.get("kill"))
        self._stop.ask()
        self.stopping = True
        left: list[AttemptRecord] = []
        if kill and not self._killer:
            self._killer = request.operator
            for job in self._flying.values():
                self._executor.cancel(job)
            found = (_open_attempt(node) for node in self._run.nodes.values() if node.id not in self._flying)
            left = [attempt for attempt in found if attempt]
            self._left.extend(left)
        at_work = [*self._flying, *(attempt.node for attempt in left)]
        why = str(request.data.get("why", ""))
        self._run.say(RunStopping(run_id=self._run.id, running=tuple(at_work), by=request.operator, kill=kill, why=why))
        return {"at_work": at_work, "kill": kill}

    def _undone(self, attempt: AttemptRecord) -> AttemptRecord | None:
        others = self._run.nodes[attempt.node].attempts.values()
        return next((a for a in others if a.phase is Phase.EXECUTE and a.n == attempt.undoes), None)

    # Marking

    def _mark(self, request: RequestRecord) -> dict[str, Any]:
        node = str(request.data["node"])
        if self._engaged(node):
            return {"refused": f"{node} is being worked on at this moment: wait for what comes of it"}
        answer = mark_as_asked(self._run, request)
        if answer.get("state") == NodeState.FAILED:
            self._marked_failed(node)
        return answer

    # Approving

    def _decide(self, request: RequestRecord) -> dict[str, Any]:
        answer = decide_as_asked(self._run, request, self._gates())
        for node in answer.get("nodes", ()):
            self._decided(node)
        return answer


def _open_attempt(node: NodeStatus) -> AttemptRecord | None:
    """The attempt of a node that is not at work here of which something may still run on its host."""
    last = next(reversed(node.attempts.values()), None)
    running = last is not None and last.state is AttemptState.RUNNING
    unknown = last is not None and last.state is AttemptState.UNKNOWN and node.state in _MAY_RUN
    return last if running or unknown else None
