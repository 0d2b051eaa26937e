"""The ways that a run goes: forward, back, and what it does at the end."""

from collections.abc import Callable, Collection, Mapping

from opsflow.engine.forward import Forward
from opsflow.engine.graph import Spread
from opsflow.engine.jobs import Jobs
from opsflow.engine.lanes import Lanes
from opsflow.engine.rollback import Undo
from opsflow.engine.rolling import Rolling
from opsflow.engine.run import Run
from opsflow.engine.scopes import Scopes
from opsflow.model import Job, JobKind, Outcome
from opsflow.ports import Renderer


class Ways:
    """Knows which way each node goes.

    Args:
        run: The run.
        jobs: Makes its jobs.
        spread: Says what a failure reaches.
        renderer: For the values that scopes are made of.
        failed: Told of a node that failed, and of nodes that this blocked.

    Attributes:
        back: Rolls scopes back.
        forward: Runs all but what runs at the end; None: the run only goes back.
        last: Runs that; None: the end has not come.
    """

    def __init__(
        self, run: Run, jobs: Jobs, spread: Spread, renderer: Renderer, failed: Callable[[str, list[str]], None]
    ) -> None:
        self._run = run
        self._jobs = jobs
        self._spread = spread
        self._failed = failed
        self._lanes = Lanes(run.plan)
        self.back = Undo(run, jobs, spread, Scopes(run.plan, renderer), self._lanes)
        self.forward: Forward | None = None
        self._rolling: Rolling | None = None
        self.last: Forward | None = None

    def go_forward(self, *, once_more: bool = False) -> None:
        """Begin with what is ready. `once_more`: the run had come to an end, and somebody goes on with it."""
        self._rolling = Rolling(self._run, self.back, lambda: self.forward.unsettled if self.forward else ())
        if once_more:
            self._rolling.accept_failures()
        mine = self._run.nodes.keys() - self._run.plan.at_end
        self.forward = self._forward(mine, self._rolling.admits, self.back.closed)

    def block_behind(self, node: str) -> list[str]:
        """Block what waits for a node that failed or was put back; the ones it did. Only on the way forward."""
        assert self.forward is not None
        return self.forward.block(self._spread.dependants([node]), f"it needs {node}, which failed or was put back")

    def next(self, free: int, *, calm: bool) -> list[Job]:
        """Up to `free` jobs to submit after the next flush. `calm`: nothing is at work."""
        at_end = self._run.plan.at_end
        if calm and at_end and self.last is None and self._all_else_idle and not self.gates:
            self.last = self._forward(at_end, lambda _: True, lambda _: False)
        found = self.back.next(free)
        if self.forward and self._rolling and not self.forward.halted:
            self.forward.reach(self._rolling.next())
        for part in self._parts:
            found += part.next(free - len(found))
        return found

    def take(self, outcome: Outcome) -> None:
        """See what came of a job."""
        part = self._part_of(outcome.job.node)
        if outcome.job.kind is JobKind.REVERT and not (part and part.reverts(outcome.job.node)):
            self.back.take(outcome)
        elif part:
            part.take(outcome)

    def decided(self, node: str) -> None:
        """A gate was opened or refused."""
        assert self.forward is not None
        self.forward.decided(node)

    def again(self, node: str) -> None:
        """The attempt of a node was cancelled: it may have another, in this session or the next."""
        if part := self._part_of(node):
            part.again(node)
        else:
            self._run.move(node, "retry")

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be started."""
        at_end = self.last.idle if self.last else bool(self.gates) or not self._run.plan.at_end
        return self._all_else_idle and at_end

    @property
    def gates(self) -> Mapping[str, str]:
        """What somebody has to approve before it goes on, by node."""
        return self.forward.gates if self.forward else {}

    @property
    def waits(self) -> list[float | None]:
        """Seconds until something may be tried again; None: nothing waits."""
        return [self.back.wait, self._next_batch, *(wait for part in self._parts for wait in part.waits)]

    @property
    def unsettled(self) -> set[str]:
        """Nodes of which it is still to be found out what became of them, or whose attempts are reverted."""
        return {node for part in self._parts for node in part.unsettled}

    @property
    def _all_else_idle(self) -> bool:
        return self.back.idle and (self.forward is None or self.forward.idle) and self._next_batch is None

    @property
    def _next_batch(self) -> float | None:
        """Seconds until the next batch may begin; None: it may not."""
        return self._rolling.wait if self._rolling and self.forward and not self.forward.halted else None

    @property
    def _parts(self) -> list[Forward]:
        return [part for part in (self.forward, self.last) if part]

    def _part_of(self, node: str) -> Forward | None:
        return self.last if node in self._run.plan.at_end else self.forward

    def _forward(self, mine: Collection[str], admits: Callable[[str], bool], closed: Callable[[str], bool]) -> Forward:
        part = Forward(
            self._run,
            self._jobs,
            self._spread,
            self._lanes,
            mine=mine,
            admits=admits,
            closed=closed,
            failed=self._failed,
        )
        part.start()
        return part
