"""Where jobs are worked on, and who is asked."""

from collections.abc import Callable, Sequence
from typing import Protocol

from opsflow.model import Answer, Job, Message


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


class Approver(Protocol):
    """Asks for approvals at a terminal while a run goes on; nothing here waits.

    Attributes:
        name: Who is asked, `USER@MACHINE`.
    """

    name: str

    def ask(self, node: str, question: str) -> None:
        """Put a question; the one before is over."""

    def withdraw(self) -> None:
        """Nobody needs to answer the question any more."""

    def answer(self) -> Answer | None:
        """What was answered; None: nothing yet."""
