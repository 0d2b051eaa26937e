"""Events in words: the lines that the terminal and the pipe have in common."""

import shlex
from datetime import datetime
from functools import singledispatchmethod
from shlex import quote

from opsflow import events
from opsflow.model import SCOPE_RUN, Failure, NodeState, Phase
from opsflow.report.text import BOLD, DIM, WARN, Paint, clean, duration, last_lines, one_line, plural, scope_words, some

STDERR_LINES = 20
BROKEN = frozenset({NodeState.FAILED, NodeState.UNKNOWN, NodeState.REVERT_FAILED})
"""States that a failure block goes with."""

_DIFFERENCES = 30

_WIDTH = len("succeeded")
_LONGEST = 64 * 1024
"""Characters after which a line is shown though its end has not come."""


class Lines:
    """Writes events in words.

    Args:
        paint: Colours.
        debug: Show tracebacks too.
    """

    def __init__(self, paint: Paint, *, debug: bool = False) -> None:
        self._paint = paint
        self._debug = debug
        self._began: dict[str, datetime] = {}
        self._unfinished: dict[tuple[str, str], str] = {}  # lines, by node and stream

    @singledispatchmethod
    def say(self, event: events.Event) -> list[str]:  # noqa: ARG002 - of other events there is nothing to say
        """The event's lines; more than one only for failures, output and the end."""
        return []

    @say.register
    def _(self, event: events.RunStarted) -> list[str]:
        what = f"{one_line(event.playbook)}: {plural(event.nodes, 'node')} on {plural(event.hosts, 'host')}"
        return [f"{self._paint(event.command, BOLD)} {what} {self._paint(f'(run {event.run_id})', DIM)}"]

    @say.register
    def _(self, event: events.NodeStarted) -> list[str]:
        self._began[event.node] = event.at
        again = f", attempt {event.n}" if event.n > 1 else ""
        doing = "reverting" if event.phase is Phase.REVERT else "running"
        return [f"{self._paint(doing.ljust(_WIDTH), DIM)} {event.node}{again}{_about(event.summary)}"]

    @say.register
    def _(self, event: events.NodeFollowed) -> list[str]:
        self._began[event.node] = event.since
        head = self._paint("following".ljust(_WIDTH), DIM)
        began = f"began {duration((event.at - event.since).total_seconds())} ago"
        return [f"{head} {event.node}{_about(event.summary)} {self._paint(f'({began})', DIM)}"]

    @say.register
    def _(self, event: events.NodeFinished) -> list[str]:
        return self.rest(event.node) + (self.failure(event) if event.state in BROKEN else [self.finished(event)])

    @say.register
    def _(self, event: events.NodeWaiting) -> list[str]:
        head = self._paint("waiting".ljust(_WIDTH), WARN)
        how = f"opsflow approve {event.run_id} {quote(event.step)}"
        return [
            f"{head} {event.node}: {one_line(event.question)}",
            *self._fact("approve", f"{how}   (--reject refuses it)"),
        ]

    @say.register
    def _(self, event: events.NodeRetrying) -> list[str]:
        why = _about(event.error.message) if event.error else ""
        head = self._paint("retrying".ljust(_WIDTH), WARN)
        line = f"{head} {event.node} in {duration(event.delay)}, attempt {event.n} failed{why}"
        return [*self.rest(event.node), line]

    @say.register
    def _(self, event: events.NodeOutput) -> list[str]:
        key = event.node, event.stream
        *lines, begun = (self._unfinished.pop(key, "") + event.text).split("\n")
        if begun and (event.stream == "log" or len(begun) > _LONGEST):
            lines.append(begun)
        elif begun:
            self._unfinished[key] = begun
        return [self._printed(event.node, line) for line in lines]

    @say.register
    def _(self, event: events.BatchBegan) -> list[str]:
        head = self._paint("batch", BOLD)
        return [f"{head} {event.number} of {event.total}: {one_line(some(event.units, 10))}"]

    @say.register
    def _(self, event: events.RolloutPaused) -> list[str]:
        return [f"{self._paint('pausing', DIM)} {duration(event.delay)} before batch {event.number}"]

    @say.register
    def _(self, event: events.RolloutStopped) -> list[str]:
        head = self._paint("rollout stopped", WARN)
        permitted = "none may" if not event.max_failures else f"{event.max_failures:,} may"
        failed = f"{one_line(some(event.failed, 10))} failed, and {permitted}"
        left = "1 batch" if event.left == 1 else f"{event.left:,} batches"
        return [f"{head}: {failed}; {left} not begun"]

    @say.register
    def _(self, event: events.RollbackBegan) -> list[str]:
        if not event.nodes and event.scope != SCOPE_RUN:
            return []  # it is closed: nothing more of it begins, which its blocked nodes say
        head = self._paint("rolling back", WARN)
        return [f"{head} {scope_words(event.scope)}: {plural(len(event.nodes), 'node')}{_about(event.cause)}"]

    @say.register
    def _(self, event: events.PlanChanged) -> list[str]:
        lines = [f"{self._paint('changed', WARN)} the run goes on with what its files say now (run {event.run_id}):"]
        lines += [f"    {clean(str(difference))}" for difference in event.differences[:_DIFFERENCES]]
        more = len(event.differences) - _DIFFERENCES
        lines += [f"    and {more} more"] if more > 0 else []
        said = {"joins it": event.added, "is begun no more": event.removed, "is done and stays as it is": event.kept}
        return lines + [f"    {what}: {some(nodes, 10)}" for what, nodes in said.items() if nodes]

    @say.register
    def _(self, event: events.RunStopping) -> list[str]:
        head = self._paint("stopping", WARN) + (f", as {one_line(event.by)} asked" if event.by else "")
        head += f" ({one_line(event.why)})" if event.why else ""
        if not event.running:
            return [head]
        does = "ending" if event.kill else "waiting for"
        return [f"{head}: {does} {some(event.running)}; Ctrl-C again leaves them to themselves"]

    @say.register
    def _(self, event: events.ListenerFailed) -> list[str]:
        head = self._paint("warning", WARN)
        return [f"{head} {one_line(event.listener)} listens no more: {one_line(event.error)}"]

    @say.register
    def _(self, event: events.HostKeyAccepted) -> list[str]:
        head = self._paint("warning", WARN)
        return [f"{head} {event.where} was not known; its key is accepted: {event.key} ({event.file})"]

    @say.register
    def _(self, event: events.InventoryNoticed) -> list[str]:
        head = self._paint("warning", WARN)
        notice = event.notice
        where, hint = f"{notice.position}: " if notice.position else "", f"; {notice.hint}" if notice.hint else ""
        return [f"{head} {one_line(f'{where}{notice.message}{hint}')}"]

    @say.register
    def _(self, event: events.RunFinished) -> list[str]:
        counts = ", ".join(f"{event.counts[state]:,} {state}" for state in NodeState if event.counts.get(state))
        where = self._paint(f"  (run {event.run_id}, exit code {event.exit_code})", DIM)
        lines = [self._paint.state(event.state) + (f": {counts}" if counts else "") + where]
        if event.left:
            stays = "their change stays, as it cannot be undone, its revert failed, or one of these depends on it"
            lines.insert(0, f"{self._paint('left', WARN)} {some(event.left, 10)}: {stays}")
        return [*lines, f"next: {self._paint(clean(event.hint), BOLD)}"] if event.hint else lines

    def rest(self, node: str) -> list[str]:
        """What a node printed last, without a newline."""
        found = [self._unfinished.pop((node, stream), "") for stream in ("stdout", "stderr")]
        return [self._printed(node, line) for line in found if line]

    def finished(self, event: events.NodeFinished) -> str:
        """A node has come to a state: one line."""
        began = self._began.pop(event.node, None)
        took = self._paint(f"  {duration((event.at - began).total_seconds())}", DIM) if began else ""
        about = event.error.message if event.error else event.summary
        return f"{self._paint.state(event.state, _WIDTH)} {event.node}{_about(about)}{took}"

    def failure(
        self, event: events.NodeFinished, stderr_lines: int = STDERR_LINES, *, shown: bool = False
    ) -> list[str]:
        """Everything about a failed node; `shown`: the reader is looking at the run already."""
        error = event.error or Failure(kind="", message="")
        step, _, host = event.node.rpartition("@")
        status = "" if error.exit_status is None else str(error.exit_status)
        stderr = "\n".join(last_lines(error.stderr, stderr_lines))
        logs = f"opsflow logs {event.run_id} --step {quote(step.partition('[')[0])} --host {quote(host)}"
        facts = [
            ("step", f"{step} at {event.source}" if event.source else step),
            ("host", f"{host}, on {event.on}" if event.on else host),
            ("command", clean(error.command).strip()),
            ("exit", status),
            ("stderr", stderr),
            ("hint", clean(error.hint)),
            ("trace", clean(error.trace) if self._debug else ""),
            ("output", logs if shown else ""),
            ("mark", _how_to_mark(event) if shown else ""),
            ("next", "" if shown else f"opsflow show {event.run_id}"),
        ]
        lines = [self.finished(event)]
        for name, value in facts:
            if value:
                lines += self._fact(name, value)
        return lines

    def _printed(self, node: str, line: str) -> str:
        return f"{self._paint(f'{node} |', DIM)} {clean(line.removesuffix(chr(13)))}"

    def _fact(self, name: str, value: str) -> list[str]:
        first, *rest = value.splitlines()
        pad = " " * 8
        return [f"    {self._paint(name.ljust(8), DIM)} {first}", *(f"    {pad} {line}" for line in rest)]


def _how_to_mark(event: events.NodeFinished) -> str:
    verdicts = {
        NodeState.UNKNOWN: "succeeded|failed|skipped|reverted --why TEXT   if you know what became of it",
        NodeState.REVERT_FAILED: "reverted --why TEXT   once you have put it back by hand",
    }
    found = verdicts.get(event.state)
    return f"opsflow mark {event.run_id} {shlex.quote(event.node)} {found}" if found else ""


def _about(text: str) -> str:
    return f": {one_line(text)}" if text else ""
