"""Runs of the journal for people."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from shlex import quote

from opsflow.events import NodeFinished
from opsflow.model import (
    EXIT_ROLLED_BACK,
    Asked,
    AttemptRecord,
    BatchRecord,
    NodeRecord,
    NodeState,
    Phase,
    RequestRecord,
    RollbackRecord,
    RunRecord,
    RunState,
    question_of,
)
from opsflow.plan import Accepted
from opsflow.report.lines import BROKEN, Lines
from opsflow.report.text import (
    BOLD,
    DIM,
    WARN,
    Paint,
    clean,
    columns,
    duration,
    moment,
    one_line,
    plural,
    scope_words,
    some,
)

_DIFFERENCES = 10
_BATCHES = 10
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
    requests: Sequence[RequestRecord] = (),
    at_end: Collection[str] = (),
    accepted: Iterable[Accepted] = (),
    left_out: Sequence[str] = (),
    batches: Sequence[BatchRecord] = (),
    driven: bool = False,
    verbose: bool = False,
    debug: bool = False,
) -> list[str]:
    """One run: head, nodes with their attempts, rollbacks, what operators asked for, failures, and what comes next.

    Args:
        run: The run.
        nodes: Its nodes, in the order of the plan.
        rollbacks: Its rollbacks.
        paint: Colours.
        requests: What operators asked for.
        at_end: Steps that run when nothing else is left (`finally`).
        accepted: Changes of its plan.
        left_out: Nodes that were not selected.
        batches: In which it is rolled out.
        driven: A process drives it.
        verbose: Say it of every node, however many there are.
        debug: With tracebacks.
    """
    counts = Counter(node.state for node in nodes)
    total = ", ".join(f"{counts[state]:,} {paint.state(state)}" for state in NodeState if counts[state])
    each = verbose or len(nodes) <= _EACH
    return [
        *_head(run, paint),
        "",
        *(_node_lines(nodes, at_end, paint) if each else _step_lines(nodes, at_end)),
        "",
        f"nodes: {total or 'none'}",
        *_batch_lines(batches, None if verbose else _BATCHES),
        *([f"left out: {some(left_out, len(left_out) if verbose else 5)}"] if left_out else []),
        *(_rollback_line(rollback, nodes) for rollback in rollbacks),
        *(line for plan in accepted for line in _accepted_lines(plan)),
        *map(_request_line, requests),
        *_waiting_lines(run, nodes, paint),
        *_failures(run, nodes, paint, debug=debug, limit=None if each else 10),
        *(_meanwhile(run, paint) if driven else _next(run, nodes, rollbacks, requests, paint)),
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


def _node_lines(nodes: Iterable[NodeRecord], at_end: Collection[str], paint: Paint) -> list[str]:
    rows = [
        (paint.state(n.state), f"{n.id} (finally)" if n.step in at_end else n.id, n.task, _history(n)) for n in nodes
    ]
    return columns(rows, indent="  ")


def _history(node: NodeRecord) -> str:
    if question_of(node.state, node.error) is not None:
        return "waits for approval"
    by = node.outputs.get("by") if node.state is NodeState.SUCCEEDED and not node.attempts else None
    return (
        f"approved by {one_line(str(by))} at {node.outputs.get('at')}"
        if by
        else " · ".join(map(_attempt, node.attempts))
    )


def _step_lines(nodes: Iterable[NodeRecord], at_end: Collection[str]) -> list[str]:
    steps: dict[str, Counter[NodeState]] = {}
    for node in nodes:
        name = f"{node.step} (finally)" if node.step in at_end else node.step
        steps.setdefault(name, Counter())[node.state] += 1
    rows = [(step, ", ".join(f"{n:,} {state}" for state, n in sorted(c.items()))) for step, c in steps.items()]
    return columns(rows, indent="  ")


def _attempt(attempt: AttemptRecord) -> str:
    took = duration((attempt.finished - attempt.started).total_seconds()) if attempt.finished else "not ended"
    status = f", exit {attempt.exit_status}" if attempt.exit_status else ""
    given = f", {one_line(str(attempt.turn))}" if attempt.turn else ""
    where = f" on {one_line(attempt.on)}" if attempt.on else ""
    return f"{attempt.phase} {attempt.n} {attempt.state}{where} ({took}{status}{given})"


def _batch_lines(batches: Sequence[BatchRecord], limit: int | None) -> list[str]:
    """Those that have begun, the newest of them if they are many, and how many have not."""
    begun = [batch for batch in batches if batch.state != "pending"]
    lines = [_batch_line(batch, len(batches)) for batch in begun[-limit if limit else 0 :]]
    if len(begun) > len(lines):
        failed = sum(map(len, (batch.failed for batch in begun[: -len(lines)])))
        lines.insert(0, f"batches 1 to {len(begun) - len(lines)}: done, {plural(failed, 'unit')} failed; -v shows all")
    if left := batches[len(begun) :]:
        named = some([one_line(unit) for batch in left for unit in batch.units], 5)
        lines.append(f"not begun: {len(left):,} of {len(batches):,} batches: {named}")
    return lines


def _batch_line(batch: BatchRecord, total: int) -> str:
    well = [one_line(unit) for unit in batch.units if unit not in batch.failed]
    parts = [f"failed: {some(map(one_line, batch.failed), 10)}"] if batch.failed else []
    parts += [f"{'at work' if batch.state == 'begun' else 'done'}: {some(well, 5)}"] if well else []
    return f"batch {batch.number} of {total}: {'; '.join(parts)}"


def _rollback_line(rollback: RollbackRecord, nodes: Iterable[NodeRecord]) -> str:
    ended = {None: "not finished", True: "complete", False: "incomplete"}[rollback.complete]
    frozen = set(rollback.nodes)
    left = [n.id for n in nodes if n.id in frozen and n.state is not NodeState.REVERTED]
    stays = f"; left: {some(left, 10)}" if left and rollback.finished else ""
    return f"rollback of {scope_words(rollback.scope)}: {ended}; {some(rollback.nodes, 5)}{stays}"


def _request_line(request: RequestRecord) -> str:
    data = request.data
    match request.what:
        case Asked.MARK:
            what = f"{one_line(str(data.get('node')))} marked {data.get('verdict')}"
        case Asked.APPROVE:
            said = "rejected" if data.get("reject") else "approved"
            what = f"{some(map(one_line, data.get('nodes', ())), 5)} {said}"
        case Asked.PAUSE:
            what = "asked to pause"
        case _:
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
        on = node.attempts[-1].on if node.attempts else ""
        event = NodeFinished(run_id=run.id, node=node.id, state=node.state, phase=phase, error=node.error, on=on)
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


def _accepted_lines(plan: Accepted) -> list[str]:
    lines = [f"plan {plan.number}: its changes accepted by {one_line(plan.operator)} at {moment(plan.at)}"]
    lines += [f"    {clean(str(difference))}" for difference in plan.differences[:_DIFFERENCES]]
    more = len(plan.differences) - _DIFFERENCES
    return [*lines, f"    and {more} more (--output json tells all)"] if more > 0 else lines


def _waiting_lines(run: RunRecord, nodes: Iterable[NodeRecord], paint: Paint) -> list[str]:
    """What somebody has to approve, and how."""
    steps: dict[str, tuple[str, str]] = {}
    for node in nodes:
        if (question := question_of(node.state, node.error)) is not None:
            steps.setdefault(node.step, (node.id, question))
    lines: list[str] = []
    for step, (node_id, question) in steps.items():
        how = f"opsflow approve {run.id} {quote(step)}"
        lines += [
            "",
            f"{paint('waiting', WARN)} {one_line(node_id)}: {one_line(question)}",
            f"    approve  {paint(how, BOLD)}   (--reject refuses it)",
        ]
    return lines


def _nothing_left_to_revert(
    nodes: Iterable[NodeRecord], rollbacks: Iterable[RollbackRecord], requests: Iterable[RequestRecord]
) -> bool:
    """Whether another rollback would leave what the last one left: nothing was in its way that could be mended."""
    ended = max((rollback.finished for rollback in rollbacks if rollback.finished), default=None)
    since = (r for r in requests if r.what is Asked.MARK and r.applied and (ended is None or r.applied > ended))
    mendable = {NodeState.REVERT_FAILED, NodeState.UNKNOWN}
    return not mendable.intersection(node.state for node in nodes) and not any(since)


def _next(
    run: RunRecord,
    nodes: Sequence[NodeRecord],
    rollbacks: Sequence[RollbackRecord],
    requests: Iterable[RequestRecord],
    paint: Paint,
) -> list[str]:
    commands = {
        RunState.RUNNING: "resume",
        RunState.SUSPENDED: "resume",
        RunState.FAILED: "resume",
        RunState.ROLLING_BACK: "resume",
        RunState.ROLLBACK_INCOMPLETE: "rollback",
    }
    command = None if run.exit_code == EXIT_ROLLED_BACK else commands.get(run.state)
    rolled_back = {node for rollback in rollbacks for node in rollback.nodes}
    by_hand = any(node.state is NodeState.REVERTED and node.id not in rolled_back for node in nodes)
    if command == "rollback" and _nothing_left_to_revert(nodes, rollbacks, requests):
        way = paint(f"opsflow apply PLAYBOOK --abandon {run.id}", BOLD)
        return ["", f"next: put back by hand what is left, then {way}"]
    if command and by_hand:
        command = "rollback"  # nothing begins over what was put back: there is no other end
    if command == "resume" and any(question_of(node.state, node.error) is not None for node in nodes):
        return ["", f"then: {paint(f'opsflow resume {run.id}', BOLD)}"]
    if run.state is RunState.ROLLED_BACK and run.exit_code == 1:
        command = "resume"  # what runs at the end has failed
    return ["", f"next: {paint(f'opsflow {command} {run.id}', BOLD)}"] if command else []


def _took(run: RunRecord) -> str:
    return duration((run.finished - run.started).total_seconds()) if run.finished else "-"
