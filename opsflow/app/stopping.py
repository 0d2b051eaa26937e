"""The use cases that stop a run which another process drives, or end what is left of one."""

from collections.abc import Mapping
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
    some,
    way_on,
)
from opsflow.app.compiling import registry
from opsflow.app.pins import seen_keys
from opsflow.app.settings import Settings
from opsflow.engine.loop import Engine
from opsflow.engine.stop import Stop
from opsflow.errors import InputError
from opsflow.journal import SqlJournal
from opsflow.model import OVER, Asked, NodeState, RunRecord, RunState

_UNCERTAIN = 4
_ENDED = frozenset({RunState.FAILED, RunState.ROLLBACK_INCOMPLETE})
"""Only what an unknown node had begun may still run."""


def pause(run: str, settings: Settings, *, why: str = "") -> Answer:
    """Ask the process that drives a run to begin nothing more, and to suspend the run once what is at work has ended.

    Args:
        run: The run's id or the beginning of it.
        settings: How.
        why: For those who find it suspended; kept.

    Raises:
        UnknownRun: there is no such run.
        InputError: the run is over, or nobody drives it.
    """
    with wiring.journal(settings) as journal:
        record = journal.find(run)
        refuse_over(record)
        number = journal.ask(record.id, Asked.PAUSE, {"why": why} if why else {}, wiring.operator())
        answer = answer_to(journal, record.id, number)
        if answer is not None:
            return _stopping(record.id, answer, "will be suspended")
        if number is not None and journal.driven(record.id):
            return no_answer(record.id, "pause")
        record = journal.find(record.id)
        if record.state in OVER:
            raise InputError(f"run {record.id} has ended meanwhile: it is {record.state}")
        raise InputError(
            f"nobody drives run {record.id}: nothing of it is begun. It is {record.state}",
            hint=f"opsflow resume {record.id} goes on with it",
        )


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
        refuse_over(record)
        number = journal.ask(record.id, Asked.CANCEL, {"kill": kill}, wiring.operator())
        answer = answer_to(journal, record.id, number)
        if answer is not None:
            return _stopping(record.id, answer)
        if number is not None and journal.driven(record.id):
            return no_answer(record.id, "stop")
        record = journal.find(record.id)
        if record.state in OVER:
            raise InputError(f"run {record.id} has ended meanwhile: it is {record.state}")
        if not kill:
            raise InputError(
                f"nobody drives run {record.id}: there is no process that could stop. It is {record.state}",
                hint=f"opsflow resume {record.id} goes on with it; "
                f"opsflow cancel {record.id} --kill ends what still runs of it on its hosts",
            )
        return _end_what_runs(record, settings, journal)


def _end_what_runs(record: RunRecord, settings: Settings, journal: SqlJournal) -> Answer:
    unknown = any(node.state is NodeState.UNKNOWN for node in journal.nodes(record.id))
    if record.state in _ENDED and not unknown:
        raise InputError(
            f"run {record.id} has ended, it is {record.state}: nothing of it runs", hint=show_command(record.id)
        )
    tasks = registry(settings)
    journal.resume(record.id, wiring.operator())
    run = loaded_run(journal.find(record.id), journal)
    request = own_request(journal, record.id, Asked.CANCEL, {"kill": True})
    with wiring.executor(settings, run.plan, tasks, (), pins=seen_keys(run)) as (executor, _):
        engine = Engine(run, executor=executor, journal=journal, renderer=wiring.renderer_for(run.plan), stop=Stop())
        unanswered = engine.cancel(request)
    asked = next(r.answer["at_work"] for r in journal.requests(record.id) if r.id == request.id)
    ended = [node for node in asked if node not in unanswered]
    why = {node: failure.message if failure else "" for node, failure in unanswered.items()}
    lines = [f"ended what ran of {some(ended)}" if ended else "nothing was found that could be ended"]
    lines += [f"{node} may still run: {reason}" for node, reason in why.items()]
    return Answer(
        message="\n".join([f"nobody drove run {record.id}, it is {run.state}: {lines[0]}", *lines[1:]]),
        hint=f"opsflow cancel {record.id} --kill   once they answer" if unanswered else way_on(run),
        data={"run": record.id, "state": str(run.state), "kill": True, "ended": ended, "unanswered": why},
        exit_code=_UNCERTAIN if unanswered else 0,
    )


def _stopping(run_id: str, answer: Mapping[str, Any], what: str = "is stopping") -> Answer:
    at_work, kill = list(answer["at_work"]), bool(answer["kill"])
    does = "what runs is being ended of" if kill else "waiting for"
    return Answer(
        message=f"run {run_id} {what}" + (f": {does} {some(at_work)}" if at_work else ""),
        hint=f"opsflow resume {run_id}",
        data={"run": run_id, "state": "stopping", "kill": kill, "at_work": at_work},
    )
