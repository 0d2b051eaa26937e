"""Gates: what waits for somebody's approval, and what follows from the answer.

A gate has no attempt: nothing is done on a host. That it waits is on record before anybody is told, and an answer is
one commit together with the request that brought it, so a run whose process dies in between waits on, or is through.
"""

from collections.abc import Mapping
from typing import Any

from opsflow.engine.run import Run
from opsflow.events import NodeWaiting
from opsflow.model import Answer, Asked, Failure, NodeState, Outcome, RequestRecord, approval, question_of
from opsflow.ports import Approver, Journal


class Gates:
    """The nodes of a run that wait in this session."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._came: dict[str, str] = {}

    @property
    def waiting(self) -> Mapping[str, str]:
        """What is asked, by node."""
        return {n: asked for n, asked in self._came.items() if self._run.nodes[n].state is NodeState.PENDING}

    def stop(self, prepared: Outcome) -> bool:
        """Whether a node has to wait at a gate; then it does."""
        node = prepared.job.node
        if not self._run.plan.task_of(node).gate:
            return False
        assert prepared.preview is not None
        question = prepared.preview.summary
        status = self._run.nodes[node]
        if question_of(status.state, status.error) != question:  # else an earlier session has written it down
            self._run.move(node, "wait", error=approval(question))
        self._came[node] = question
        self._run.say(NodeWaiting(run_id=self._run.id, node=node, step=status.step, question=question))
        return True


class Desk:
    """Asks whoever is at the terminal, one gate after the other. The answer is a request like any other's.

    Args:
        run: The run.
        journal: Where the request goes.
        approver: Who asks; None: nobody is there.
    """

    def __init__(self, run: Run, journal: Journal, approver: Approver | None) -> None:
        self._run = run
        self._journal = journal
        self._approver = approver
        self._asked: str | None = None
        self._answered = False

    def attend(self, waiting: Mapping[str, str]) -> bool:
        """Go on asking; whether it is worth waiting for an answer."""
        if self._approver is None:
            return False
        if self._asked not in waiting:
            if self._asked and not self._answered:
                self._approver.withdraw()  # somebody was quicker elsewhere
            self._asked, self._answered = next(iter(waiting), None), False
            if self._asked:
                self._approver.ask(self._asked, waiting[self._asked])
        return self._asked is not None and (self._answered or self._hear(self._approver, self._asked))

    def _hear(self, approver: Approver, node: str) -> bool:
        answer = approver.answer()
        if answer is Answer.LATER:
            self._approver = None
            return False
        if answer is not None:
            data = {"nodes": [node], "reject": answer is Answer.REJECT, "why": "at the terminal"}
            self._answered = self._journal.ask(self._run.id, Asked.APPROVE, data, approver.name) is not None
        return True


def refusal(node: str, state: NodeState, error: Failure | None) -> str:
    """Why a node cannot be approved or rejected; empty if it can."""
    return "" if question_of(state, error) is not None else f"{node} is {state} and waits for no approval"


def decide_as_asked(run: Run, request: RequestRecord, waiting: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Do what a request to approve or reject asks for.

    Args:
        run: The run.
        request: `nodes`, `reject`, and `why`.
        waiting: Those that wait in this session; None: nobody drives the run, and what is on record counts.

    Returns:
        The answer: `nodes` and their `state` now; or `refused`, which says why nothing was done.
    """
    nodes, reject, why = list(request.data["nodes"]), bool(request.data["reject"]), str(request.data["why"])
    for node in nodes:
        status = run.nodes.get(node)
        if status is None:
            return {"refused": f"the run has no node {node}"}
        if refused := refusal(node, status.state, status.error):
            return {"refused": refused}
        if waiting is not None and node not in waiting:
            return {"refused": f"{node} is being looked at at this moment: say it again"}
    for node in nodes:
        said = f"by {request.operator}" + (f": {why}" if why else "")
        if reject:
            run.move(node, "fail", error=Failure(kind="Rejected", message=f"rejected {said}"))
        else:
            at = request.at.isoformat(timespec="seconds").replace("+00:00", "Z")
            run.move(node, "approve", outputs={"by": request.operator, "at": at, "why": why})
    return {"nodes": nodes, "state": str(NodeState.FAILED if reject else NodeState.SUCCEEDED)}
