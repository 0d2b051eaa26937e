"""What passes between the engine and the places where work is done. All of it is JSON-able."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from opsflow.model.states import Action, Phase
from opsflow.model.turn import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a task's `plan` hook saw and intends. Made with `change`, `unchanged` or `fail`.

    Attributes:
        action: `CHANGE`, `UNCHANGED` or `FAIL`.
        summary: One line for the operator.
        before: JSON-able facts about the state found, for `revert`.
        diff: What would change, as text (unified diff where it fits).
        reversible: Whether the change can be undone. `why` says why not, or why it fails.
        outputs: With `UNCHANGED`: the outputs that execute would give.
    """

    action: Action
    summary: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)
    diff: str = ""
    reversible: bool = True
    why: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def change(
        cls,
        summary: str,
        *,
        before: Mapping[str, Any] | None = None,
        diff: str = "",
        reversible: bool = True,
        why: str = "",
    ) -> "Preview":
        """Execute would change something; `before` is what revert needs to know of the state found."""
        return cls(
            action=Action.CHANGE,
            summary=summary,
            before=before or {},
            diff=diff,
            reversible=reversible,
            why=why,
        )

    @classmethod
    def unchanged(cls, summary: str, *, outputs: Mapping[str, Any] | None = None) -> "Preview":
        """Everything is in place already; the node ends here with these outputs."""
        return cls(action=Action.UNCHANGED, summary=summary, outputs=outputs or {})

    @classmethod
    def fail(cls, why: str) -> "Preview":
        """Execute could not succeed; the node fails here, with nothing changed."""
        return cls(action=Action.FAIL, summary=why, why=why)

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {
            "action": self.action.value,
            "summary": self.summary,
            "before": dict(self.before),
            "diff": self.diff,
            "reversible": self.reversible,
            "why": self.why,
            "outputs": dict(self.outputs),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Preview":
        """What `to_json` gave."""
        return cls(**{**data, "action": Action(data["action"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """How a command ended.

    Attributes:
        exit_status: 0 to 255; 128 + n if signal n ended it.
        stdout, stderr: What it said, invalid UTF-8 replaced, cut at 1 MiB each.
        truncated: Whether something was cut.
        timed_out: Whether its timeout ended it.
    """

    exit_status: int
    stdout: str = ""
    stderr: str = ""
    truncated: bool = False
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        """Whether it ended with status 0."""
        return self.exit_status == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a node failed, for the operator.

    Attributes:
        kind: Class name of the error.
        message: One sentence.
        command, exit_status, stderr: Of the command that failed, if one did.
        hint: What to do.
        trace: The traceback, shown with `--debug` only.
    """

    kind: str
    message: str
    command: str = ""
    exit_status: int | None = None
    stderr: str = ""
    hint: str = ""
    trace: str = ""


class JobKind(StrEnum):
    """What a job asks for: look before acting, look what became of an attempt (`SETTLE`), act, undo, or end.

    `CANCEL` ends what of an attempt still runs on its host; no hook is called.
    """

    PREPARE = "prepare"
    SETTLE = "settle"
    EXECUTE = "execute"
    REVERT = "revert"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work on one node.

    Attributes:
        kind: Which hook.
        run_id, node, step, host, task: Whose work it is; `host` is the inventory name.
        on: On which other host it is done; empty: on `host`.
        attempt: Number of the attempt, from 1, counted per phase.
        params: `PREPARE`: templates as written; otherwise what was rendered and journaled.
        variables: Variables by name, templates not rendered (`PREPARE` and `ctx.vars`).
        facts: What templates see beside variables: `host`, `outputs`, `steps`, `now`, `item`.
        when: Condition of the step (`PREPARE`).
        vary: Lists of which each attempt gets the next value, templates not rendered (`PREPARE`).
        place: Which value it gets, from 0, the first again after the last (`PREPARE`).
        turn: What it got; in a `PREPARE`'s outcome too.
        preview: What prepare found, for the attempt.
        outputs: `REVERT`: outputs of the attempt to undo, None where execute did not finish.
        timeout: Seconds for this attempt.
        directory: Where relative local paths begin.
        record: Id of the attempt under which operations are recorded; empty: none are.
        epoch: Number of the run's owner, from 1; 0: nothing is claimed, as in a dry run.
        replay: The hook was called before, and nobody saw its end.
        machine: Where the attempt's operations are recorded, as its intent says.
        printed: Bytes of each stream of the attempt's output that are journaled (a replay prints them again).
        become: The user as whom all of it is done; empty: whoever is logged in.
        settled: Attempts of the same host and user whose outcome is durable, of which it may forget what they printed.
        delivery: How often the job was given to a worker, from 1; see `Operation.delivery`.
        files: Local files with the SHA-256 that they had when the plan was made (`PREPARE`).
    """

    kind: JobKind
    run_id: str
    node: str
    step: str
    host: str
    task: str
    on: str = ""
    attempt: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    when: str | None = None
    vary: Mapping[str, Any] = field(default_factory=dict)
    place: int = 0
    turn: Turn | None = None
    preview: Preview | None = None
    outputs: Mapping[str, Any] | None = None
    timeout: float | None = None
    directory: str = "."
    record: str = ""
    epoch: int = 0
    replay: bool = False
    machine: str = ""
    printed: Mapping[str, int] = field(default_factory=dict)
    become: str = ""
    settled: Sequence[str] = ()
    delivery: int = 1
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def at(self) -> str:
        """Inventory name of the host on which it is done."""
        return self.on or self.host

    @property
    def phase(self) -> Phase:
        """The phase that plugins see."""
        return Phase.REVERT if self.kind is JobKind.REVERT else Phase.EXECUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Which operation of which attempt: what makes it happen at most once.

    Attributes:
        run: Id of the run.
        epoch: Number of the run's owner; a target refuses earlier ones.
        attempt: Id of the attempt.
        number: Its place in the attempt, from 1.
        digest: Hash of what is to be done, secrets masked; another one at the same place is refused.
        reads: What the attempt has read since the operation before, one line; kept with the operation.
        place: Where the attempt's intent says that it is recorded; empty: not known.
        delivery: How often the attempt's job was given to a worker, from 1; a target refuses lower ones than it has
            seen, so that of two workers with one job the later one shuts the earlier one out.
    """

    run: str
    epoch: int
    attempt: str
    number: int
    digest: str
    reads: str = ""
    place: str = ""
    delivery: int = 1

    @property
    def record(self) -> str:
        """Name of the attempt's record on the target."""
        return record_of(self.attempt)

    @property
    def id(self) -> str:
        """Name of the operation on the target."""
        return f"{self.record}.{self.number}"


def record_of(attempt: str) -> str:
    """Name of an attempt's record on a target."""
    return f"o{hashlib.sha256(attempt.encode()).hexdigest()[:24]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An operation that a target has on record: its hash, and what was read before it."""

    digest: str
    reads: str = ""


class Verdict(StrEnum):
    """How a job ended."""

    SKIPPED = "skipped"  # the condition is false
    PREPARED = "prepared"  # there is something to do
    UNCHANGED = "unchanged"  # there is nothing to do
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNREACHABLE = "unreachable"  # failed, and certainly nothing was started
    UNKNOWN = "unknown"  # the link was lost in the middle of an operation
    CANCELLED = "cancelled"  # somebody asked for its end, and nothing of it runs any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended, secrets masked. The last message of its job."""

    job: Job
    verdict: Verdict
    preview: Preview | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] | None = None
    failure: Failure | None = None
    exit_status: int | None = None
    machine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a command printed while it runs. `stream` is `stdout` or `stderr`."""

    job: Job
    stream: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What a task says to the operator."""

    job: Job
    text: str

    @property
    def line(self) -> str:
        """The text with a newline at its end, as the journal keeps it."""
        return self.text if self.text.endswith("\n") else f"{self.text}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a task is: `done` of `total`, in the task's own unit."""

    job: Job
    done: float
    total: float


Message = Outcome | Output | Log | Progress
