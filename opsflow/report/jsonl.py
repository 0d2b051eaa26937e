"""One event a line, for programs."""

import json
from typing import TextIO

from opsflow.events import Event
from opsflow.report.data import event_data
from opsflow.report.stream import LastingStream


class JsonLines:
    """Writes every event as a line of JSON, at once. The last one of a run is its `run_finished`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = LastingStream(stream)

    def __call__(self, event: Event) -> None:
        """Write an event."""
        # ASCII only, which json's default is: control characters of hosts then reach no terminal.
        self._stream.line(json.dumps(event_data(event)))

    def pause(self) -> None:
        """Nothing is on the screen that could be in the way."""

    def close(self) -> None:
        """Nothing is held back."""
