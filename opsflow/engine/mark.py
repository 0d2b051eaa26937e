"""An operator's verdict on a node: what is written down, and where it is not his to give."""

from collections.abc import Mapping
from typing import Any

from opsflow.engine.machine import MARK_TABLE
from opsflow.engine.run import Run
from opsflow.events import NodeFinished
from opsflow.model import AttemptRecord, AttemptState, Failure, Mark, NodeState, Phase, Preview, RequestRecord


def refusal(node: str, state: NodeState, verdict: Mark) -> str:
    """Why a node in this state cannot be marked so; empty if it can.

    An operator says what opsflow does not know (`unknown`), or what he has mended by hand: a failed node as done, not
    needed or put back, a revert that failed as done. All else opsflow knows itself, or finds out when it goes on.
    """
    may = [marked for before, marked, _ in MARK_TABLE if before is state]
    if verdict in may:
        return ""
    if not may:
        return f"{node} is {state}: only a node that is unknown, failed or revert_failed can be marked"
    return f"{node} is {state}: it can be marked {' or '.join(may)}, not {verdict}"


def mark_as_asked(run: Run, request: RequestRecord) -> dict[str, Any]:
    """Do what a request to mark a node asks for.

    Returns:
        The answer: `node`, its state `before` and its `state` now; or `refused`, which says why nothing was done.
    """
    node, verdict = str(request.data["node"]), Mark(request.data["verdict"])
    status = run.nodes.get(node)
    if status is None:
        return {"refused": f"the run has no node {node}"}
    if refused := refusal(node, status.state, verdict):
        return {"refused": refused}
    before, why = status.state, str(request.data["why"])
    mark(run, node, verdict, outputs=request.data.get("outputs", {}), why=why, operator=request.operator)
    run.say(
        NodeFinished(
            run_id=run.id,
            node=node,
            state=status.state,
            phase=Phase.REVERT if verdict is Mark.REVERTED else Phase.EXECUTE,
            summary=f"marked by {request.operator}: {why}",
            outputs=status.outputs,
            error=status.error if status.state is NodeState.FAILED else None,
        )
    )
    return {"node": node, "before": str(before), "state": str(status.state)}


def mark(run: Run, node: str, verdict: Mark, *, outputs: Mapping[str, Any], why: str, operator: str) -> None:
    """Write the verdict down, as if opsflow had found it out.

    An attempt of unknown fate ends as the verdict says. One that failed stays so in its history, and one of a skipped
    node stays unknown: a rollback reverts both, for they may have changed something. Reverted means that all attempts
    are: for each a revert is written down that succeeded on the operator's word.
    """
    status = run.nodes[node]
    said = Failure(kind="Marked", message=f"marked {verdict} by {operator}: {why}")
    ends = {Mark.SUCCEEDED: AttemptState.SUCCEEDED, Mark.FAILED: AttemptState.FAILED}
    last = status.last(Phase.EXECUTE)
    error = said if verdict is Mark.FAILED else None
    given = outputs if verdict is Mark.SUCCEEDED else None
    if verdict in ends and last and last.state is AttemptState.UNKNOWN:
        run.end_attempt(last, ends[verdict], outputs=given, error=error)
    for attempt in status.to_revert() if verdict is Mark.REVERTED else ():
        _undo(run, attempt, said.message)
    run.move(node, f"mark_{verdict}", outputs=given, error=error)


def _undo(run: Run, attempt: AttemptRecord, said: str) -> None:
    written = run.begin_attempt(
        attempt.node,
        Phase.REVERT,
        params=attempt.params,
        preview=Preview.change(said),
        machine=attempt.machine,
        undone=attempt,
    )
    run.end_attempt(written, AttemptState.SUCCEEDED)
