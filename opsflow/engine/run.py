"""A run in memory: the one place, beside the journal, that holds its state. Belongs to the engine's thread."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from opsflow.engine.chatter import Chatter
from opsflow.engine.machine import node_machine, run_machine
from opsflow.engine.settled import Settled
from opsflow.events import Event, Listener, ListenerFailed, NodeOutput, NodeProgressed
from opsflow.model import (
    AttemptFinished,
    AttemptRecord,
    AttemptStarted,
    AttemptState,
    Change,
    Failure,
    NodeChanged,
    NodeRecord,
    NodeState,
    Outcome,
    OutputAppended,
    Phase,
    PlanReplaced,
    Preview,
    RequestApplied,
    RequestRecord,
    RollbackFinished,
    RollbackRecord,
    RollbackStarted,
    RunChanged,
    RunRecord,
    RunState,
    Turn,
)
from opsflow.plan import Plan
from opsflow.ports import Journal

_MAY_HAVE_CHANGED = frozenset({AttemptState.RUNNING, AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.UNKNOWN})

_ON_THE_WAY_BACK = frozenset({"revert", "undo", "mark_reverted"})
"""Events after which it is still to be seen why the node failed."""

GATHERING = 0.01
"""Seconds for which outcomes wait for the intents that follow from them, to share their commit."""

INTERRUPTED = Failure(kind="Interrupted", message="the control process ended before the attempt did")


@dataclass(slots=True, kw_only=True)
class NodeStatus:
    """Where a node stands. Changed by `Run` only."""

    id: str
    step: str
    host: str
    state: NodeState = NodeState.PENDING
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: Failure | None = None
    attempts: dict[str, AttemptRecord] = field(default_factory=dict)

    def count(self, phase: Phase) -> int:
        """How many attempts of a phase there were."""
        return sum(a.phase is phase for a in self.attempts.values())

    def last(self, phase: Phase) -> AttemptRecord | None:
        """The newest attempt of a phase."""
        return next((a for a in reversed(self.attempts.values()) if a.phase is phase), None)

    @property
    def in_doubt(self) -> bool:
        """Whether nobody knows how its newest attempt of execute ended."""
        last = self.last(Phase.EXECUTE)
        return last is None or last.state in {AttemptState.RUNNING, AttemptState.UNKNOWN}

    def to_revert(self) -> list[AttemptRecord]:
        """Attempts that changed or may have changed something and are not reverted yet, newest first."""
        undone = {
            a.undoes for a in self.attempts.values() if a.phase is Phase.REVERT and a.state is AttemptState.SUCCEEDED
        }
        return [
            a
            for a in reversed(self.attempts.values())
            if a.phase is Phase.EXECUTE and a.state in _MAY_HAVE_CHANGED and a.n not in undone
        ]

    def to_take_back(self) -> list[AttemptRecord]:
        """Of these, those that did not succeed: what ran at an earlier end may have."""
        return [a for a in self.to_revert() if a.state is not AttemptState.SUCCEEDED]


class Run:
    """State, and how it changes: through the machines, into a buffer, durably with `flush`.

    Args:
        record: The run as the journal has it.
        plan: Its plan.
        journal: Where changes go.
        listeners: Who hears of events, after the changes they tell of are durable.
        nodes: What the journal has of its nodes; none: all are pending.
        rollbacks: The rollbacks of earlier sessions.
        number: Of the plan; attempts say which one they follow.
        plan_at: Reads an earlier one.
    """

    def __init__(
        self,
        record: RunRecord,
        plan: Plan,
        journal: Journal,
        listeners: Sequence[Listener],
        *,
        nodes: Iterable[NodeRecord] = (),
        rollbacks: Iterable[RollbackRecord] = (),
        number: int = 0,
        plan_at: Callable[[int], Plan] | None = None,
    ) -> None:
        self.id = record.id
        self.record = record
        self.state = record.state
        self.plan = plan
        self.number = number
        self._plan_at = plan_at
        self._plans = {number: plan}
        self.nodes = {n.id: NodeStatus(id=n.id, step=n.step, host=n.host) for n in plan.nodes}
        self.settled = Settled(record.id, plan)
        self.earlier = tuple(rollbacks)
        self.rollbacks: dict[str, RollbackRecord] = {}
        self._waits: float | None = None  # since when
        self._journal = journal
        self._listeners = list(listeners)
        self._node_machine = node_machine()
        self._run_machine = run_machine()
        self._changes: list[Change] = []
        self._events: list[Event] = []
        self._chatter = Chatter()
        for found in nodes:
            node = self.nodes[found.id]
            node.state, node.outputs, node.error = found.state, found.outputs, found.error
            node.attempts = {a.id: a for a in found.attempts}

    def plan_of(self, attempt: AttemptRecord) -> Plan:
        """The plan that an attempt follows."""
        if attempt.plan not in self._plans:
            assert self._plan_at is not None
            self._plans[attempt.plan] = self._plan_at(attempt.plan)
        return self._plans[attempt.plan]

    def replace_plan(self, change: PlanReplaced) -> None:
        """Write down that the run goes on with its plan in place of an earlier one."""
        self._changes.append(change)

    def move(
        self, node: str, event: str, *, outputs: Mapping[str, Any] | None = None, error: Failure | None = None
    ) -> None:
        """Let an event happen to a node. Raises `IllegalTransition`."""
        status = self.nodes[node]
        after = NodeState(self._node_machine.after(status.state, event))
        status.outputs = status.outputs if outputs is None else outputs
        if error is not None or event not in _ON_THE_WAY_BACK:
            status.error = error
        self._changes.append(
            NodeChanged(node=node, before=status.state, after=after, outputs=status.outputs, error=status.error)
        )
        status.state = after

    def move_run(self, event: str, *, exit_code: int | None = None, frees: bool = False) -> None:
        """Let an event happen to the run; with `exit_code` it stops here for now, and may free its hosts."""
        after = RunState(self._run_machine.after(self.state, event))
        finished = None if exit_code is None else datetime.now(UTC)
        self._changes.append(
            RunChanged(before=self.state, after=after, finished=finished, exit_code=exit_code, frees=frees)
        )
        self.state = after

    def begin_attempt(
        self,
        node: str,
        phase: Phase,
        *,
        params: Mapping[str, Any],
        preview: Preview,
        machine: str = "",
        undone: AttemptRecord | None = None,
        turn: Turn | None = None,
    ) -> AttemptRecord:
        """Write down an intent. The attempt may be sent out after the next `flush`."""
        status = self.nodes[node]
        n = status.count(phase) + 1
        attempt = AttemptRecord(
            id=f"{self.id}/{node}/{phase}/{n}",
            run_id=self.id,
            node=node,
            phase=phase,
            n=n,
            state=AttemptState.RUNNING,
            started=datetime.now(UTC),
            undoes=undone.n if undone else None,
            params=params,
            preview=preview.to_json(),
            machine=machine,
            on=undone.on if undone else self.plan.by_id[node].on,
            turn=turn,
            plan=undone.plan if undone else self.number,
        )
        status.attempts[attempt.id] = attempt
        self._changes.append(AttemptStarted(attempt=attempt))
        return attempt

    def end_attempt(
        self,
        attempt: AttemptRecord,
        state: AttemptState,
        *,
        outputs: Mapping[str, Any] | None = None,
        exit_status: int | None = None,
        error: Failure | None = None,
    ) -> None:
        """Write down an outcome."""
        now = datetime.now(UTC)
        ended = replace(attempt, state=state, finished=now, outputs=outputs, exit_status=exit_status, error=error)
        self.nodes[attempt.node].attempts[attempt.id] = ended
        self._changes.append(
            AttemptFinished(
                id=attempt.id, state=state, finished=now, outputs=outputs, exit_status=exit_status, error=error
            )
        )

    def begin_rollback(self, rollback: RollbackRecord) -> None:
        """Write down a frozen rollback plan."""
        self.rollbacks[rollback.id] = rollback
        self._changes.append(RollbackStarted(rollback=rollback))

    def end_rollback(self, rollback: RollbackRecord, *, complete: bool) -> None:
        """Write down that a rollback has nothing left that it could do."""
        now = datetime.now(UTC)
        self.rollbacks[rollback.id] = replace(rollback, finished=now, complete=complete)
        self._changes.append(RollbackFinished(id=rollback.id, finished=now, complete=complete))

    def answer(self, request: RequestRecord, answer: Mapping[str, Any]) -> None:
        """Write down what came of what another process asked for."""
        self._changes.append(RequestApplied(id=request.id, answer=answer))

    def add(self, output: OutputAppended) -> None:
        """Keep what was printed; it alters no state."""
        self._changes.append(output)
        self._chatter.take(len(output.text))

    def say(self, event: Event) -> None:
        """Publish an event with the next `flush`."""
        self._events.append(event)
        if isinstance(event, NodeOutput | NodeProgressed):
            self._chatter.take(0)

    @property
    def due(self) -> float | None:
        """Seconds until what waits must be flushed; None: nothing waits."""
        return None if self._waits is None else max(self._waits + GATHERING - time.monotonic(), 0.0)

    def flush(self, *, patient: bool = False) -> None:
        """Make all changes durable in one commit, then tell the listeners.

        What is printed alone waits a little for more, or for a change to go with. With `patient` all waits, `GATHERING`
        at most.
        """
        waiting = len(self._changes) + len(self._events)
        if not waiting or self._chatter.may_wait(waiting):
            return
        if patient:
            self._waits = self._waits or time.monotonic()
            if self.due:
                return
        self._waits = None
        self._chatter = Chatter()
        changes, self._changes = self._changes, []
        if changes:
            self._journal.commit(self.id, changes)
            self.settled.committed(changes)
        events, self._events = self._events, []
        for event in events:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a stranger's listener must not stop a run
                self._listeners.remove(listener)
                name = getattr(listener, "__qualname__", type(listener).__name__)
                self._tell(ListenerFailed(run_id=self.id, listener=name, error=f"{type(error).__name__}: {error}"))

    def counts(self) -> Mapping[NodeState, int]:
        """How many nodes there are in each state."""
        return Counter(node.state for node in self.nodes.values())

    def in_state(self, *states: NodeState) -> list[str]:
        """Nodes in any of the states, in plan order."""
        return [node.id for node in self.nodes.values() if node.state in states]


def outcome_state(outcome: Outcome) -> AttemptState:
    """The state in which a job's outcome leaves its attempt."""
    return {
        "succeeded": AttemptState.SUCCEEDED,
        "failed": AttemptState.FAILED,
        "unreachable": AttemptState.UNREACHABLE,
        "unknown": AttemptState.UNKNOWN,
        "cancelled": AttemptState.FAILED,
    }[outcome.verdict.value]
