"""Rolling out: which batch may begin, and when."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from opsflow.engine.reverting import say_finished
from opsflow.engine.rollback import Undo
from opsflow.engine.run import Run
from opsflow.events import BatchBegan, RolloutPaused, RolloutStopped
from opsflow.model import AT_WORK, UNTOUCHED, WELL, Failure, NodeState, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """A batch, or what asks before one. `number`: of the batch."""

    number: int
    nodes: tuple[str, ...]
    gate: bool = False


class Rolling:
    """Opens the batches of a run one after the other.

    Where it is and what has failed is read from the states of nodes: no session forgets it.

    Args:
        run: The run.
        undo: Knows what is still to be put back.
        unsettled: Nodes of which it is still to be found out what became of them.
    """

    def __init__(self, run: Run, undo: Undo, unsettled: Callable[[], Collection[str]]) -> None:
        self._run = run
        self._undo = undo
        self._unsettled = unsettled
        self._batches = run.plan.batches
        self._stages = _stages(run)
        self._stage_of = {node: place for place, stage in enumerate(self._stages) for node in stage.nodes}
        self._at = 0
        self._held: dict[int, list[str]] = {}  # nodes that came to their turn before their batch, by stage
        self._open: list[str] = []  # nodes of the stage that it is at which were at work at the last look
        self._began = datetime.now(UTC)
        self._ends: float | None = None  # when the pause does
        self._before: frozenset[str] = frozenset()  # units that failed in the stages before
        self._accepted: frozenset[str] = frozenset()
        self._told: tuple[int, bool] | None = None

    def accept_failures(self) -> None:
        """Somebody goes on although too many units have failed: from now on only further ones count."""
        failed = frozenset(unit for stage in self._stages for unit in self._failed(stage))
        if self._batches and len(failed) > self._batches.max_failures:
            self._accepted = failed

    def admits(self, node: str) -> bool:
        """Whether a node may begin; one whose batch may not is kept until then."""
        place = self._stage_of.get(node, 0)
        if place > self._at:
            self._held.setdefault(place, []).append(node)
        return place <= self._at

    @property
    def wait(self) -> float | None:
        """Seconds until the next batch may begin; None: it is not time that it waits for, or there is none."""
        if self._at + 1 >= len(self._stages) or not self._over():
            return None
        if self._next_waits() and self._too_many():
            return None
        return 0.0 if self._ends is None else max(self._ends - time.monotonic(), 0.0)

    def next(self) -> list[str]:
        """Nodes that may begin now because their batch may."""
        found: list[str] = []
        while self.wait == 0.0 and self._rested():
            self._before |= self._failed(self._stages[self._at])
            self._at += 1
            self._open, self._ends = [], None
            self._pass_by()
            found += self._held.pop(self._at, ())
        self._tell()
        return found

    # Inside

    def _rested(self) -> bool:
        """Whether the pause before the next stage is over; if there is one, it begins now, or has begun before."""
        pause = self._batches.pause if self._batches else 0.0
        if not pause or self._ends is not None or not self._next_waits():
            return True
        left = pause - self._paused()
        if left <= 0:
            return True
        self._ends = time.monotonic() + left
        self._run.say(RolloutPaused(run_id=self._run.id, number=self._stages[self._at + 1].number, delay=left))
        return False

    def _paused(self) -> float:
        """Seconds for which an earlier session, and nobody after it, has paused already."""
        attempts = (self._run.nodes[node].attempts for node in self._stages[self._at].nodes)
        last = max((a.finished for found in attempts for a in found.values() if a.finished), default=self._began)
        return (datetime.now(UTC) - last).total_seconds() if last < self._began else 0.0

    def _over(self) -> bool:
        """Whether nothing of the stage is at work or to be put back any more."""
        if not self._undo.idle:
            return False
        unsettled = self._unsettled()
        while self._open and not self._at_work(self._open[-1], unsettled):
            self._open.pop()
        if not self._open:
            self._open = [node for node in self._stages[self._at].nodes if self._at_work(node, unsettled)]
        return not self._open

    def _at_work(self, node: str, unsettled: Collection[str]) -> bool:
        return self._run.nodes[node].state in AT_WORK or node in unsettled or self._undo.waiting(node)

    def _next_waits(self) -> bool:
        """Whether the next stage is still to begin: nothing of it has in an earlier session, and something may."""
        place = self._at + 1
        nodes = [self._run.nodes[node] for node in self._stages[place].nodes]
        begun = any(node.attempts or node.state not in UNTOUCHED for node in nodes)
        return not begun and self._something_may(place)

    def _something_may(self, place: int) -> bool:
        """Whether something of a batch waits; of a gate: of the batch behind it, too."""
        stages = self._stages[place : place + 2] if self._stages[place].gate else [self._stages[place]]
        return all(any(self._run.nodes[n].state is NodeState.PENDING for n in stage.nodes) for stage in stages)

    def _pass_by(self) -> None:
        """Nobody is asked about a batch of which nothing can begin."""
        stage = self._stages[self._at]
        pending = stage.gate and self._run.nodes[stage.nodes[0]].state is NodeState.PENDING
        if pending and not self._something_may(self._at):
            why = Failure(kind="Blocked", message="nothing of its batch can begin")
            self._run.move(stage.nodes[0], "block", error=why)
            say_finished(self._run, stage.nodes[0], Phase.EXECUTE)

    def _too_many(self) -> bool:
        assert self._batches is not None
        return len(self._counting()) > self._batches.max_failures

    def _counting(self) -> frozenset[str]:
        """Units that have failed, but for those that were accepted."""
        return (self._before | self._failed(self._stages[self._at])) - self._accepted

    def _failed(self, stage: _Stage) -> frozenset[str]:
        """Units of a stage of which something is not well."""
        if stage.gate:
            return frozenset()
        by_id, nodes = self._run.plan.by_id, self._run.nodes
        return frozenset(by_id[node].unit for node in stage.nodes if nodes[node].state not in WELL)

    def _tell(self) -> None:
        """Say what it is at, if that has not been said."""
        if self._batches is None or not self._stages:
            return
        over = self._over()
        if self._told == (self._at, over):
            return
        self._told = self._at, over
        stage, more = self._stages[self._at], self._at + 1 < len(self._stages)
        if not over and not stage.gate:
            total, units = len(self._batches.units), self._batches.units[stage.number - 1]
            self._run.say(BatchBegan(run_id=self._run.id, number=stage.number, total=total, units=units))
        elif over and more and self._next_waits() and self._too_many():
            self._run.say(
                RolloutStopped(
                    run_id=self._run.id,
                    failed=sorted(self._counting()),
                    max_failures=self._batches.max_failures,
                    left=len(self._batches.units) - stage.number,
                )
            )


def _stages(run: Run) -> list[_Stage]:
    plan = run.plan
    gates = plan.batches.gates if plan.batches else ()
    found: list[_Stage] = []
    for number, nodes in enumerate(plan.by_batch, 1):
        if number > 1 and gates:
            found.append(_Stage(number=number, nodes=(gates[number - 2],), gate=True))
        found.append(_Stage(number=number, nodes=nodes))
    return found
