"""The use case of opening or refusing a gate."""

from collections.abc import Mapping, Sequence
from typing import Any

from opsflow.app import wiring
from opsflow.app.asking import Answer, answer_to, loaded_run, no_answer, own_request, refuse_over, show_command, some
from opsflow.app.settings import Settings
from opsflow.engine.gates import decide_as_asked
from opsflow.errors import InputError, Problem
from opsflow.model import Asked, NodeRecord, RunRecord, question_of
from opsflow.tomlfile import did_you_mean


def approve(run: str, step: str | None, settings: Settings, *, reject: bool = False, why: str = "") -> Answer:
    """Open or refuse the gate at which a run waits.

    Args:
        run: The run's id or the beginning of it.
        step: Its step, or the id of a node; None: the only one that waits.
        settings: How.
        reject: Refuse it: its node has failed, and what its step's `on_failure` says follows.
        why: Why so; kept with who said it and when.

    Raises:
        UnknownRun: there is no such run.
        InputError: nothing waits for an approval there, or more than one step does and none is named.
        HostsHeld: somebody began to drive the run at this moment.
    """
    with wiring.journal(settings) as journal:
        record = journal.find(run)
        refuse_over(record)
        nodes = _chosen(record, journal.nodes(record.id), step)
        data = {"nodes": nodes, "reject": reject, "why": why}
        number = journal.ask(record.id, Asked.APPROVE, data, wiring.operator())
        answer = answer_to(journal, record.id, number)
        if answer is not None:
            return _decided(record.id, answer, show_command(record.id))
        if number is not None and journal.driven(record.id):
            return no_answer(record.id, "reject" if reject else "approve")
        journal.resume(record.id, wiring.operator(), hold=False)
        loaded = loaded_run(journal.find(record.id), journal)
        request = own_request(journal, record.id, Asked.APPROVE, data)
        answer = decide_as_asked(loaded, request)
        loaded.answer(request, answer)
        loaded.flush()
        journal.leave(record.id, release_hosts=False)
        follows = {loaded.plan.steps[loaded.nodes[node].step].on_failure for node in nodes} if reject else set()
        then = f"   (then follows what on_failure says: {', '.join(sorted(follows))})" if follows else ""
        return _decided(record.id, answer, f"opsflow resume {record.id}{then}")


def _chosen(record: RunRecord, nodes: Sequence[NodeRecord], step: str | None) -> list[str]:
    """The nodes that are meant. Whoever drives the run knows better whether they wait still."""
    waiting = [node for node in nodes if question_of(node.state, node.error) is not None]
    if step is None:
        steps = list(dict.fromkeys(node.step for node in waiting))
        if not steps:
            raise InputError(f"run {record.id} waits for no approval", hint=show_command(record.id))
        if len(steps) > 1:
            several = [f"opsflow approve {record.id} {name}" for name in steps]
            raise InputError(f"{len(steps)} steps of run {record.id} wait: say which", hint="\n".join(several))
        return [node.id for node in waiting]
    if found := [node.id for node in waiting if step in {node.step, node.id}]:
        return found
    known = {name: node.state for node in nodes for name in (node.id, node.step)}
    if step not in known:
        hint = did_you_mean(step, known) or f"{show_command(record.id)} lists them"
        raise InputError([Problem(message=f"run {record.id} has no step {step}", hint=hint)])
    raise InputError(f"{step} waits for no approval: it is {known[step]}", hint=show_command(record.id))


def _decided(run_id: str, answer: Mapping[str, Any], hint: str) -> Answer:
    if refused := answer.get("refused"):
        raise InputError(str(refused), hint=show_command(run_id))
    nodes, state = list(answer["nodes"]), str(answer["state"])
    said = "rejected" if state == "failed" else "approved"
    return Answer(
        message=f"{said} {nodes[0] if len(nodes) == 1 else some(nodes)}",
        hint=hint,
        data={"run": run_id, "nodes": nodes, "state": state, "approved": said == "approved"},
    )
