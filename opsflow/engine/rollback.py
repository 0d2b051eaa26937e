"""The way back: freeze what a scope changed, then revert it in reverse order, as parallel as the graph permits."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import networkx as nx

from opsflow.engine.graph import ReverseOrder, Spread
from opsflow.engine.jobs import Jobs
from opsflow.engine.lanes import Lanes, Queue, Timers, retry_delay
from opsflow.engine.reverting import begin_revert, cannot_be_undone, end_revert, retry_of_reverts, say_finished
from opsflow.engine.run import Run
from opsflow.engine.scopes import Scopes
from opsflow.engine.staying import rule, staying
from opsflow.events import NodeRetrying, RollbackBegan
from opsflow.model import (
    SCOPE_RUN,
    Failure,
    Irreversible,
    Job,
    NodeState,
    Outcome,
    Phase,
    RollbackRecord,
    RunState,
    Verdict,
)


@dataclass(slots=True, kw_only=True)
class _Rollback:
    """One scope on its way back."""

    record: RollbackRecord
    open: set[str] = field(default_factory=set)
    complete: bool = True


class Undo:
    """Rolls scopes back.

    Args:
        run: The run.
        jobs: Makes its jobs.
        spread: Says what hangs on a reverted node.
        scopes: The scopes of the plan.
        lanes: Count nodes at work, in both directions together.
    """

    def __init__(self, run: Run, jobs: Jobs, spread: Spread, scopes: Scopes, lanes: Lanes) -> None:
        self._run = run
        self._jobs = jobs
        self._spread = spread
        self._scopes = scopes
        self._closed: dict[str, str] = {}  # scope → why
        self._closing: dict[str, set[str]] = {}  # scope → nodes at work that are waited for
        self._doomed: set[str] = set()  # of those, all that there were
        self._order = ReverseOrder(run.plan)
        self._rollback_of: dict[str, _Rollback] = {}
        self._free = Queue(lanes, lambda node: run.nodes[node].step)
        self._engaged: set[str] = set()  # free, at work, or waiting to be tried again
        self._tries: dict[str, int] = {}
        self._timers = Timers()
        self._lanes = lanes

    # Closing

    def closed(self, node: str) -> bool:
        """Whether a node may not start: its scope, or something that it needs, is being rolled back or was."""
        if not self._closed or node in self._run.plan.at_end:
            return False
        if node in self._rollback_of:
            return True
        return SCOPE_RUN in self._closed or node in self._doomed or self._scopes.of(node) in self._closed

    def close(self, node: str, flying: Collection[str]) -> list[str]:
        """Close the scope of a failed node: nothing in it starts any more. Nodes that must be blocked.

        `flying`: nodes at work; those that belong to what will be reverted are waited for.
        """
        return self._close(self._scopes.of(node), node, flying)

    def close_all(self) -> list[str]:
        """Close the whole run, nothing being at work. Nodes that must be blocked."""
        return self._close(SCOPE_RUN, "", ())

    def restore(self) -> None:
        """Closed scopes of earlier sessions stay closed."""
        for record in self._run.earlier:
            self._closed[record.scope] = "rolled back earlier"
            self._run.rollbacks[record.id] = record

    def take_up(self) -> None:
        """Go on with the rollbacks that earlier sessions did not finish."""
        for record in self._run.earlier:
            if record.finished is None:
                self._take_up(record)

    def advance(self, flying: Collection[str]) -> None:
        """Freeze what every closing scope changed, once nothing of it is at work any more."""
        for scope, awaited in list(self._closing.items()):
            awaited.intersection_update(flying)
            if not awaited:
                del self._closing[scope]
                self._freeze(scope)

    # Working

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be reverted."""
        return not (self._free or self._closing or self._timers.remaining() is not None)

    def waiting(self, node: str) -> bool:
        """Whether a node is still to be reverted by a rollback that is under way."""
        rollback = self._rollback_of.get(node)
        return rollback is not None and node in rollback.open

    @property
    def wait(self) -> float | None:
        """Seconds until a revert may be tried again."""
        return self._timers.remaining()

    def next(self, free: int) -> list[Job]:
        """Up to `free` reverts to submit after the next flush."""
        for due in self._timers.due():
            self._free.add(due)
        found: list[Job] = []
        while len(found) < free and (node := self._free.take(self._may_begin)):
            if self._run.nodes[node].state is not NodeState.REVERTING:
                self._run.move(node, "revert")
            found.append(begin_revert(self._run, self._jobs, self._run.nodes[node].to_revert()[0]))
        return found

    def _may_begin(self, node: str) -> bool:
        if self._order.free(node):
            return True
        self._engaged.discard(node)  # something after it joined meanwhile, and will free it again
        return False

    def take(self, outcome: Outcome) -> None:
        """See what came of a revert."""
        node = outcome.job.node
        status = self._run.nodes[node]
        self._lanes.give(status.step)
        end_revert(self._run, outcome)
        if outcome.verdict is Verdict.CANCELLED:
            self._free.add_first(node)
        elif outcome.verdict is not Verdict.SUCCEEDED:
            self._retry_or_stick(node, outcome.failure)
        elif status.to_revert():
            self._free.add_first(node)  # before others of its step: it is half undone
        else:
            self._run.move(node, "undo")
            self._end(node)

    # Inside

    def _close(self, scope: str, cause: str, flying: Collection[str]) -> list[str]:
        if scope in self._closed:
            return []
        self._closed[scope] = cause
        members = self._everything(scope)
        at_work = set(flying)
        starts = [n for n in members if n in at_work or self._run.nodes[n].to_revert()]
        reach = dict.fromkeys([*members, *self._spread.dependants(starts)])
        self._closing[scope] = at_work.intersection(reach)
        self._doomed |= self._closing[scope]
        return [n for n in reach if n not in at_work and self._run.nodes[n].state is NodeState.PENDING]

    def _everything(self, scope: str) -> list[str]:
        if scope != SCOPE_RUN:
            return self._scopes.members(scope)
        return [n for n in self._run.nodes if n not in self._run.plan.at_end]

    def _freeze(self, scope: str) -> None:
        changed = [n for n in self._everything(scope) if self._changed(n)]
        reach = set(changed).union(n for n in self._spread.dependants(changed) if self._changed(n))
        nodes = sorted(reach - set(self._rollback_of), key=self._run.plan.turns.__getitem__, reverse=True)
        record = RollbackRecord(
            id=f"{self._run.id}/rollback/{len({*self._run.rollbacks, *(r.id for r in self._run.earlier)}) + 1}",
            run_id=self._run.id,
            scope=scope,
            nodes=tuple(nodes),
            started=datetime.now(UTC),
        )
        if self._run.state is not RunState.ROLLING_BACK:
            self._run.move_run("roll_back")
        self._run.begin_rollback(record)
        self._run.say(RollbackBegan(run_id=self._run.id, scope=scope, nodes=tuple(nodes), cause=self._closed[scope]))
        self._take_up(record)

    def _take_up(self, record: RollbackRecord) -> None:
        rollback = _Rollback(record=record)
        self._run.rollbacks[record.id] = record
        stays = staying(self._run, record.nodes)
        pinned = stays.keys() | self._below_stuck(record.nodes)
        for node in record.nodes:
            status = self._run.nodes[node]
            if not status.to_revert() or node in self._rollback_of:
                continue
            if node in pinned:
                self._leave(node, rollback)
            else:
                rollback.open.add(node)
                self._rollback_of[node] = rollback
                self._order.add(node)
        self._offer(n for n in record.nodes if self._order.free(n))
        self._finish_if_done(rollback)

    def _changed(self, node: str) -> bool:
        return bool(self._run.nodes[node].to_revert())

    def _below_stuck(self, nodes: Collection[str]) -> set[str]:
        """Of the nodes those before a revert that failed for good, on its host."""
        below: set[str] = set()
        for node in self._run.in_state(NodeState.REVERT_FAILED):
            rollback = self._rollback_of.get(node)
            if node not in nodes and not (rollback and node in rollback.open):
                below.update(n for n in self._before_on_host(node) if n in nodes)
        return below

    def _before_on_host(self, node: str) -> list[str]:
        found = self._run.nodes
        before = nx.ancestors(self._run.plan.graph, node)
        return [n for n in before if n in found and found[n].host == found[node].host]

    def _leave(self, node: str, rollback: _Rollback) -> None:
        undone = not cannot_be_undone(self._run, node, self._run.nodes[node].to_revert())
        if undone or rule(self._run, node) is Irreversible.STOP:
            rollback.complete = False

    def _retry_or_stick(self, node: str, failure: Failure | None) -> None:
        retry = retry_of_reverts(self._run, node)
        tries = self._tries[node] = self._tries.get(node, 0) + 1
        if tries < retry.attempts:
            delay = retry_delay(retry, tries)
            self._timers.add(node, delay)
            self._run.say(NodeRetrying(run_id=self._run.id, node=node, n=tries, delay=delay, error=failure))
            return
        self._run.move(node, "stick", error=failure)
        self._rollback_of[node].complete = False
        # What is before it on that host stays; other branches and hosts go on.
        for other in self._before_on_host(node):
            if other in self._rollback_of and other in self._rollback_of[other].open:
                self._leave(other, self._rollback_of[other])
                self._end(other, said=False)
        self._end(node)

    def _end(self, node: str, *, said: bool = True) -> None:
        rollback = self._rollback_of[node]
        rollback.open.discard(node)
        freed = self._order.remove(node)
        self._offer(freed)
        if said:
            say_finished(self._run, node, Phase.REVERT)
        self._finish_if_done(rollback)

    def _offer(self, nodes: Iterable[str]) -> None:
        for node in nodes:
            rollback = self._rollback_of.get(node)
            if rollback and node in rollback.open and node not in self._engaged:
                self._engaged.add(node)
                self._free.add(node)

    def _finish_if_done(self, rollback: _Rollback) -> None:
        if not rollback.open:
            self._run.end_rollback(rollback.record, complete=rollback.complete)
