"""Reverting what failed attempts of a node changed, before the next one begins (`retry.revert_between`)."""

from collections import Counter
from collections.abc import Callable, Iterable

from opsflow.engine.jobs import Jobs
from opsflow.engine.lanes import Lanes, Queue, Timers, retry_delay
from opsflow.engine.reverting import begin_revert, end_revert, retry_of_reverts
from opsflow.engine.run import Run
from opsflow.events import NodeRetrying
from opsflow.model import Failure, Job, NodeState, Outcome, Verdict


class Between:
    """Nodes between two attempts, which read running: `reverting` is a way of no return.

    What was begun is reverted also when nothing more is started.

    Args:
        run: The run.
        jobs: Makes its jobs.
        lanes: Count nodes at work, in both directions together.
        closed: Whether a node's scope is being rolled back: what fails then is that one's to try again.
        done: Told of a node that all is reverted, or why it is not.
        begun: Nodes whose reverts an earlier session had begun.

    Attributes:
        nodes: All that are not done.
    """

    def __init__(
        self,
        run: Run,
        jobs: Jobs,
        lanes: Lanes,
        *,
        closed: Callable[[str], bool],
        done: Callable[[str, Failure | None], None],
        begun: Iterable[str],
    ) -> None:
        self._run = run
        self._jobs = jobs
        self._lanes = lanes
        self._closed = closed
        self._done = done
        self._free = Queue(lanes, lambda node: run.nodes[node].step)
        self._timers = Timers()
        self._failures: Counter[str] = Counter()
        self.nodes: dict[str, None] = {}
        for node in begun:
            self.add(node)

    def add(self, node: str) -> None:
        """Revert what the attempts of a node may have changed."""
        if self._run.nodes[node].state is NodeState.PENDING:
            self._run.move(node, "start")
        self.nodes[node] = None
        self._free.add(node)

    @property
    def wait(self) -> float | None:
        """Seconds until a revert may be tried again."""
        return self._timers.remaining()

    def next(self, free: int) -> list[Job]:
        """Up to `free` reverts to submit after the next flush."""
        for due in self._timers.due():
            self._free.add(due)
        found: list[Job] = []
        while len(found) < free and (node := self._free.take(self.nodes.__contains__)):
            found.append(begin_revert(self._run, self._jobs, self._run.nodes[node].to_take_back()[0]))
        return found

    def take(self, outcome: Outcome) -> None:
        """See what came of a revert."""
        node = outcome.job.node
        self._lanes.give(outcome.job.step)
        end_revert(self._run, outcome)
        if outcome.verdict is Verdict.SUCCEEDED and not self._run.nodes[node].to_take_back():
            self._end(node, None)
        elif outcome.verdict in {Verdict.SUCCEEDED, Verdict.CANCELLED}:
            self._free.add(node)
        else:
            self._retry_or_end(node, outcome.failure)

    def _retry_or_end(self, node: str, failure: Failure | None) -> None:
        retry = retry_of_reverts(self._run, node)
        self._failures[node] += 1
        tries = self._failures[node]
        if tries >= retry.attempts or self._closed(node):
            del self._failures[node]
            self._end(node, failure)
            return
        delay = retry_delay(retry, tries)
        self._timers.add(node, delay)
        self._run.say(NodeRetrying(run_id=self._run.id, node=node, n=tries, delay=delay, error=failure))

    def _end(self, node: str, failure: Failure | None) -> None:
        del self.nodes[node]
        self._done(node, failure)
