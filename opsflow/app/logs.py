"""What a run printed: all of it, its last lines, or what it prints now."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from opsflow.app import wiring
from opsflow.app.settings import Settings
from opsflow.errors import InputError
from opsflow.journal import SqlJournal
from opsflow.model import Printed, RunState
from opsflow.report.loglines import Joiner, Line, last_lines
from opsflow.tomlfile import did_you_mean

_POLL = 0.5
"""Seconds between two looks into the journal while a run is followed."""

_LINES = 256
"""Lines that are handed out together."""

_OPEN = frozenset({RunState.PLANNED, RunState.RUNNING, RunState.ROLLING_BACK})


@dataclass(slots=True, kw_only=True)
class Logs:
    """What is wanted.

    Attributes:
        run: Id of the run, or its beginning; None: the newest.
        step: Only this step's; empty: all.
        host: Only this host's; empty: all.
        last: Only so many lines; None: all.
        follow: Wait for more until nobody drives the run any more.
        hint: What to tell the operator at the end; known then.
    """

    run: str | None = None
    step: str = ""
    host: str = ""
    last: int | None = None
    follow: bool = False
    hint: str = field(default="", init=False)

    def read(self, settings: Settings) -> Iterator[Sequence[Line]]:
        """The lines, some at a time, as soon as they are there; none: nothing new for a moment.

        Raises:
            UnknownRun: there is no such run.
            InputError: the run has no such step or host.
        """
        with wiring.journal(settings) as journal:
            run_id = journal.find(self.run).id
            _check(journal.places(run_id), run_id, self.step, self.host)
            after = 0
            if self.last is not None:
                pieces = _Noted(journal.output_backwards(run_id, step=self.step, host=self.host))
                lines = last_lines(pieces, self.last)
                after = pieces.newest
                yield lines
                if not self.follow:
                    return
            yield from self._go_on(journal, run_id, after)

    def _go_on(self, journal: SqlJournal, run_id: str, after: int) -> Iterator[Sequence[Line]]:
        joiner = Joiner()
        while True:
            # Asked before: what is written when nobody writes any more is all there will be.
            over = not self.follow or not journal.driven(run_id)
            pieces = _Noted(journal.output(run_id, after=after, step=self.step, host=self.host), newest=after)
            lines: list[Line] = []
            for piece in pieces:
                lines += joiner.feed(piece)
                if len(lines) >= _LINES:
                    yield lines
                    lines = []
            if over or pieces.newest == after:  # what stands still is shown as far as it has come
                lines += joiner.rest()
            after = pieces.newest
            yield lines
            if over:
                break
            time.sleep(_POLL)
        if self.follow and journal.find(run_id).state in _OPEN:
            self.hint = f"nobody drives run {run_id} now: opsflow resume {run_id}"


class _Noted:
    """Pieces on their way, and the place of the newest that passed."""

    def __init__(self, pieces: Iterable[Printed], *, newest: int = 0) -> None:
        self.newest = newest
        self._pieces = pieces

    def __iter__(self) -> Iterator[Printed]:
        for piece in self._pieces:
            self.newest = max(self.newest, piece.n)
            yield piece


def _check(places: Sequence[tuple[str, str]], run_id: str, step: str, host: str) -> None:
    """Raise `InputError` unless there is a node of that step (empty: any) on that host (empty: any)."""
    for word, name, known in (("step", step, {s for s, _ in places}), ("host", host, {h for _, h in places})):
        if name and name not in known:
            raise InputError(
                f"run {run_id} has no {word} {name}", hint=did_you_mean(name, sorted(known)) or f"opsflow show {run_id}"
            )
    if step and host and (step, host) not in places:
        raise InputError(f"step {step} of run {run_id} is not on host {host}", hint=f"opsflow show {run_id}")
