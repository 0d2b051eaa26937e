"""The use case of an operator's verdict on a node."""

from collections.abc import Mapping, Sequence
from typing import Any

from opsflow.app import wiring
from opsflow.app.asking import (
    Answer,
    answer_to,
    loaded_run,
    no_answer,
    own_request,
    refuse_over,
    show_command,
    way_on,
)
from opsflow.app.settings import Settings
from opsflow.engine.mark import mark_as_asked, refusal
from opsflow.errors import InputError, Problem, TaskFailed
from opsflow.journal import SqlJournal
from opsflow.model import Asked, Mark, RunRecord
from opsflow.playbook import extra_variables
from opsflow.plugins.values import as_json
from opsflow.tomlfile import did_you_mean


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
        refuse_over(record)
        _refuse_node(node, verdict, record, journal)
        number = journal.ask(record.id, Asked.MARK, data, wiring.operator())
        answer = answer_to(journal, record.id, number)
        if answer is not None:
            return _marked(record.id, answer, show_command(record.id))
        if number is not None and journal.driven(record.id):
            return no_answer(record.id, f"mark {node}")
        journal.resume(record.id, wiring.operator(), hold=False)
        loaded = loaded_run(journal.find(record.id), journal)
        request = own_request(journal, record.id, Asked.MARK, data)
        answer = mark_as_asked(loaded, request)
        loaded.answer(request, answer)
        loaded.flush()
        journal.leave(record.id, release_hosts=False)
        return _marked(record.id, answer, way_on(loaded))


def _refuse_node(node: str, verdict: Mark, record: RunRecord, journal: SqlJournal) -> None:
    """Whoever drives the run knows better; but what is wrong at the first look need not be written down."""
    states = {found.id: found.state for found in journal.nodes(record.id)}
    if node not in states:
        hint = did_you_mean(node, states) or f"opsflow show {record.id} lists them: STEP@HOST"
        raise InputError([Problem(message=f"run {record.id} has no node {node}", hint=hint)])
    if refused := refusal(node, states[node], verdict):
        raise InputError(refused, hint=show_command(record.id))


def _outputs(verdict: Mark, given: Sequence[str]) -> Mapping[str, Any]:
    if given and verdict is not Mark.SUCCEEDED:
        raise InputError(f"only a node that is marked succeeded has outputs, this one is marked {verdict}")
    try:
        return as_json(extra_variables(given, option="--output"), "outputs")
    except TaskFailed as error:
        raise InputError(error.message, hint=error.hint) from error


def _marked(run_id: str, answer: Mapping[str, Any], hint: str) -> Answer:
    if refused := answer.get("refused"):
        raise InputError(str(refused), hint=show_command(run_id))
    return Answer(
        message=f"{answer['node']} was {answer['before']} and is {answer['state']} now",
        hint=hint,
        data={"run": run_id, **answer},
    )
