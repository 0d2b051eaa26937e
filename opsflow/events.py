"""What the engine says happened. Frozen; secrets are masked before they get here. Listeners are plain callables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from opsflow.errors import Difference, Problem
from opsflow.model import Action, Failure, NodeState, Phase, RunState


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened. `at` is in UTC."""

    run_id: str
    at: datetime = field(default_factory=_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A run begins or goes on. `command`: apply, resume or rollback."""

    playbook: str
    command: str
    nodes: int
    hosts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlanned(Event):
    """A dry run has looked at a node. `at_end`: it runs when nothing else is left (`finally`).

    `gate`: it will wait for an approval; `summary` says of what. `on`: the host on which it is done, if not `host`.

    `batch`: of the rollout, from 1 on; None: not rolled.
    """

    node: str
    step: str
    host: str
    action: Action
    reversible: bool
    summary: str
    diff: str
    needs: Sequence[str]
    at_end: bool = False
    gate: bool = False
    on: str = ""
    batch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlanned(Event):
    """How what a dry run looks at would be rolled out.

    Attributes:
        by: What makes hosts a unit: a variable, or `host`.
        batches: The units of each.
        max_failures: Units that may fail before no further batch begins.
        pause: Seconds between two batches.
        gates: Nodes that wait for an approval before each batch but the first; or none.
    """

    by: str
    batches: Sequence[Sequence[str]]
    max_failures: int
    pause: float
    gates: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStarted(Event):
    """An attempt begins. `n` counts from 1 per phase."""

    node: str
    phase: Phase
    n: int
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFollowed(Event):
    """An attempt of an earlier session is taken up: what of it runs is followed, what is missing is done."""

    node: str
    phase: Phase
    n: int
    since: datetime
    summary: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOutput(Event):
    """A command of an attempt printed something. `stream`: stdout, stderr or log."""

    node: str
    stream: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeProgressed(Event):
    """A task says how far it is."""

    node: str
    done: float
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRetrying(Event):
    """An attempt failed and another follows after `delay` seconds."""

    node: str
    n: int
    delay: float
    error: Failure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFinished(Event):
    """A node has come to a state in which it stays for now.

    `source`: where its step stands in the playbook; `on`: the host on which it is done, if not its own.
    """

    node: str
    state: NodeState
    phase: Phase
    summary: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: Failure | None = None
    source: str = ""
    on: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWaiting(Event):
    """A node has come to its turn and waits until somebody approves. `question`: what."""

    node: str
    step: str
    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchBegan(Event):
    """A batch of a rollout begins or goes on. `number`: from 1 to `total`; `units`: what is rolled in it."""

    number: int
    total: int
    units: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPaused(Event):
    """A batch is over, and the one with this number begins after `delay` seconds."""

    number: int
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStopped(Event):
    """More units have failed than may: no further batch begins. `left`: how many do not."""

    failed: Sequence[str]
    max_failures: int
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackBegan(Event):
    """A scope is rolled back. `nodes`: what will be reverted, first one first."""

    scope: str
    nodes: Sequence[str]
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChanged(Event):
    """A run goes on with what its files say now.

    Attributes:
        differences: From what they said before.
        added: Nodes that join it.
        removed: Nodes that are begun no more; what they did can be reverted.
        kept: Nodes that are done, and would be done otherwise now: they stay as they are.
    """

    differences: Sequence[Difference]
    added: Sequence[str]
    removed: Sequence[str]
    kept: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStopping(Event):
    """A stop was asked for: nothing more is started.

    `running`: nodes that are waited for; with `kill` they are ended. `by`: who asked from elsewhere; empty: a signal.
    `why`: what he said.
    """

    running: Sequence[str]
    by: str = ""
    kill: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """The run has come to an end, or to a stop from which it can be resumed.

    `left`: nodes that a rollback came to and whose change stays. `hint`: what to do next.
    """

    state: RunState
    exit_code: int
    counts: Mapping[NodeState, int]
    left: Sequence[str] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerFailed(Event):
    """A listener raised `error` and hears no more of this run; the run goes on."""

    listener: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostKeyAccepted(Event):
    """A host that was not known was taken as it is. May be told by any thread, and outside of runs.

    `host`: to which host the way leads; `where`: which machine on it; `key`: type and fingerprint; `file`: where it is
    known from now on.
    """

    host: str
    where: str
    key: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryNoticed(Event):
    """An inventory says something that is not understood and taken as if it was not there. Told outside of runs."""

    notice: Problem


Listener = Callable[[Event], None]
