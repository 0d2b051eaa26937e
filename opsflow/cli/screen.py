"""What a command shows: progress on stderr, data on stdout, and the question in between."""

import json
import os
import sys
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, TextIO

from opsflow.cli.options import Common, Output
from opsflow.cli.signals import asking
from opsflow.errors import ApprovalNeeded, Problem
from opsflow.events import Event, InventoryNoticed, NodePlanned, RolloutPlanned, RunFinished
from opsflow.report.jsonl import JsonLines
from opsflow.report.plain import Plain
from opsflow.report.planview import plan_lines
from opsflow.report.stream import LastingStream
from opsflow.report.text import Paint, clean


class Report(Protocol):
    """A listener that can get out of the way."""

    def __call__(self, event: Event) -> None:
        """Show an event."""

    def pause(self) -> None:
        """Leave the terminal to others for a moment, or for good."""


class Screen:
    """A listener, and the one who asks the operator.

    Args:
        common: How the output is wanted.

    Attributes:
        finished: Whether a run has come to its end, and so has told it.
        notices: What of the inventory is not understood.
    """

    def __init__(self, common: Common) -> None:
        self.finished = False
        self.notices: list[Problem] = []
        self._common = common
        self._report = _report(common)
        self._planned: list[NodePlanned] = []
        self._rollout: RolloutPlanned | None = None
        self._shown = False
        self._one = threading.RLock()  # not only the engine tells: whoever connects does, too

    def __call__(self, event: Event) -> None:
        """Show an event."""
        with self._one:
            self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, NodePlanned):
            self._planned.append(event)
        elif isinstance(event, RolloutPlanned):
            self._rollout = event
        elif isinstance(event, InventoryNoticed):
            self.notices.append(event.notice)
        elif self._common.output is Output.TEXT:
            self.show_plan(self._planned)
        self.finished = self.finished or isinstance(event, RunFinished)
        if self._report:
            self._report(event)

    def show_plan(self, planned: Sequence[NodePlanned], stream: TextIO | None = None) -> None:
        """Show what was planned, on stdout unless said otherwise; once."""
        if planned and not self._shown:
            self._shown = True
            self.pause()
            stream = stream or sys.stdout
            paint = Paint.of(stream, allowed=not self._common.no_color)
            write_lines(plan_lines(planned, paint, rollout=self._rollout, verbose=self._common.verbose), stream)

    def confirm(self, question: str) -> bool:
        """Ask on the terminal.

        Raises:
            ApprovalNeeded: nobody is at the terminal.
        """
        self.pause()
        somebody = sys.stdin.isatty() and sys.stderr.isatty()
        if self._common.output is Output.TEXT:
            self.show_plan(self._planned)
        elif somebody:  # stdout is a program's: the person who is asked sees the plan beside the question
            self.show_plan(self._planned, sys.stderr)
        if not somebody:
            raise ApprovalNeeded(f"{question} There is nobody at the terminal to ask", hint="say --yes")
        stderr = LastingStream(sys.stderr)
        with asking():
            stderr.write(f"{clean(question)} [y/N] ")
            stderr.flush()
            return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def pause(self) -> None:
        """Leave the terminal to others, for a moment or for good."""
        if self._report:
            self._report.pause()


def write_lines(lines: Iterable[str], stream: TextIO | None = None) -> None:
    """Lines on stdout, or on another stream."""
    lasting = LastingStream(stream or sys.stdout)
    for line in lines:
        lasting.write(f"{line}\n")
    lasting.flush()


def write_data(data: Any, common: Common) -> None:
    """JSON on stdout; as JSON lines: a list gets a line for each of its parts."""
    if common.output is Output.JSONL:
        write_lines(json.dumps(part) for part in (data if isinstance(data, list) else [data]))
    else:
        write_lines([json.dumps(data, indent=2)])


def write_notices(notices: Sequence[Problem], common: Common) -> None:
    """What of an inventory is not understood, on stderr; with the data where a program reads it."""
    if common.output is Output.TEXT:
        for notice in notices:
            write_lines([f"warning: {clean(str(notice))}"], sys.stderr)


def _report(common: Common) -> Report | None:
    match common.output:
        case Output.JSON:
            return None  # one document at the end says it all
        case Output.JSONL:
            return JsonLines(sys.stdout)
        case Output.TEXT if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            from opsflow.report.console import Terminal  # noqa: PLC0415 - rich only where there is a terminal

            return Terminal(sys.stderr, colour=not common.no_color, verbose=common.verbose, debug=common.debug)
        case _:
            quiet = common.output is Output.QUIET
            return Plain(sys.stderr, quiet=quiet, verbose=common.verbose, debug=common.debug)
