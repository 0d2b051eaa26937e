"""The way forward: from reached to ready, prepared, acting, done; and what a failure blocks."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping

from opsflow.engine.acting import begin_execute
from opsflow.engine.deciding import skip, skip_again
from opsflow.engine.gates import Gates
from opsflow.engine.graph import Frontier, Spread
from opsflow.engine.jobs import Jobs
from opsflow.engine.lanes import Lanes, Queue
from opsflow.engine.retrying import Retrying
from opsflow.engine.reverting import say_finished
from opsflow.engine.run import INTERRUPTED, Run, outcome_state
from opsflow.engine.unsettled import Unsettled, end_unseen, may_repeat
from opsflow.model import (
    DONE,
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
_CLOSED = "its scope is being rolled back"


class Forward:
    """Runs nodes forward.

    Args:
        run: The run.
        jobs: Makes its jobs.
        spread: Says what a failure reaches.
        lanes: Count nodes at work, in both directions together.
        mine: Nodes that it runs; none of them needs any other.
        admits: Whether a node that has come to its turn may begin; else it is reached once more when it may.
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
        mine: Collection[str],
        admits: Callable[[str], bool],
        closed: Callable[[str], bool],
        failed: Callable[[str, list[str]], None],
    ) -> None:
        self._run = run
        self._jobs = jobs
        self._spread = spread
        self._mine = mine
        self._admits = admits
        self._closed = closed
        self._failed = failed
        self._ready = Queue(lanes, lambda node: run.nodes[node].step)
        self._prepared: deque[Outcome] = deque()
        self._lanes = lanes
        open_ = [n for n in run.in_state(NodeState.RUNNING, NodeState.UNKNOWN) if n in mine and not closed(n)]
        self._begun_before = frozenset(open_)
        # Attempts whose end nobody saw: a session before this one ended first.
        lost = [n for n in open_ if run.nodes[n].in_doubt]
        self._unsettled = Unsettled(run, jobs, lost)
        between = [n for n in open_ if not run.nodes[n].in_doubt]
        self._again = Retrying(run, jobs, lanes, closed=closed, fail=self._fail, undone=self._pass, begun=between)
        self._gates = Gates(run)
        self._frontier = Frontier(run.plan, self._through)
        self.halted = False

    def start(self) -> None:
        """Find what is ready at the beginning."""
        skip_again(self._run, self._spread)
        self.reach(self._frontier.start())

    def reach(self, nodes: Iterable[str]) -> None:
        """Nodes have come to their turn."""
        queue = deque(nodes)
        while queue:
            node = queue.popleft()
            if node not in self._mine or not self._pending(node):
                continue
            if self._closed(node):
                self._give_up(node, _CLOSED)
            else:
                self._enqueue(node)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be started."""
        waiting = self._ready or self._prepared or self._again.waits[0] is not None
        return not self._unsettled and not self._again.between.nodes and (self.halted or not waiting)

    @property
    def unsettled(self) -> Collection[str]:
        """Nodes of which it is still to be found out what became of their attempts, or whose attempts are reverted."""
        return {*self._unsettled.nodes, *self._again.between.nodes}

    @property
    def waits(self) -> list[float | None]:
        """Seconds until a node may try again; None: none waits."""
        tries, reverts = self._again.waits
        return [None if self.halted else tries, reverts]

    @property
    def gates(self) -> Mapping[str, str]:
        """What somebody has to approve before it goes on, by node."""
        return {} if self.halted else self._gates.waiting

    def decided(self, node: str) -> None:
        """A gate was opened or refused; its state says which."""
        status = self._run.nodes[node]
        if status.state is NodeState.FAILED:
            self._fall(node)
        else:
            self._done(node, f"approved by {status.outputs['by']}")

    def reverts(self, node: str) -> bool:
        """Whether a node's attempts are reverted so that it can try again."""
        return node in self._again.between.nodes

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
        if not self.halted:
            self._go_on(found, free)
        return found + self._again.between.next(free - len(found))

    def _go_on(self, found: list[Job], free: int) -> None:
        for due in self._again.due():
            self._once_more(due)
        while self._prepared and len(found) < free:
            outcome = self._prepared.popleft()
            if self._pending(outcome.job.node):
                found.append(begin_execute(self._run, self._jobs, outcome))
                self._again.tries.begun(outcome.job.node)
            else:
                self._lanes.give(outcome.job.step)
        while len(found) < free and (node := self._ready.take(self._pending)):
            if self._again.ready(node):
                found.append(self._jobs.prepare(node, place=self._again.tries.place(node)))
            else:
                self._lanes.give(self._run.nodes[node].step)

    def take(self, outcome: Outcome) -> None:
        """See what came of a job."""
        if outcome.job.kind is JobKind.PREPARE:
            self._take_preparation(outcome)
        elif outcome.job.kind is JobKind.SETTLE:
            self._take_settlement(outcome)
        elif outcome.job.kind is JobKind.REVERT:
            self._again.between.take(outcome)
        else:
            self._take_act(outcome)

    def again(self, node: str) -> None:
        """The attempt of a node was cancelled: it may have another, in this session or the next."""
        self._unsettled.settle(node)
        self._run.move(node, "retry")
        if self._closed(node):
            self._give_up(node, _CLOSED)
        else:
            self._once_more(node)

    def block(self, nodes: Iterable[str], why: str) -> list[str]:
        """Block those of `nodes` that are pending, and what needs these; the ones it did."""
        waiting = [node for node in nodes if self._pending(node)]
        blocked = []
        for node in (*waiting, *self._spread.dependants(waiting)):
            if self._pending(node):
                self._again.drop(node)
                self._run.move(node, "block", error=Failure(kind="Blocked", message=why))
                say_finished(self._run, node, Phase.EXECUTE)
                blocked.append(node)
        # Passing one reaches others, which then pass by themselves.
        for node in [n for n in blocked if self._frontier.reached(n)]:
            self._pass(node)
        return blocked

    # Inside

    def _through(self, node: str) -> bool:
        return self._run.nodes[node].state not in _OPEN and node not in self.unsettled

    def _pending(self, node: str) -> bool:
        return self._run.nodes[node].state is NodeState.PENDING

    def _step(self, node: str) -> Step:
        return self._run.plan.steps[self._run.nodes[node].step]

    def _enqueue(self, node: str) -> None:
        if missing := self._missing(node):
            self._give_up(node, missing)
        elif not self._again.waiting(node) and self._admits(node):
            self._ready.add(node)

    def _once_more(self, node: str) -> None:
        """A node that had begun may have another attempt; what it needs may be before it again."""
        if self._frontier.reached(node):  # else it is reached later
            self._enqueue(node)

    def _missing(self, node: str) -> str:
        """What a node cannot begin without; only of one that began in an earlier session this is not known.

        What it needed then was done. By another plan, or at another end of the run, that need not be so now.
        """
        if node not in self._begun_before:
            return ""
        for need in self._run.plan.needs_of(node):
            state = self._run.nodes[need].state
            if state not in DONE and node in self._spread.dependants([need]):
                return f"it needs {need}, whose state is {state}"
        return ""

    def _pass(self, node: str) -> None:
        """A node is through."""
        if self._frontier.reached(node):  # else it is passed when it is reached
            self.reach(self._frontier.settle(node))

    def _take_preparation(self, outcome: Outcome) -> None:
        node = outcome.job.node
        if self._closed(node):
            self._lanes.give(outcome.job.step)
            self._give_up(node, _CLOSED)
            return
        waits = outcome.verdict is Verdict.PREPARED and not self.halted and self._gates.stop(outcome)
        if outcome.verdict is Verdict.PREPARED and not self.halted and not waits:
            self._prepared.append(outcome)
            return
        self._lanes.give(outcome.job.step)
        if outcome.verdict is Verdict.CANCELLED:
            self._ready.add(node)
        elif outcome.verdict is Verdict.SKIPPED:
            self._done(node, skip(self._run, self._spread, node))
        elif outcome.verdict is Verdict.UNCHANGED:
            began = bool(self._run.nodes[node].to_revert())
            self._run.move(node, "satisfy" if began else "settle", outputs=outcome.outputs)
            self._done(node, outcome.preview.summary if outcome.preview else "")
        elif outcome.verdict is not Verdict.PREPARED:
            self._again.tries.look_failed(outcome)
            self._try_again(node, outcome.failure)

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
            say_finished(self._run, node, Phase.EXECUTE, outcome.failure.message if outcome.failure else "")
        else:
            self._try_again(node, outcome.failure)

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
            end_unseen(self._run, attempt, AttemptState.SUCCEEDED, outcome.outputs)
            self._run.move(node, "succeed", outputs=outcome.outputs)
            self._done(node, "found done")
        elif self._closed(node):
            end_unseen(self._run, attempt, AttemptState.UNKNOWN)
            self._lose(node, INTERRUPTED)
        elif asked and rule is OnUnknown.RERUN and may_repeat(self._run, attempt):
            end_unseen(self._run, attempt, AttemptState.FAILED)
            self._run.move(node, "retry")
            self._once_more(node)
        elif asked and rule is OnUnknown.REVERT:
            end_unseen(self._run, attempt, AttemptState.UNKNOWN)
            self._fail(node, INTERRUPTED)
        else:
            end_unseen(self._run, attempt, AttemptState.UNKNOWN)
            self._lose(node, outcome.failure or self._unsettled.why(node) or INTERRUPTED)

    def _try_again(self, node: str, failure: Failure | None) -> None:
        if self.halted:
            self._fail(node, failure)
        else:
            self._again.failed(node, failure)

    def _fail(self, node: str, failure: Failure | None) -> None:
        self._run.move(node, "fail", error=failure)
        self._fall(node)

    def _fall(self, node: str) -> None:
        say_finished(self._run, node, Phase.EXECUTE)
        blocked = self.block(self._spread.dependants([node]), f"it needs {node}, which failed")
        self._failed(node, blocked)
        self._pass(node)

    def _lose(self, node: str, failure: Failure | None) -> None:
        if self._run.nodes[node].state is NodeState.RUNNING:
            self._run.move(node, "lose", error=failure)
        say_finished(self._run, node, Phase.EXECUTE)
        self.block(self._spread.dependants([node]), f"it needs {node}, whose fate is unknown")
        self._pass(node)

    def _give_up(self, node: str, why: str) -> None:
        """A node may not begin."""
        for blocked in self.block([node], why):
            self._failed(blocked, [])

    def _done(self, node: str, summary: str) -> None:
        say_finished(self._run, node, Phase.EXECUTE, summary)
        self._pass(node)
