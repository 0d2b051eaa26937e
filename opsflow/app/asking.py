"""The use cases that ask something of a run which another process drives, or which none does any more."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opsflow.app import wiring
from opsflow.app.driving import load
from opsflow.app.pins import seen_keys
from opsflow.app.settings import Settings
from opsflow.app.stored import StoredPlan
from opsflow.engine.loop import Engine
from opsflow.engine.mark import mark_as_asked, refusal
from opsflow.engine.run import Run
from opsflow.engine.stop import Stop
from opsflow.errors import InputError, Problem, TaskFailed
from opsflow.journal import SqlJournal
from opsflow.model import Asked, Mark, NodeState, RequestRecord, RunRecord, RunState
from opsflow.playbook import extra_variables
from opsflow.plugins.values import as_json
from opsflow.tomlfile import did_you_mean

PATIENCE = 10.0
"""Seconds for which an answer is waited for; a process that drives a run listens once a second."""

_POLL = 0.1
_UNANSWERED = 1
_UNCERTAIN = 4
_ROLLED_BACK = 3
_OVER = frozenset({RunState.SUCCEEDED, RunState.ROLLED_BACK})
_ENDED = frozenset({RunState.FAILED, RunState.ROLLBACK_INCOMPLETE})
"""Only what an unknown node had begun may still run."""


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


def cancel(run: str, settings: Settings, *, kill: bool = False) -> Answer:
    """Ask the process that drives a run to stop, as Ctrl-C does once.

    Args:
        run: The run's id or the beginning of it.
        settings: How.
        kill: Also end on the hosts what runs. If nobody drives the run, this process does that.

    Raises:
        UnknownRun: there is no such run.
        InputError: the run is over, or nobody drives it.
        HostsHeld: somebody began to drive it at this moment, or another run holds its hosts.
    """
    with wiring.journal(settings) as journal:
        record = journal.find(run)
        _refuse_over(record)
        number = journal.ask(record.id, Asked.CANCEL, {"kill": kill}, wiring.operator())
        answer = _answer(journal, record.id, number)
        if answer is not None:
            return _stopping(record.id, answer)
        if number is not None and journal.driven(record.id):
            return _no_answer(record.id, "stop")
        record = journal.find(record.id)
        if record.state in _OVER:
            raise InputError(f"run {record.id} has ended meanwhile: it is {record.state}")
        if not kill:
            raise InputError(
                f"nobody drives run {record.id}: there is no process that could stop. It is {record.state}",
                hint=f"opsflow resume {record.id} goes on with it; "
                f"opsflow cancel {record.id} --kill ends what still runs of it on its hosts",
            )
        return _end_what_runs(record, settings, journal)


def mark(run: str, node: str, verdict: Mark, settings: Settings, *, why: str, outputs: Sequence[str] = ()) -> Answer:
    """Write down an operator's verdict on a node that is unknown, failed, or could not be reverted.

    Args:
        run: The run's id or the beginning of it.
        node: Id of the node.
        verdict: What is true of it.
        settings: How.
        why: How the operator knows.
        outputs: With `succeeded`: the outputs that later steps see; `NAME=TEXT`, `NAME:=TOML` or `@FILE` each.

    Raises:
        UnknownRun: there is no such run.
        InputError: the node cannot be marked so.
        HostsHeld: somebody began to drive the run at this moment.
    """
    given = _outputs(verdict, outputs)
    if not why.strip():
        raise InputError("say why: --why TEXT", hint="it is kept with the verdict, for those who ask later")
    data = {"node": node, "verdict": verdict, "why": why, "outputs": given}
    with wiring.journal(settings) as journal:
        record = journal.find(run)
        _refuse_over(record)
        _refuse_node(node, verdict, record, journal)
        number = journal.ask(record.id, Asked.MARK, data, wiring.operator())
        answer = _answer(journal, record.id, number)
        if answer is not None:
            return _marked(record.id, answer, _show(record.id))
        if number is not None and journal.driven(record.id):
            return _no_answer(record.id, f"mark {node}")
        journal.resume(record.id, wiring.operator(), hold=False)
        loaded = _loaded(journal.find(record.id), journal)
        request = _own_request(journal, record.id, Asked.MARK, data)
        answer = mark_as_asked(loaded, request)
        loaded.answer(request, answer)
        loaded.flush()
        journal.leave(record.id, release_hosts=False)
        return _marked(record.id, answer, _way_on(loaded))


# Asking


def _answer(journal: SqlJournal, run_id: str, number: int | None) -> Mapping[str, Any] | None:
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


def _own_request(journal: SqlJournal, run_id: str, what: Asked, data: Mapping[str, Any]) -> RequestRecord:
    """Write down what this process, which now drives the run, is about to do."""
    number = journal.ask(run_id, what, data, wiring.operator())
    return next(request for request in journal.requests(run_id) if request.id == number)


def _end_what_runs(record: RunRecord, settings: Settings, journal: SqlJournal) -> Answer:
    unknown = any(node.state is NodeState.UNKNOWN for node in journal.nodes(record.id))
    if record.state in _ENDED and not unknown:
        raise InputError(f"run {record.id} has ended, it is {record.state}: nothing of it runs", hint=_show(record.id))
    tasks = wiring.registry(settings)
    journal.resume(record.id, wiring.operator())
    run = _loaded(journal.find(record.id), journal)
    request = _own_request(journal, record.id, Asked.CANCEL, {"kill": True})
    with wiring.executor(settings, run.plan, tasks, (), pins=seen_keys(run)) as (executor, _):
        engine = Engine(run, executor=executor, journal=journal, renderer=wiring.renderer_for(run.plan), stop=Stop())
        unanswered = engine.cancel(request)
    asked = next(r.answer["at_work"] for r in journal.requests(record.id) if r.id == request.id)
    ended = [node for node in asked if node not in unanswered]
    why = {node: failure.message if failure else "" for node, failure in unanswered.items()}
    lines = [f"ended what ran of {_some(ended)}" if ended else "nothing was found that could be ended"]
    lines += [f"{node} may still run: {reason}" for node, reason in why.items()]
    return Answer(
        message="\n".join([f"nobody drove run {record.id}, it is {run.state}: {lines[0]}", *lines[1:]]),
        hint=f"opsflow cancel {record.id} --kill   once they answer" if unanswered else _way_on(run),
        data={"run": record.id, "state": str(run.state), "kill": True, "ended": ended, "unanswered": why},
        exit_code=_UNCERTAIN if unanswered else 0,
    )


def _loaded(record: RunRecord, journal: SqlJournal) -> Run:
    return load(record, StoredPlan.of(record.id, journal), ())


# Refusing


def _refuse_over(record: RunRecord) -> None:
    if record.state in _OVER or (record.state is RunState.FAILED and record.exit_code == _ROLLED_BACK):
        raise InputError(f"run {record.id} is over: it is {record.state}", hint=_show(record.id))


def _refuse_node(node: str, verdict: Mark, record: RunRecord, journal: SqlJournal) -> None:
    """Whoever drives the run knows better; but what is wrong at the first look need not be written down."""
    states = {found.id: found.state for found in journal.nodes(record.id)}
    if node not in states:
        hint = did_you_mean(node, states) or f"opsflow show {record.id} lists them: STEP@HOST"
        raise InputError([Problem(message=f"run {record.id} has no node {node}", hint=hint)])
    if refused := refusal(node, states[node], verdict):
        raise InputError(refused, hint=_show(record.id))


def _outputs(verdict: Mark, given: Sequence[str]) -> Mapping[str, Any]:
    if given and verdict is not Mark.SUCCEEDED:
        raise InputError(f"only a node that is marked succeeded has outputs, this one is marked {verdict}")
    try:
        return as_json(extra_variables(given, option="--output"), "outputs")
    except TaskFailed as error:
        raise InputError(error.message, hint=error.hint) from error


# Telling


def _stopping(run_id: str, answer: Mapping[str, Any]) -> Answer:
    at_work, kill = list(answer["at_work"]), bool(answer["kill"])
    does = "what runs is being ended of" if kill else "waiting for"
    return Answer(
        message=f"run {run_id} is stopping" + (f": {does} {_some(at_work)}" if at_work else ""),
        hint=f"opsflow resume {run_id}",
        data={"run": run_id, "state": "stopping", "kill": kill, "at_work": at_work},
    )


def _marked(run_id: str, answer: Mapping[str, Any], hint: str) -> Answer:
    if refused := answer.get("refused"):
        raise InputError(str(refused), hint=_show(run_id))
    return Answer(
        message=f"{answer['node']} was {answer['before']} and is {answer['state']} now",
        hint=hint,
        data={"run": run_id, **answer},
    )


def _no_answer(run_id: str, what: str) -> Answer:
    return Answer(
        message=f"run {run_id} was asked to {what}, but has not answered within {PATIENCE:g} s; it may still do so",
        hint=_show(run_id),
        data={"run": run_id, "state": "asked"},
        exit_code=_UNANSWERED,
    )


def _way_on(run: Run) -> str:
    left = run.in_state(NodeState.UNKNOWN)
    still = f"{_some(left)} still unknown; " if left else ""
    if run.state is RunState.ROLLBACK_INCOMPLETE:
        return f"{still}opsflow rollback {run.id}"
    return f"{still}opsflow resume {run.id}   or   opsflow rollback {run.id}"


def _show(run_id: str) -> str:
    return f"opsflow show {run_id}"


def _some(nodes: Sequence[str]) -> str:
    shown = ", ".join(nodes[:5]) + (", ..." if len(nodes) > 5 else "")
    return f"{len(nodes)} node{'' if len(nodes) == 1 else 's'}: {shown}"
