"""Runs of the journal for people."""

from collections import Counter
from collections.abc import Iterable, Sequence

from opsflow.events import NodeFinished
from opsflow.model import (
    Asked,
    AttemptRecord,
    NodeRecord,
    NodeState,
    Phase,
    RequestRecord,
    RollbackRecord,
    RunRecord,
    RunState,
)
from opsflow.report.lines import BROKEN, Lines
from opsflow.report.text import BOLD, DIM, Paint, columns, duration, moment, one_line, some

_EACH = 100
"""Nodes up to which each one gets a line of its own."""


def runs_lines(runs: Sequence[RunRecord], paint: Paint) -> list[str]:
    """A table of runs, in the order given."""
    if not runs:
        return ["no runs yet"]
    head = [paint(word, DIM) for word in ("RUN", "STATE", "COMMAND", "PLAYBOOK", "STARTED", "TOOK", "EXIT", "OPERATOR")]
    rows = [
        [
            run.id,
            paint.state(run.state),
            run.command,
            one_line(run.playbook),
            moment(run.started),
            _took(run),
            "-" if run.exit_code is None else str(run.exit_code),
            one_line(run.operator),
        ]
        for run in runs
    ]
    return columns([head, *rows])


def show_lines(
    run: RunRecord,
    nodes: Sequence[NodeRecord],
    rollbacks: Sequence[RollbackRecord],
    paint: Paint,
    *,
    requests: Iterable[RequestRecord] = (),
    driven: bool = False,
    verbose: bool = False,
    debug: bool = False,
) -> list[str]:
    """One run: head, nodes with their attempts, rollbacks, what operators asked for, failures, and what comes next."""
    counts = Counter(node.state for node in nodes)
    total = ", ".join(f"{counts[state]:,} {paint.state(state)}" for state in NodeState if counts[state])
    each = verbose or len(nodes) <= _EACH
    return [
        *_head(run, paint),
        "",
        *(_node_lines(nodes, paint) if each else _step_lines(nodes)),
        "",
        f"nodes: {total or 'none'}",
        *(_rollback_line(rollback, nodes) for rollback in rollbacks),
        *map(_request_line, requests),
        *_failures(run, nodes, paint, debug=debug, limit=None if each else 10),
        *(_meanwhile(run, paint) if driven else _next(run, paint)),
    ]


def _head(run: RunRecord, paint: Paint) -> list[str]:
    ended = "" if run.exit_code is None else f", exit code {run.exit_code}"
    facts = [
        ("playbook", one_line(run.playbook)),
        ("inventory", one_line(run.inventory)),
        ("operator", one_line(run.operator)),
        ("started", moment(run.started)),
        ("finished", f"{moment(run.finished)}  {_took(run)}" if run.finished else "-"),
        ("fingerprint", run.fingerprint),
    ]
    title = f"{paint(f'run {run.id}', BOLD)}: {run.command} {paint.state(run.state)}{ended}"
    return [title, *columns(facts, indent="  ")]


def _node_lines(nodes: Iterable[NodeRecord], paint: Paint) -> list[str]:
    rows = [(paint.state(n.state), n.id, n.task, " · ".join(map(_attempt, n.attempts))) for n in nodes]
    return columns(rows, indent="  ")


def _step_lines(nodes: Iterable[NodeRecord]) -> list[str]:
    steps: dict[str, Counter[NodeState]] = {}
    for node in nodes:
        steps.setdefault(node.step, Counter())[node.state] += 1
    rows = [(step, ", ".join(f"{n:,} {state}" for state, n in sorted(c.items()))) for step, c in steps.items()]
    return columns(rows, indent="  ")


def _attempt(attempt: AttemptRecord) -> str:
    took = duration((attempt.finished - attempt.started).total_seconds()) if attempt.finished else "not ended"
    status = f", exit {attempt.exit_status}" if attempt.exit_status else ""
    given = f", {one_line(str(attempt.turn))}" if attempt.turn else ""
    return f"{attempt.phase} {attempt.n} {attempt.state} ({took}{status}{given})"


def _rollback_line(rollback: RollbackRecord, nodes: Iterable[NodeRecord]) -> str:
    ended = {None: "not finished", True: "complete", False: "incomplete"}[rollback.complete]
    frozen = set(rollback.nodes)
    left = [n.id for n in nodes if n.id in frozen and n.state is not NodeState.REVERTED]
    stays = f"; left: {some(left, 10)}" if left and rollback.finished else ""
    return f"rollback of {one_line(rollback.scope)}: {ended}; {some(rollback.nodes, 5)}{stays}"


def _request_line(request: RequestRecord) -> str:
    data = request.data
    if request.what is Asked.MARK:
        what = f"{one_line(str(data.get('node')))} marked {data.get('verdict')}"
    else:
        what = "asked to stop" + (", and what ran to be ended" if data.get("kill") else "")
    why = f": {one_line(str(data['why']))}" if data.get("why") else ""
    refused = f" (refused: {one_line(str(request.answer['refused']))})" if request.answer.get("refused") else ""
    unheard = "" if request.applied else " (nobody took it up)"
    return f"{what} by {one_line(request.operator)} at {moment(request.at)}{why}{refused}{unheard}"


def _failures(
    run: RunRecord, nodes: Iterable[NodeRecord], paint: Paint, *, debug: bool, limit: int | None
) -> list[str]:
    """A block for every node that has an error of its own, also when it was reverted since."""
    lines = Lines(paint, debug=debug)
    told = []
    broken = [node for node in nodes if node.error and _failed_itself(node)]
    for node in broken[:limit]:
        phase = Phase.REVERT if node.state is NodeState.REVERT_FAILED else Phase.EXECUTE
        event = NodeFinished(run_id=run.id, node=node.id, state=node.state, phase=phase, error=node.error)
        told += ["", *lines.failure(event, shown=True)]
    if limit is not None and len(broken) > limit:
        told += ["", f"and {len(broken) - limit:,} more; -v shows all"]
    return told


def _failed_itself(node: NodeRecord) -> bool:
    return node.state in BROKEN or (node.state is NodeState.REVERTED and any(a.error for a in node.attempts))


def _meanwhile(run: RunRecord, paint: Paint) -> list[str]:
    """What can be done while a process drives the run."""
    follow, stop = paint(f"opsflow logs {run.id} -f", BOLD), paint(f"opsflow cancel {run.id}", BOLD)
    return ["", f"next: {follow}   or   {stop}"]


def _next(run: RunRecord, paint: Paint) -> list[str]:
    commands = {
        RunState.RUNNING: "resume",
        RunState.SUSPENDED: "resume",
        RunState.FAILED: "resume",
        RunState.ROLLING_BACK: "resume",
        RunState.ROLLBACK_INCOMPLETE: "rollback",
    }
    command = None if run.exit_code == 3 else commands.get(run.state)
    if run.state is RunState.ROLLED_BACK and run.exit_code == 1:
        command = "resume"  # what runs at the end has failed
    return ["", f"next: {paint(f'opsflow {command} {run.id}', BOLD)}"] if command else []


def _took(run: RunRecord) -> str:
    return duration((run.finished - run.started).total_seconds()) if run.finished else "-"
