"""For pipes and files: one line per event, failures in full, no colours unless asked for."""

from typing import TextIO

from opsflow import events
from opsflow.events import Event
from opsflow.report.lines import BROKEN, Lines
from opsflow.report.stream import LastingStream
from opsflow.report.text import Paint, moment


class Plain:
    """Writes what happens as lines with their time.

    Args:
        stream: Where to.
        quiet: Only what went wrong.
        verbose: Also what commands print.
        debug: Tracebacks too.
    """

    def __init__(self, stream: TextIO, *, quiet: bool = False, verbose: bool = False, debug: bool = False) -> None:
        self._stream = LastingStream(stream)
        self._lines = Lines(Paint(colour=False), debug=debug)
        self._quiet = quiet
        self._verbose = verbose

    def __call__(self, event: Event) -> None:
        """Write an event."""
        if self._quiet and not _is_bad(event):
            return
        if isinstance(event, events.NodeOutput) and not self._verbose and event.stream != "log":
            return
        for line in self._lines.say(event):
            self._stream.line(line if line.startswith(" ") else f"{moment(event.at)} {line}")

    def pause(self) -> None:
        """Nothing is on the screen that could be in the way."""

    def close(self) -> None:
        """Nothing is held back."""


def _is_bad(event: Event) -> bool:
    match event:
        case events.NodeFinished():
            return event.state in BROKEN
        case events.RunFinished():
            return event.exit_code != 0
        case events.HostKeyAccepted() | events.NodeWaiting() | events.RolloutStopped():
            return True
        case _:
            return False
