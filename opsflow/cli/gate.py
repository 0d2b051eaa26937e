"""Asking for approvals on the terminal while a run goes on around the question."""

import os
import select
import sys

from opsflow.app import operator
from opsflow.cli.screen import Screen
from opsflow.model import Answer
from opsflow.report.stream import LastingStream
from opsflow.report.text import clean, one_line

_ANSWERS = {"y": Answer.APPROVE, "yes": Answer.APPROVE, "n": Answer.REJECT, "no": Answer.REJECT, "later": Answer.LATER}
_HOW = "y: go on, n: refuse, later: leave it open"


class TerminalApprover:
    """`ports.Approver` over the terminal. Only a word that it knows is an answer: refusing may put everything back.

    Args:
        screen: What else is on the terminal.
    """

    def __init__(self, screen: Screen) -> None:
        self.name = operator()
        self._screen = screen
        self._stream = LastingStream(sys.stderr)

    @classmethod
    def of(cls, screen: Screen) -> "TerminalApprover | None":
        """One, if somebody is at the terminal, and it is this command's: not a job's in the background."""
        return cls(screen) if sys.stdin.isatty() and sys.stderr.isatty() and _in_foreground() else None

    def ask(self, node: str, question: str) -> None:
        """Put a question."""
        self._screen.pause()
        self._write(f"{one_line(node)} waits for approval: {clean(question)}\n{_HOW}? ")

    def withdraw(self) -> None:
        """Nobody needs to answer any more."""
        self._write("\nanswered elsewhere\n")

    def answer(self) -> Answer | None:
        """A whole line, if there is one."""
        # What is typed while another program is in the foreground is not ours: reading it would stop this process.
        if not _in_foreground() or not select.select([sys.stdin], [], [], 0)[0]:
            return None
        line = sys.stdin.readline()
        if not line:  # the terminal is gone
            return Answer.LATER
        found = _ANSWERS.get(line.strip().lower())
        if found is None:
            self._write(f"{_HOW}? ")
        return found

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # the terminal is not the one that controls this process: no shell puts it into the background
        return True
