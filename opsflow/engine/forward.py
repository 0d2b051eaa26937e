"""The way forward: from reached to ready, prepared, acting, done; and what a failure blocks."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from opsflow.engine.graph import Frontier, Spread
from opsflow.engine.jobs import Jobs
from opsflow.engine.lanes import Lanes, Queue, Timers, retry_delay
from opsflow.engine.run import INTERRUPTED, Run, outcome_state
from opsflow.engine.unsettled import Unsettled
from opsflow.events import NodeFinished, NodeRetrying, NodeStarted
from opsflow.model import (
    AttemptRecord,
    AttemptState,
    Failure,
    Job,
    JobKind,
    NodeState,
    OnUnknown,
    Outcome,
    Phase,
    Step,
    Verdict,
)

_OPEN = frozenset({NodeState.PENDING, NodeState.RUNNING})
_BROKEN = frozenset({NodeState.FAILED, NodeState.BLOCKED, NodeState.UNKNOWN})


class Forward:
    """Runs nodes forward.

    Args:
        run: The run.
        jobs: Makes its jobs.
        spread: Says what a failure reaches.
        lanes: Count nodes at work, in both directions together.
        closed: Whether a node's scope is being rolled back, so that it may not start.
        failed: Told of a node that failed, and of nodes that this blocked.
    """

    def __init__(
        self,
        run: Run,
        jobs: Jobs,
        spread: Spread,
        lanes: Lanes,
        *,
        closed: Callable[[str], bool],
        failed: Callable[[str, list[str]], None],
    ) -> None:
        self._run = run
        self._jobs = jobs
        self._spread = spread
        self._closed = closed
        self._failed = failed
        self._ready = Queue(lanes, lambda node: run.nodes[node].step)
        self._prepared: deque[Outcome] = deque()
        self._tries: Counter[str] = Counter()
        self._timers = Timers()
        self._lanes = lanes
        # Attempts whose end nobody saw: a session before this one ended first.
        lost = [n for n in run.in_state(NodeState.RUNNING, NodeState.UNKNOWN) if not closed(n)]
        self._unsettled = Unsettled(run, jobs, lost)
        self._frontier = Frontier(run.plan, self._through)
        self.halted = False

    def start(self) -> None:
        """Find what is ready at the beginning."""
        self._reach(self._frontier.start())

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be started."""
        waiting = self._ready or self._prepared or self._timers.remaining() is not None
        return not self._unsettled and (self.halted or not waiting)

    @property
    def unsettled(self) -> Collection[str]:
        """Nodes of which it is still to be found out what became of their last attempt."""
        return self._unsettled.nodes

    @property
    def wait(self) -> float | None:
        """Seconds until a node may try again; None: none waits."""
        return self._timers.remaining()

    def halt(self) -> None:
        """Start nothing more."""
        self.halted = True
        while self._prepared:
            self._lanes.give(self._prepared.popleft().job.step)

    def next(self, free: int) -> list[Job]:
        """Up to `free` jobs to submit after the next flush: acts first, so that what was begun ends."""
        found: list[Job] = []
        while self._unsettled and len(found) < free:
            found.append(self._unsettled.next())
        if self.halted:
            return found
        for due in self._timers.due():
            self._ready.add(due)
        while self._prepared and len(found) < free:
            outcome = self._prepared.popleft()
            if self._pending(outcome.job.node):
                found.append(self._act(outcome))
            else:
                self._lanes.give(outcome.job.step)
        while len(found) < free and (node := self._ready.take(self._pending)):
            self._tries[node] += 1
            found.append(self._jobs.prepare(node))
        return found

    def take(self, outcome: Outcome) -> None:
        """See what came of a job."""
        if outcome.job.kind is JobKind.PREPARE:
            self._take_preparation(outcome)
        elif outcome.job.kind is JobKind.SETTLE:
            self._take_settlement(outcome)
        else:
            self._take_act(outcome)

    def again(self, node: str) -> None:
        """The attempt of a node was cancelled: it may have another, in this session or the next."""
        self._unsettled.settle(node)
        self._run.move(node, "retry")
        if self._closed(node):
            self._give_up(node)
        elif self._frontier.reached(node):
            self._ready.add(node)

    def block(self, nodes: Iterable[str], why: str) -> list[str]:
        """Block those of `nodes` that are pending, and what needs these; the ones it did."""
        waiting = [node for node in nodes if self._pending(node)]
        blocked = []
        for node in (*waiting, *self._spread.dependants(waiting)):
            if self._pending(node):
                self._timers.drop(node)
                self._run.move(node, "block", error=Failure(kind="Blocked", message=why))
                self._say_finished(node)
                blocked.append(node)
        # Passing one reaches others, which then pass by themselves.
        for node in [n for n in blocked if self._frontier.reached(n)]:
            self._pass(node)
        return blocked

    # Inside

    def _through(self, node: str) -> bool:
        return self._run.nodes[node].state not in _OPEN and node not in self._unsettled.nodes

    def _pending(self, node: str) -> bool:
        return self._run.nodes[node].state is NodeState.PENDING

    def _step(self, node: str) -> Step:
        return self._run.plan.steps[self._run.nodes[node].step]

    def _reach(self, nodes: Iterable[str]) -> None:
        queue = deque(nodes)
        while queue:
            node = queue.popleft()
            if self._pending(node) and self._closed(node):
                self._give_up(node)
            elif self._pending(node):
                self._ready.add(node)

    def _pass(self, node: str) -> None:
        """A node is through."""
        if self._frontier.reached(node):  # else it is passed when it is reached
            self._reach(self._frontier.settle(node))

    def _act(self, outcome: Outcome) -> Job:
        node = outcome.job.node
        assert outcome.preview is not None
        attempt = self._run.begin_attempt(
            node, Phase.EXECUTE, params=outcome.params, preview=outcome.preview, machine=outcome.machine
        )
        self._run.move(node, "start")
        summary = outcome.preview.summary
        self._run.say(NodeStarted(run_id=self._run.id, node=node, phase=Phase.EXECUTE, n=attempt.n, summary=summary))
        return self._jobs.execute(attempt)

    def _take_preparation(self, outcome: Outcome) -> None:
        node = outcome.job.node
        if self._closed(node):
            self._lanes.give(outcome.job.step)
            self._give_up(node)
            return
        if outcome.verdict is Verdict.PREPARED and not self.halted:
            self._prepared.append(outcome)
            return
        self._lanes.give(outcome.job.step)
        if outcome.verdict is Verdict.CANCELLED:
            self._ready.add(node)
        elif outcome.verdict is Verdict.SKIPPED:
            self._run.move(node, "skip")
            self._done(node, "its condition is false")
        elif outcome.verdict is Verdict.UNCHANGED:
            began = bool(self._run.nodes[node].to_revert())
            self._run.move(node, "satisfy" if began else "settle", outputs=outcome.outputs)
            self._done(node, outcome.preview.summary if outcome.preview else "")
        elif outcome.verdict is not Verdict.PREPARED and not self._try_again(node, outcome.failure):
            self._fail(node, outcome.failure)

    def _take_act(self, outcome: Outcome) -> None:
        node = outcome.job.node
        attempt = self._run.nodes[node].last(Phase.EXECUTE)
        assert attempt is not None
        if not outcome.job.replay:
            self._lanes.give(outcome.job.step)
        elif outcome.verdict is Verdict.UNKNOWN:
            self._unsettled.again(node, outcome.failure)
            return
        self._unsettled.settle(node)
        self._run.end_attempt(
            attempt,
            outcome_state(outcome),
            outputs=outcome.outputs,
            exit_status=outcome.exit_status,
            error=outcome.failure,
        )
        if outcome.verdict is Verdict.SUCCEEDED:
            self._run.move(node, "succeed", outputs=outcome.outputs)
            self._done(node, attempt.preview["summary"])
        elif outcome.verdict is Verdict.UNKNOWN:
            self._lose(node, outcome.failure)
        elif outcome.verdict is Verdict.CANCELLED:
            self.again(node)
            self._say_finished(node, outcome.failure.message if outcome.failure else "")
        elif self._closed(node) or not self._try_again(node, outcome.failure):
            self._fail(node, outcome.failure)

    def _take_settlement(self, outcome: Outcome) -> None:
        node = outcome.job.node
        if outcome.verdict is Verdict.CANCELLED:
            self._unsettled.again(node, self._unsettled.why(node))
            return
        self._unsettled.settle(node)
        attempt = self._run.nodes[node].last(Phase.EXECUTE)
        assert attempt is not None
        rule = self._step(node).on_unknown
        asked = outcome.verdict is Verdict.PREPARED or outcome.preview is not None
        if outcome.verdict is Verdict.UNCHANGED:
            self._end(attempt, AttemptState.SUCCEEDED, outcome.outputs)
            self._run.move(node, "succeed", outputs=outcome.outputs)
            self._done(node, "found done")
        elif self._closed(node):
            self._end(attempt, AttemptState.UNKNOWN)
            self._lose(node, INTERRUPTED)
        elif asked and rule is OnUnknown.RERUN and self._may_repeat(attempt):
            self._end(attempt, AttemptState.FAILED)
            self._run.move(node, "retry")
            if self._frontier.reached(node):
                self._ready.add(node)
        elif asked and rule is OnUnknown.REVERT:
            self._end(attempt, AttemptState.UNKNOWN)
            self._fail(node, INTERRUPTED)
        else:
            self._end(attempt, AttemptState.UNKNOWN)
            self._lose(node, outcome.failure or self._unsettled.why(node) or INTERRUPTED)

    def _may_repeat(self, attempt: AttemptRecord) -> bool:
        # A task says it for all its uses, or has a parameter by which the playbook says it for one.
        return self._run.plan.task_of(attempt.node).idempotent or attempt.params.get("idempotent") is True

    def _end(self, attempt: AttemptRecord, state: AttemptState, outputs: Mapping[str, Any] | None = None) -> None:
        error = None if state is AttemptState.SUCCEEDED else attempt.error or INTERRUPTED
        self._run.end_attempt(attempt, state, outputs=outputs, error=error)

    def _try_again(self, node: str, failure: Failure | None) -> bool:
        retry = self._step(node).retry
        if self._tries[node] >= retry.attempts or self.halted:
            return False
        if self._run.nodes[node].state is not NodeState.PENDING:
            self._run.move(node, "retry")
        delay = retry_delay(retry, self._tries[node])
        self._timers.add(node, delay)
        self._run.say(NodeRetrying(run_id=self._run.id, node=node, n=self._tries[node], delay=delay, error=failure))
        return True

    def _fail(self, node: str, failure: Failure | None) -> None:
        self._run.move(node, "fail", error=failure)
        self._say_finished(node)
        blocked = self.block(self._spread.dependants([node]), f"it needs {node}, which failed")
        self._failed(node, blocked)
        self._pass(node)

    def _lose(self, node: str, failure: Failure | None) -> None:
        if self._run.nodes[node].state is NodeState.RUNNING:
            self._run.move(node, "lose", error=failure)
        self._say_finished(node)
        self.block(self._spread.dependants([node]), f"it needs {node}, whose fate is unknown")
        self._pass(node)

    def _give_up(self, node: str) -> None:
        """A node's scope was closed before it began."""
        for blocked in self.block([node], "its scope is being rolled back"):
            self._failed(blocked, [])

    def _done(self, node: str, summary: str) -> None:
        self._say_finished(node, summary)
        self._pass(node)

    def _say_finished(self, node: str, summary: str = "") -> None:
        status = self._run.nodes[node]
        self._run.say(
            NodeFinished(
                run_id=self._run.id,
                node=node,
                state=status.state,
                phase=Phase.EXECUTE,
                summary=summary,
                outputs=status.outputs,
                error=status.error if status.state in _BROKEN else None,
                source=str(self._step(node).source or ""),
            )
        )
