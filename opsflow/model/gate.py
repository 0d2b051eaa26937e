"""Gates: nodes that come to their turn and then wait until somebody approves."""

from enum import StrEnum

from opsflow.model.states import NodeState
from opsflow.model.work import Failure

_KIND = "Approval"


class Answer(StrEnum):
    """What somebody who is asked for an approval says. `LATER`: leave it open, and stop here."""

    APPROVE = "approve"
    REJECT = "reject"
    LATER = "later"


def approval(question: str) -> Failure:
    """Why a node at a gate is still pending."""
    return Failure(kind=_KIND, message=question)


def question_of(state: NodeState, error: Failure | None) -> str | None:
    """What a node waits for somebody to approve; None: it is not at a gate."""
    return error.message if state is NodeState.PENDING and error and error.kind == _KIND else None
