"""Asking something of a run: which another process drives, or none does any more."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opsflow.app import wiring
from opsflow.app.driving import load
from opsflow.app.stored import StoredPlan
from opsflow.engine.conclude import put_back_by_hand
from opsflow.engine.run import Run
from opsflow.errors import InputError, JournalConflict
from opsflow.journal import SqlJournal
from opsflow.model import EXIT_ROLLED_BACK, OVER, Asked, NodeState, RequestRecord, RunRecord, RunState

PATIENCE = 10.0
"""Seconds for which an answer is waited for; a process that drives a run listens once a second."""

_POLL = 0.1
_UNANSWERED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of asking.

    Attributes:
        message: For the operator.
        hint: What he types next.
        data: For programs, JSON-able.
        exit_code: 1: no answer came in time; 4: it is not known of a node that it has ended.
    """

    message: str
    hint: str
    data: Mapping[str, Any] = field(default_factory=dict)
    exit_code: int = 0


def answer_to(journal: SqlJournal, run_id: str, number: int | None) -> Mapping[str, Any] | None:
    """What was answered to a request; None: nothing in time, or whoever was asked is gone."""
    ends = time.monotonic() + PATIENCE
    while number is not None:
        driven = journal.driven(run_id)  # before the look: an answer may be the last thing that it writes
        found = next(request for request in journal.requests(run_id) if request.id == number)
        if found.applied is not None:
            return found.answer
        if not driven or time.monotonic() > ends:
            return None
        time.sleep(_POLL)
    return None


def own_request(journal: SqlJournal, run_id: str, what: Asked, data: Mapping[str, Any]) -> RequestRecord:
    """Write down what this process, which now drives the run, is about to do.

    Raises:
        JournalConflict: it slept, and somebody else has taken the run over meanwhile.
    """
    number = journal.ask(run_id, what, data, wiring.operator())
    for request in journal.requests(run_id):
        if request.id == number:
            return request
    raise JournalConflict(f"another process took run {run_id} over", hint=show_command(run_id))


def loaded_run(record: RunRecord, journal: SqlJournal) -> Run:
    """The run as an earlier session left it."""
    return load(record, StoredPlan.of(record.id, journal), ())


def refuse_over(record: RunRecord) -> None:
    """Refuse to ask anything of a run that is over. Raises `InputError`."""
    if record.state in OVER or (record.state is RunState.FAILED and record.exit_code == EXIT_ROLLED_BACK):
        raise InputError(f"run {record.id} is over: it is {record.state}", hint=show_command(record.id))


def no_answer(run_id: str, what: str) -> Answer:
    """Whoever drives the run has said nothing in time."""
    return Answer(
        message=f"run {run_id} was asked to {what}, but has not answered within {PATIENCE:g} s; it may still do so",
        hint=show_command(run_id),
        data={"run": run_id, "state": "asked"},
        exit_code=_UNANSWERED,
    )


def way_on(run: Run) -> str:
    """What the operator does next with a run that nobody drives."""
    left = run.in_state(NodeState.UNKNOWN)
    still = f"{some(left)} still unknown; " if left else ""
    if run.state is RunState.ROLLBACK_INCOMPLETE or put_back_by_hand(run):
        return f"{still}opsflow rollback {run.id}"
    return f"{still}opsflow resume {run.id}   or   opsflow rollback {run.id}"


def show_command(run_id: str) -> str:
    """What tells all of a run."""
    return f"opsflow show {run_id}"


def some(nodes: Sequence[str]) -> str:
    """How many nodes there are, and a few of their names."""
    shown = ", ".join(nodes[:5]) + (", ..." if len(nodes) > 5 else "")
    return f"{len(nodes)} node{'' if len(nodes) == 1 else 's'}: {shown}"
