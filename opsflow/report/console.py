"""For a terminal: what runs now, live, and above it a line for what is done.

A plan of a few nodes gets a line per node and every failure in full. A large one would scroll the failures away, so
it gets its first failures in full, some more by name, and at the end a line per step.
"""

import threading
import time
from collections import Counter
from typing import TextIO, cast

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from opsflow import events
from opsflow.events import Event
from opsflow.model import NodeState, Phase
from opsflow.report.lines import BROKEN, Lines
from opsflow.report.stream import LastingStream
from opsflow.report.text import Paint, columns, duration, one_line, plural

SMALL = 30
"""Nodes up to which each one gets its line."""

_FULL, _NAMED = 2, 5
_STDERR_LINES = 8
_SHOWN = 8
_BAR = 20
_SETTLED = frozenset(NodeState) - {NodeState.PENDING, NodeState.RUNNING, NodeState.REVERTING}


class Terminal:
    """Shows what happens on a terminal.

    Args:
        stream: The terminal.
        colour: Whether colours are allowed; `NO_COLOR` is heeded too.
        verbose: Also what commands print.
        debug: Tracebacks too.
    """

    def __init__(self, stream: TextIO, *, colour: bool = True, verbose: bool = False, debug: bool = False) -> None:
        paint = Paint.of(stream, allowed=colour)
        self._lines = Lines(paint, debug=debug)
        self._paint = paint
        self._verbose = verbose
        self._console = Console(
            file=cast("TextIO", LastingStream(stream)), force_terminal=True, highlight=False, no_color=not colour
        )
        self._lock = threading.Lock()  # the engine's thread tells, rich's thread draws
        self._live: Live | None = None
        self._board = _Board()
        self._broken = 0

    def __call__(self, event: Event) -> None:
        """Show an event."""
        with self._lock:
            self._board.take(event)
            said = self._words(event)
        if isinstance(event, events.RunFinished):
            self.pause()
        elif self._live is None:
            self._live = Live(
                console=self._console,
                get_renderable=self._draw,
                refresh_per_second=4,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        for line in said:
            self._console.print(Text.from_ansi(line), soft_wrap=True)

    def pause(self) -> None:
        """Take the live part away; the next event brings it back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.pause()

    def _words(self, event: Event) -> list[str]:
        match event:
            case events.NodeStarted() | events.NodeFollowed():
                self._lines.say(event)
                return []  # the live part shows it
            case events.NodeOutput() if not (self._verbose or (event.stream == "log" and self._small)):
                return []
            case events.NodeFinished() if not self._small:
                return self._lines.rest(event.node) + (self._failure(event) if event.state in BROKEN else [])
            case events.NodeRetrying() if not self._small:
                return self._lines.rest(event.node)
            case events.RunFinished():
                return self._summary() + self._lines.say(event)
        return self._lines.say(event)

    @property
    def _small(self) -> bool:
        return self._board.nodes <= SMALL

    def _failure(self, event: events.NodeFinished) -> list[str]:
        self._broken += 1
        if self._broken <= _FULL:
            return self._lines.failure(event, _STDERR_LINES)
        return [self._lines.finished(event)] if self._broken <= _NAMED else []

    def _summary(self) -> list[str]:
        """What a large run left unsaid: a line per step, and how many failures were not shown."""
        if self._small:
            return []
        lines = [f"and {plural(self._broken - _NAMED, 'failure')} more"] if self._broken > _NAMED else []
        steps: dict[str, Counter[NodeState]] = {}
        for node, state in self._board.states.items():
            steps.setdefault(node.partition("@")[0].partition("[")[0], Counter())[state] += 1
        if len(steps) <= SMALL:
            rows = [(step, ", ".join(f"{n:,} {state}" for state, n in sorted(c.items()))) for step, c in steps.items()]
            lines += columns(rows, indent="  ")
        return lines

    def _draw(self) -> Group:
        with self._lock:
            lines = self._board.draw(self._paint)
        return Group(*(Text.from_ansi(line, no_wrap=True, overflow="ellipsis") for line in lines))


class _Board:
    """What is known of the nodes at this moment."""

    def __init__(self) -> None:
        self.nodes = 0
        self.states: dict[str, NodeState] = {}
        self._counts: Counter[NodeState] = Counter()
        self._running: dict[str, float] = {}
        self._doing: dict[str, str] = {}
        self._planned = 0
        self._to_revert = 0
        self._began = time.monotonic()

    def take(self, event: Event) -> None:
        """Learn from an event."""
        match event:
            case events.NodePlanned():
                self._planned += 1
            case events.RunStarted():
                self.nodes, self._began = event.nodes, time.monotonic()
            case events.NodeStarted() | events.NodeFollowed():
                self._running[event.node] = time.monotonic()
                self._doing[event.node] = event.summary
                self._put(event.node, NodeState.REVERTING if event.phase is Phase.REVERT else NodeState.RUNNING)
            case events.NodeOutput() if event.node in self._running and event.text.strip():
                self._doing[event.node] = event.text[-500:].strip().splitlines()[-1]
            case events.NodeProgressed() if event.node in self._running and event.total > 0:
                self._doing[event.node] = f"{event.done / event.total:.0%}"
            case events.NodeFinished():
                self._running.pop(event.node, None)
                self._doing.pop(event.node, None)
                self._put(event.node, event.state)
            case events.RollbackBegan():
                self._to_revert += len(event.nodes)

    def draw(self, paint: Paint) -> list[str]:
        """The live part: a line with the totals, and the nodes that have run longest."""
        if not self.nodes:
            return [f"looking: {plural(self._planned, 'node')}"]
        now = time.monotonic()
        total = self._to_revert or self.nodes
        back = (NodeState.REVERTED, NodeState.REVERT_FAILED)
        done = sum(n for state, n in self._counts.items() if state in (back if self._to_revert else _SETTLED))
        filled = min(_BAR * done // total, _BAR)
        counts = "  ".join(
            f"{paint.state(state)} {self._counts[state]:,}" for state in NodeState if self._counts[state]
        )
        lines = [f"[{'#' * filled}{'.' * (_BAR - filled)}] {done:,}/{total:,}  {counts}  {duration(now - self._began)}"]
        for node, began in list(self._running.items())[:_SHOWN]:
            lines.append(f"  {node}  {duration(now - began)}  {one_line(self._doing[node])}")
        if len(self._running) > _SHOWN:
            lines.append(f"  and {len(self._running) - _SHOWN:,} more")
        return lines

    def _put(self, node: str, state: NodeState) -> None:
        before = self.states.get(node)
        if before is not None:
            self._counts[before] -= 1
        self.states[node] = state
        self._counts[state] += 1
