"""The protocols between the parts: who may ask what of whom. Implementations don't know each other."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from opsflow.model import (
    Asked,
    Change,
    CommandResult,
    Host,
    Job,
    LaterPlan,
    Message,
    NodeRecord,
    Operation,
    Phase,
    Preview,
    Printed,
    Recorded,
    RequestRecord,
    RollbackRecord,
    RunRecord,
    RunState,
)

OutputSink = Callable[[str, str], None]
"""Called with the stream's name (`stdout`, `stderr`) and a piece of text, while a command runs."""


class Transport(Protocol):
    """One host, reached. Used by one thread at a time per call; calls from several threads are allowed.

    Connecting happens on first use. Every method raises `Unreachable` if no connection could be made (nothing was
    started) and `Interrupted` if it broke afterwards.
    """

    def run(
        self,
        command: str,
        *,
        input: bytes | BinaryIO | None = None,  # noqa: A002 - the contract's word
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        sink: OutputSink | None = None,
        op: Operation | None = None,
    ) -> CommandResult:
        """Run a shell command to its end. Neither it nor `env` is visible in the target's process list as sent.

        With `op` it is started at most once, however often it is asked for: what was started before is followed, and
        what has ended says how. Without, it is a read, and may run again.

        Raises:
            Cancelled: it was ended by `cancel`.
            Diverged: `op` was something else.
            HostsHeld: another run is at work on the host.
        """

    def put(
        self, source: BinaryIO, path: str, *, mode: int = 0o600, digest: str = "", op: Operation | None = None
    ) -> str:
        """Stream `source` into a file: temporary name, readable for nobody else until whole, fsync, rename.

        With `op` it is put into place at most once.

        Args:
            source: What is left of it is sent.
            path: Where it is to be; what is there is replaced, a symbolic link too.
            mode: Permissions.
            digest: SHA-256 of the content as hexadecimal digits, if it is known: `source` is then read once only.
            op: Which operation it is.

        Returns:
            The SHA-256.

        Raises:
            TransferFailed: the target could not take it, or `digest` is of something else; `path` is as it was.
        """

    def reach(self) -> None:
        """Make sure that the host answers and lets us in; nothing is done there."""

    def claim(self, run: str, epoch: int) -> str:
        """Claim the host for a run and the number of its owner; where operations are recorded, as an intent keeps it.

        Raises:
            HostsHeld: another run is at work there.
        """

    def record(self, op: Operation) -> Sequence[Recorded]:
        """The operations that the attempt of `op` has on record, from the first."""

    def fence(self, op: Operation) -> None:
        """Let nothing more of the attempt of `op` start, whoever asks, and wait for what of it runs."""

    def cancel(self, op: Operation) -> None:
        """Let nothing more of the attempt of `op` start, whoever asks, and end what of it runs.

        Its process group gets SIGTERM, five seconds later SIGKILL; returns once it has ended. Who follows it gets
        `Cancelled`. May be asked by another process than the one that started it, and again.
        """

    def forget(self, attempts: Sequence[str]) -> None:
        """The outcomes of these attempts are durable: what they printed need not be kept on the host any more.

        That they were is remembered until `release`. Sends nothing by itself: it goes with what is started next.
        """

    def release(self) -> None:
        """The run is over: let another one have the host, and forget what is recorded. Does not fail."""

    def get(self, path: str) -> bytes:
        """The whole content of a file. Raises `TransferFailed` if it cannot be read."""

    def tail(self, path: str, lines: int) -> Sequence[str]:
        """The last lines of a file, however long it is; of them no more than the last MiB; empty if there is no file.

        Raises:
            TransferFailed: it is no regular file, or cannot be read.
        """

    def identity(self) -> str:
        """Which machine this is: its machine-id and boot id, as far as it tells."""

    def close(self) -> None:
        """Let the connection go. Idempotent."""


class Transports(Protocol):
    """All hosts of a run: one connection per host, the number in the making bounded."""

    def to(self, host: str, become: str = "") -> Transport:
        """The transport of an inventory host; with `become`, what it does is done as that user."""

    def release(self) -> None:
        """The run is over: release all hosts that were claimed."""

    def close(self) -> None:
        """Close them all."""


class Context(Protocol):
    """What a task sees of the world: one node, one attempt. The same on every transport and executor.

    Operations (`run`, `put`, `write`) change the target and are numbered; reads don't and aren't. In `plan` an
    operation raises `TaskFailed`. So that an interrupted hook can be called again: same arguments, same operations
    in the same order, and everything from outside comes through this object.
    """

    @property
    def host(self) -> str:
        """Inventory name of the node's host."""

    @property
    def vars(self) -> Mapping[str, Any]:
        """The node's variables, rendered when looked at."""

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Outputs of earlier steps, by step id, as the node's templates see them."""

    @property
    def project(self) -> Path:
        """The control machine's directory in which relative local paths begin, absolute."""

    @property
    def run_id(self) -> str:
        """Id of the run; sorts by time."""

    @property
    def task(self) -> str:
        """Name of the task."""

    @property
    def step(self) -> str:
        """Id of the step."""

    @property
    def node(self) -> str:
        """Id of the node, `STEP@HOST`."""

    @property
    def phase(self) -> Phase | None:
        """`execute` or `revert`; None in `plan`."""

    @property
    def attempt(self) -> int:
        """Number of the attempt, from 1."""

    @property
    def deadline(self) -> float | None:
        """Seconds left of the attempt's timeout; None: no limit."""

    def quote(self, value: object) -> str:
        """`value` as one word for the target's shell."""

    def run(
        self,
        command: str,
        *,
        check: bool = True,
        input: str | bytes | None = None,  # noqa: A002 - the contract's word
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> CommandResult:
        """Operation: run a shell command (POSIX sh).

        Args:
            command: The command; every value in it quoted with `quote`. A secret in it is an error.
            check: Raise `CommandFailed` unless it ends with 0.
            input: Its standard input; none: empty. The place for secrets.
            timeout: Seconds; never more than the attempt has left.
            env: Added to its environment; may hold secrets.
            cwd: Directory to run in.

        Raises:
            CommandFailed: it ended with another status and `check` is set, or its timeout ended it.
        """

    def put(self, source: Path | str, path: str, *, mode: int = 0o600) -> str:
        """Operation: send a local file. Atomic, durable, checked. Returns its SHA-256."""

    def write(self, path: str, content: str | bytes, *, mode: int = 0o600) -> str:
        """Operation: write a file. Atomic, durable, checked. Returns its SHA-256."""

    def probe(
        self, command: str, *, timeout: float | None = 60.0, env: Mapping[str, str] | None = None
    ) -> CommandResult:
        """Read: run a command that changes nothing. Never raises for its status."""

    def get(self, path: str) -> bytes:
        """Read: a file's content. Raises `TransferFailed`."""

    def tail(self, path: str, lines: int = 20) -> list[str]:
        """Read: the last lines of a file, without their newlines; empty if there is no such file.

        They are read from the file's end, at most a MiB. Invalid UTF-8 is replaced.

        Raises:
            TransferFailed: it is a directory or a pipe, or cannot be read.
        """

    def wait_until(self, probe: str, *, timeout: float, every: float = 0.5) -> CommandResult:
        """Read: run a probe until it ends with 0 or the time is over; its last result tells which."""

    def now(self) -> datetime:
        """Read: the time, UTC."""

    def random(self) -> float:
        """Read: a random number, 0 <= n < 1."""

    def sleep(self, seconds: float) -> None:
        """Wait; ended early by a cancel."""

    def log(self, text: str) -> None:
        """Say something to the operator; journaled."""

    def progress(self, done: float, total: float) -> None:
        """Say how far the work is."""

    def secret(self, name: str) -> str:
        """The value of a reference (`env:NAME`, `file:PATH`); from now on masked everywhere."""


class Task(Protocol):
    """A task as the registry found it. Hooks run with the wrappers of other plugins around them.

    Attributes:
        name: Its name in playbooks.
        doc: First paragraph of the module's docstring.
        source: File it comes from.
        digest: SHA-256 of that file, for the fingerprint.
        idempotent: Whether executing twice is harmless.
        has_plan: Whether it has a `plan` hook.
        reversible: Whether it has a `revert` hook.
    """

    name: str
    doc: str
    source: str
    digest: str
    idempotent: bool
    has_plan: bool
    reversible: bool

    def check(
        self, params: Mapping[str, Any], *, ignore: Iterable[str] = ()
    ) -> list[tuple[tuple[str | int, ...], str]]:
        """What is wrong with `params`: (path below `with`, message, "did you mean" included) each.

        Values of top-level keys in `ignore` are not known yet: their keys are checked, their values are not.
        """

    def local_paths(self, params: Mapping[str, Any], directory: str) -> Sequence[str]:
        """The control machine's files that `params` name, absolute; `directory`: where relative ones begin."""

    def schema(self) -> Mapping[str, Any]:
        """JSON Schema of the parameters."""

    def plan(self, ctx: Context, params: Mapping[str, Any]) -> Preview:
        """Call the `plan` hook; without one, a change that can be undone if there is a `revert`."""

    def execute(self, ctx: Context, params: Mapping[str, Any], preview: Preview) -> Mapping[str, Any]:
        """Call `execute`; its outputs, checked to be JSON of at most 256 KiB."""

    def revert(
        self, ctx: Context, params: Mapping[str, Any], preview: Preview, outputs: Mapping[str, Any] | None
    ) -> None:
        """Call `revert`."""


class Tasks(Protocol):
    """The tasks there are."""

    def names(self) -> Sequence[str]:
        """All names, sorted."""

    def get(self, name: str) -> Task | None:
        """The task of that name."""


class Inventory(Protocol):
    """The machines there are."""

    path: str
    digest: str

    @property
    def hosts(self) -> Mapping[str, Host]:
        """All hosts by name, in file order."""

    @property
    def groups(self) -> Mapping[str, Sequence[str]]:
        """All groups with their hosts, children's included, `all` too."""

    def select(self, pattern: str) -> Sequence[Host]:
        """Hosts that a pattern names, in file order; empty if none.

        Raises:
            InputError: the pattern is malformed or names a group or host that does not exist (with "did you mean").
        """


class Renderer(Protocol):
    """Templates. `variables` may hold templates (rendered when used); `facts` are data, never rendered.

    A string that is exactly one `{{ ... }}` keeps the expression's own type; anything else becomes text.
    `secret('env:X')` yields a reference: `{"$secret": "env:X"}`.
    """

    def render(self, value: Any, variables: Mapping[str, Any], facts: Mapping[str, Any]) -> Any:
        """`value` with every string in it rendered, keys excepted. Raises `TemplateError`."""

    def condition(self, expression: str, variables: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
        """A `when` expression. Raises `TemplateError`, also if it does not yield a boolean."""

    def references(self, value: Any, variables: Mapping[str, Any]) -> frozenset[str]:
        """Ids of the steps whose `outputs.ID` or `steps.ID` the value mentions, through variables too.

        Raises:
            TemplateError: the syntax is wrong.
        """

    def expression_references(self, expression: str, variables: Mapping[str, Any]) -> frozenset[str]:
        """The same for a `when` expression."""


class Journal(Protocol):
    """The database of runs. One writer, the engine's side; readers elsewhere use short transactions.

    Every method raises `JournalUnavailable` if the database cannot be used.
    """

    def begin(self, run: RunRecord, plan: Mapping[str, Any], nodes: Sequence[NodeRecord], hosts: Sequence[str]) -> None:
        """Write a new run with its plan and its pending nodes, and hold its hosts, in one transaction.

        Raises:
            HostsHeld: an open run holds some of the hosts; nothing was written.
        """

    def resume(self, run_id: str, operator: str, *, hold: bool = True) -> None:
        """Become the writer of a run that has none. Without `hold` it holds no more hosts than before.

        Raises:
            HostsHeld: its writer is alive (same machine: its process lives; elsewhere: its heartbeat is fresh).
        """

    def epoch(self, run_id: str) -> int:
        """How often the run has changed hands, from 1: the later of two writers has the higher number."""

    def commit(self, run_id: str, changes: Sequence[Change]) -> None:
        """Apply all changes or none, durably.

        Raises:
            JournalConflict: something was not in the state it was changed from, or this writer lost the run.
        """

    def heartbeat(self, run_id: str) -> Sequence[RequestRecord]:
        """Say that the writer is alive, and hear what others ask it for; cheap if that was done just now.

        What it took up is committed as `RequestApplied`; until then it is heard again.

        Raises:
            JournalConflict: this writer lost the run.
        """

    def ask(self, run_id: str, what: Asked, data: Mapping[str, Any], operator: str) -> int | None:
        """Ask the process that drives a run for something; the request's number. None: nobody drives it."""

    def driven(self, run_id: str) -> bool:
        """Whether a living process drives a run."""

    def requests(self, run_id: str) -> Sequence[RequestRecord]:
        """All that was ever asked of a run, oldest first."""

    def leave(self, run_id: str, *, release_hosts: bool) -> None:
        """Stop being the writer. `release_hosts` when nothing of the run is left open."""

    def abandon(self, run_id: str) -> None:
        """Give up an open run's hold on its hosts, so that another may have them. Raises `HostsHeld` if it is alive."""

    def find(self, prefix: str | None) -> RunRecord:
        """The run whose id begins so; None: the newest. Raises `UnknownRun`."""

    def plan(self, run_id: str, number: int | None = None) -> Mapping[str, Any]:
        """A stored plan; None: the newest. They count from 0."""

    def later_plans(self, run_id: str) -> Sequence[LaterPlan]:
        """The plans that took the place of the first (`PlanReplaced`), in order."""

    def nodes(self, run_id: str) -> Sequence[NodeRecord]:
        """All nodes with their attempts, in the plan's order."""

    def rollbacks(self, run_id: str) -> Sequence[RollbackRecord]:
        """All frozen rollback plans, oldest first."""

    def runs(self, *, limit: int = 50, states: Sequence[RunState] = ()) -> Sequence[RunRecord]:
        """Runs, newest first; only those in `states` unless empty."""

    def later_changes(self, run_id: str, hosts: Sequence[str]) -> Sequence[str]:
        """Ids of later runs that began an attempt on any of the hosts."""

    def printed(self, run_id: str, attempt: str) -> Mapping[str, int]:
        """How many bytes (UTF-8, masked) of each stream of an open attempt were committed; for the run's writer."""

    def output(self, run_id: str, *, after: int = 0, step: str = "", host: str = "") -> Iterable[Printed]:
        """What was printed, in order, beginning behind the piece `after`; read page by page as it is asked for.

        Args:
            run_id: The run.
            after: `Printed.n`.
            step: Only what this step printed; empty: all.
            host: Only what was printed on this host; empty: on all.
        """

    def output_backwards(self, run_id: str, *, step: str = "", host: str = "") -> Iterable[Printed]:
        """The same, the newest first."""

    def places(self, run_id: str) -> Sequence[tuple[str, str]]:
        """Step and host of each node, in the plan's order."""

    def close(self) -> None:
        """Let the database go."""


class Executor(Protocol):
    """A place where jobs are worked on. It knows where code runs, nothing else."""

    @property
    def free(self) -> int:
        """How many more jobs it takes now."""

    def submit(self, job: Job) -> None:
        """Begin a job. Its last message is an `Outcome`."""

    def cancel(self, job: Job) -> None:
        """End a job that was submitted, on its host too; its outcome comes as ever. Does not wait for that."""

    def messages(self, timeout: float) -> Sequence[Message]:
        """What has come in; waits up to `timeout` seconds for the first."""

    def close(self) -> None:
        """Let the workers go; jobs that still run are not waited for."""


class Perform(Protocol):
    """Does jobs; the same in every executor. For many threads."""

    def __call__(self, job: Job, emit: Callable[[Message], None]) -> None:
        """Do a job, and say what happens."""

    def cancel(self, job: Job) -> None:
        """End a job that another thread does or is about to do; returns when its host has, or does not answer."""


class Confirm(Protocol):
    """Asks the operator."""

    def __call__(self, question: str) -> bool:
        """Whether the answer is yes. Raises `ApprovalNeeded` if nobody can be asked."""
