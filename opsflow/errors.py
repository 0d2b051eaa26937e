"""Everything that can go wrong, as one tree.

::

    OpsflowError                    exit code
    ├── InputError                  2   playbook, inventory, plugin or argument is wrong; carries all problems
    ├── UnknownRun                  2   no such run, or an ambiguous one
    ├── PlanDrift                   2   the files no longer say what the stored plan says
    ├── HostsHeld                   5   another run holds the hosts
    ├── JournalError                6   the journal cannot be used
    │   ├── JournalUnavailable      6   not reachable, not writable
    │   ├── JournalTooNew           6   written by a newer opsflow
    │   └── JournalConflict         6   somebody else changed the state: this writer is fenced
    ├── ApprovalNeeded              7   a question could not be asked: nobody is at the terminal
    ├── TemplateError               1   a template cannot be rendered
    ├── TaskFailed                  1   a task says so (plugins raise it)
    │   └── CommandFailed           1   a command on a target ended with a status that was not expected
    ├── TransportError              1
    │   ├── Unreachable             1   no connection: certainly nothing was started
    │   │   ├── Refused             1   the host answers, and cannot take operations
    │   │   ├── HostKeyRejected     1
    │   │   └── AuthenticationFailed  1
    │   └── TransferFailed          1   a file could not be read or written on the target
    ├── NotDone                     2   this version does not do that yet
    └── IllegalTransition           1   a bug: the state machine refused an event

    Interrupted (BaseException)         the link was lost or the attempt was cancelled in the middle of an operation
    ├── Cancelled                       the operation was ended because somebody asked for it
    └── Diverged                        a hook that was called again did something else than before
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place in a file. Lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with the input.

    Attributes:
        message: One sentence: what is wrong.
        position: Where, if it came from a file.
        hint: What to do, "did you mean" included.
        line: The text of the line, for the caret under it.
    """

    message: str
    position: Position | None = None
    hint: str = ""
    line: str = ""

    def __str__(self) -> str:
        where = f"{self.position}: " if self.position else ""
        text = f"{where}{self.message}"
        if self.line and self.position:
            text += f"\n    {self.line.rstrip()}\n    {' ' * (self.position.column - 1)}^"
        return f"{text}\n    {self.hint}" if self.hint else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that the files no longer say as a stored plan does, or that is not as its preview found it.

    Attributes:
        what: `playbook`, `inventory`, `step`, `include`, `order`, `host`, `variable`, `task`, `file`, `group`, `node`
            or `action`.
        names: Of which; several, where the same is to be said of all.
        change: `added`, `removed`, `changed`, or `wrong`: it cannot be told, for the reason in `after`.
        key: What of them, as a dotted path; empty: all.
        before: The value in the plan, as text, secrets masked; empty: there is none to show. `after`: the one now.
        position: Where it stands now.
    """

    what: str
    names: tuple[str, ...]
    change: str
    key: str = ""
    before: str = ""
    after: str = ""
    position: Position | None = None

    def __str__(self) -> str:
        mark = {"added": "+", "removed": "-", "wrong": "!"}.get(self.change, "~")
        more = len(self.names) - _NAMED
        names = f"{', '.join(self.names[:_NAMED])}{f' and {more} more' if more > 0 else ''}"
        text = f"{self.what} {names}".rstrip()
        if self.key and self.change != "wrong":
            mark, text = "~", f"{text}, {self.key}: {_short(self.before)} → {_short(self.after)}"
        elif self.after:
            text += f": {self.after}"
        return f"{mark} {text}  ({self.position})" if self.position else f"{mark} {text}"


_NAMED = 3
_SHOWN = 30
_VALUE = 100


def _short(value: str) -> str:
    if not value:
        return "nothing"
    return value if len(value) <= _VALUE else f"{value[:_VALUE]}…"


class OpsflowError(Exception):
    """The root. `exit_code` is the process's; `hint` is the command or act that comes next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(OpsflowError):
    """The input is wrong; `problems` holds all that was found, in file order."""

    exit_code = 2

    def __init__(self, problems: list[Problem] | tuple[Problem, ...] | str, *, hint: str = "") -> None:
        found = (Problem(message=problems),) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(str(p) for p in found), hint=hint)
        self.problems = found


class UnknownRun(OpsflowError):
    """No run has that id, or more than one begins with it."""

    exit_code = 2


class PlanDrift(OpsflowError):
    """A file, plugin or action differs from what the stored plan was made of; `differences` holds all that do."""

    exit_code = 2

    def __init__(self, message: str, *, differences: Sequence[Difference], hint: str = "") -> None:
        lines = [f"  {difference}" for difference in differences[:_SHOWN]]
        more = len(differences) - len(lines)
        lines += [f"  and {more} more (--output json tells all)"] if more > 0 else []
        super().__init__("\n".join([f"{message}:", *lines]), hint=hint)
        self.differences = tuple(differences)


class HostsHeld(OpsflowError):
    """Another run holds some of the hosts. `holders` maps a host's name to what is known of its holder."""

    exit_code = 5

    def __init__(self, message: str, *, holders: dict[str, str], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.holders = holders


class JournalError(OpsflowError):
    """The journal cannot be used."""

    exit_code = 6


class JournalUnavailable(JournalError):
    """The database cannot be reached, opened or written."""


class JournalTooNew(JournalError):
    """The database was written by a newer opsflow."""


class JournalConflict(JournalError):
    """A row was not in the state this writer believed it in: another owner took over, and this one must stop."""


class ApprovalNeeded(OpsflowError):
    """A question has to be answered and nobody can be asked."""

    exit_code = 7


class NotDone(OpsflowError):
    """The contract has it, this version does not."""

    exit_code = 2


class TemplateError(OpsflowError):
    """A template cannot be rendered; the message names the expression."""


class TaskFailed(OpsflowError):
    """A task's own verdict that its work failed."""


class CommandFailed(TaskFailed):
    """A command ended with a status that was not expected.

    Attributes:
        command: What was run, secrets masked.
        exit_status: Its status; 128 + n for signal n.
        stderr: The last lines of what it said.
    """

    def __init__(self, command: str, exit_status: int, stderr: str, *, hint: str = "") -> None:
        super().__init__(f"exit status {exit_status}: {command}", hint=hint)
        self.command = command
        self.exit_status = exit_status
        self.stderr = stderr


class TransportError(OpsflowError):
    """A host cannot be worked on."""


class Unreachable(TransportError):
    """No connection could be made: certainly nothing was started."""


class Refused(Unreachable):
    """The host cannot take operations, or not this one: certainly not started, and waiting does not help."""


class HostKeyRejected(Unreachable):
    """The host's key is unknown or is not the one that is known."""


class AuthenticationFailed(Unreachable):
    """The host does not let us in."""


class TransferFailed(TransportError):
    """A file could not be read from or written to the target."""


class IllegalTransition(OpsflowError):
    """A state machine refused an event. This is a bug in opsflow and stops the run."""


class Interrupted(BaseException):
    """The link was lost, or the attempt was cancelled, in the middle of an operation: its fate is not known.

    A `BaseException`, so that no plugin can swallow it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Cancelled(Interrupted):
    """The attempt was cancelled: its operation has been ended by that, and says nothing of its own."""


class Diverged(Interrupted):
    """A hook that was called again after an interruption did not do the same as before: it is not deterministic."""
