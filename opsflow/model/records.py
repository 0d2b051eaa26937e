"""What the journal keeps. Times are aware datetimes in UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from opsflow.model.states import Asked, AttemptState, NodeState, Phase, RunState
from opsflow.model.turn import Turn
from opsflow.model.work import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run. `command` is `apply`, `rollback`, ...; `operator` who started it, `USER@MACHINE`."""

    id: str
    state: RunState
    playbook: str
    inventory: str
    fingerprint: str
    command: str
    operator: str
    started: datetime
    finished: datetime | None = None
    exit_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt: the intent (committed before its first operation) and, later, the outcome.

    Attributes:
        id: `RUN/NODE/PHASE/N`.
        undoes: For a revert: number of the execute attempt that it undoes.
        params: As rendered, secrets as references.
        preview: What prepare found, as JSON.
        machine: Identity of the target where known.
        on: The host on which it was done, if not the node's own.
        turn: What `retry.vary` gave it.
        plan: Number of the run's plan that it follows, a revert that of what it undoes; 0: the first.
    """

    id: str
    run_id: str
    node: str
    phase: Phase
    n: int
    state: AttemptState
    started: datetime
    finished: datetime | None = None
    undoes: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    preview: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] | None = None
    exit_status: int | None = None
    error: Failure | None = None
    machine: str = ""
    on: str = ""
    turn: Turn | None = None
    plan: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """One node and all its attempts, oldest first."""

    id: str
    step: str
    host: str
    task: str
    state: NodeState
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: Failure | None = None
    attempts: tuple[AttemptRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """One batch of a rollout.

    Attributes:
        number: From 1.
        units: What is rolled out in it.
        failed: Those of them with which something has gone wrong, also if they were put back.
        state: `pending`, `begun` or `done`.
    """

    number: int
    units: tuple[str, ...]
    failed: tuple[str, ...]
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRecord:
    """A frozen rollback plan. `scope` is its key (`run`, `host=db-1`, `shard=a`); `nodes` in the order of the plan."""

    id: str
    run_id: str
    scope: str
    nodes: tuple[str, ...]
    started: datetime
    finished: datetime | None = None
    complete: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterPlan:
    """A plan that took the place of the one before. `number`: from 1; `operator`: who wanted it."""

    number: int
    at: datetime
    operator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """What an operator asked of a run, and what became of it.

    Attributes:
        id: Its number.
        operator: Who asked, `USER@MACHINE`.
        at: When, by the database's clock.
        data: What exactly, JSON-able.
        applied: When whoever drove the run took it up; None: that has not happened.
        answer: What came of it, JSON-able; `refused` says why nothing did.
    """

    id: int
    run_id: str
    what: Asked
    operator: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    applied: datetime | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A piece of what an attempt printed, secrets masked.

    Attributes:
        n: Its place in the run's output; grows.
        attempt: Id of the attempt; `node`, `phase` and `number` are its parts.
        stream: stdout, stderr or log.
        at: When it was heard.
        ended: When the attempt ended, as far as it has.
        text: What was printed; lines may go on in later pieces.
        cut: Bytes that were left out just before the text.
    """

    n: int
    attempt: str
    node: str
    phase: Phase
    number: int
    stream: str
    at: datetime
    ended: datetime | None = None
    text: str = ""
    cut: int = 0


# What a commit consists of: the changes of one instant, applied in order, all or none.


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChanged:
    """The run passes from a state to another. `frees`: from then on it holds no hosts any more."""

    before: RunState
    after: RunState
    finished: datetime | None = None
    exit_code: int | None = None
    frees: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReplaced:
    """The run goes on with another plan.

    Attributes:
        record: Which one, and who wanted it.
        plan: The plan, JSON-able.
        fingerprint: Its fingerprint.
        nodes: Those that join the run, `PENDING`.
        tasks: Of nodes whose task is another one now.
        hosts: All that the run holds from now on.
    """

    record: LaterPlan
    plan: Mapping[str, Any]
    fingerprint: str
    nodes: tuple[NodeRecord, ...]
    tasks: Mapping[str, str]
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChanged:
    """A node passes from a state to another; `outputs` and `error` are what it has from then on."""

    node: str
    before: NodeState
    after: NodeState
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted:
    """An intent."""

    attempt: AttemptRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFinished:
    """An outcome; only a `RUNNING` or `UNKNOWN` attempt can get one."""

    id: str
    state: AttemptState
    finished: datetime
    outputs: Mapping[str, Any] | None = None
    exit_status: int | None = None
    error: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputAppended:
    """A piece of what an attempt printed. `stream`: stdout, stderr or log."""

    attempt: str
    stream: str
    text: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackStarted:
    """A frozen rollback plan."""

    rollback: RollbackRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackFinished:
    """A rollback has nothing left that it could do."""

    id: str
    finished: datetime
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestApplied:
    """A request was taken up, in the same commit as what it changed. `answer`: what came of it, JSON-able."""

    id: int
    answer: Mapping[str, Any]


Change = (
    RunChanged
    | PlanReplaced
    | NodeChanged
    | AttemptStarted
    | AttemptFinished
    | OutputAppended
    | RollbackStarted
    | RollbackFinished
    | RequestApplied
)
