"""One piece of work on hosts, from the first event to the exit code."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from opsflow import app
from opsflow.cli.gate import TerminalApprover
from opsflow.cli.options import Common, Output
from opsflow.cli.screen import Screen, write_data, write_lines
from opsflow.cli.signals import stopping
from opsflow.events import Listener
from opsflow.report.data import plan_data, problem_data, show_data
from opsflow.report.text import clean
from opsflow.tomlfile import project_directory


def run_document(detail: app.RunDetail) -> dict[str, object]:
    """One run in full, as programs read it."""
    return show_data(
        detail.run,
        detail.nodes,
        detail.rollbacks,
        detail.requests,
        at_end=detail.at_end,
        accepted=detail.accepted,
        left_out=detail.left_out,
        batches=detail.batches,
    )


class Session:
    """What a use case of `app` is given, and what is made of its summary.

    Args:
        common: How the output is wanted.
        settings: Of the use case.
    """

    def __init__(self, common: Common, settings: app.Settings) -> None:
        self.settings = settings
        self.stop = app.Stop()
        self._common = common
        self._screen = Screen(common)

    @property
    def listeners(self) -> Sequence[Listener]:
        """Who hears of events."""
        return (self._screen,)

    def confirm(self, question: str) -> bool:
        """Ask the operator; `ports.Confirm`."""
        return self._screen.confirm(question)

    @property
    def approver(self) -> TerminalApprover | None:
        """Asks for approvals that steps wait for; None: nobody is at the terminal."""
        return TerminalApprover.of(self._screen)

    def drive(self, use_case: Callable[[], app.RunSummary]) -> int:
        """Do it while signals stop it; show what came of it; the exit code."""
        try:
            with stopping(self.stop):
                summary = use_case()
        finally:
            self._screen.pause()
        if self._common.output is Output.JSON:
            notices = [problem_data(notice) for notice in self._screen.notices]
            write_data(self._document(summary) | {"notices": notices}, self._common)
        elif self._common.output is Output.TEXT:
            self._screen.show_plan(summary.planned)
        if not self._common.machine:
            write_lines(self._last_words(summary), sys.stderr)
        return summary.exit_code

    def _document(self, summary: app.RunSummary) -> dict[str, object]:
        if not self._screen.finished:
            return plan_data(summary.planned, summary.rollout)
        return run_document(app.show(summary.run_id, self.settings))

    def _last_words(self, summary: app.RunSummary) -> list[str]:
        if not summary.hint or (self._common.output is Output.QUIET and not summary.exit_code):
            return []
        if not self._screen.finished:
            return [clean(summary.hint)]
        elsewhere = self.settings.project != project_directory(Path.cwd() / "-")
        return [f"(in {self.settings.project}, where this run's journal is)"] if elsewhere else []
