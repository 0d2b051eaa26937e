"""What tasks are, and what they see of the world."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from opsflow.model import CommandResult, Phase, Preview


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

    def fetch(self, path: str, destination: Path | str) -> str:
        """Read: copy a file of any size to the controller. Atomic, durable, readable for its owner only.

        Args:
            path: Which file of the target.
            destination: Where it is to be; its directory is made if need be, and what is there is replaced.

        Returns:
            Its SHA-256.

        Raises:
            TransferFailed: the target cannot read it.
            TaskFailed: it cannot be written here.
        """

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

    def render(
        self,
        text: str,
        name: str,
        variables: Mapping[str, Any] | None = None,
        *,
        secret: Callable[[str], str] | None = None,
    ) -> str:
        """A template file's text, rendered with the node's variables as a playbook's texts are.

        `secret('env:NAME')` in it yields the value, as `secret` does.

        Args:
            text: The file's content, UTF-8. Never what a host said.
            name: What messages call it.
            variables: Come before the node's, and are not rendered.
            secret: Asked for the secrets in it; None: this object's `secret`.

        Raises:
            TemplateError: it names the line.
        """


class Task(Protocol):
    """A task as the registry found it. Hooks run with the wrappers of other plugins around them.

    Attributes:
        name: Its name in playbooks.
        doc: First paragraph of the module's docstring.
        source: File it comes from.
        digest: SHA-256 of that file, for the fingerprint.
        idempotent: Whether executing twice is harmless.
        has_plan: Whether it has a `plan` hook.
        reversible: Whether it has a `revert` hook, or nothing that would have to be reverted.
        gate: Whether it only waits until somebody approves; then it has no `execute`.
    """

    name: str
    doc: str
    source: str
    digest: str
    idempotent: bool
    has_plan: bool
    reversible: bool
    gate: bool

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

    def outputs(self) -> Mapping[str, Any] | None:
        """JSON Schema of the outputs; None: the task does not say what it gives."""

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
