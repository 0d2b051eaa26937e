"""What a run has come to."""

from opsflow.engine.last import with_last
from opsflow.engine.run import Run
from opsflow.model import DONE, EXIT_ROLLED_BACK, SCOPE_RUN, NodeState, OnFailure, RunState, question_of

_IN_DOUBT = (NodeState.UNKNOWN, NodeState.REVERT_FAILED)


def conclude(run: Run, *, interrupted: bool, waiting: bool = False, wanted_back: bool = False) -> int:
    """Move the run to the state in which it stops here; the exit code.

    Args:
        run: The run; nothing of it is at work, unless it was interrupted.
        interrupted: The operator stopped it.
        waiting: Nothing is left to do until somebody approves.
        wanted_back: The operator asked for the rollback, so that its success is a success.
    """
    if interrupted:
        event, code = "suspend", 130
    elif waiting:
        event, code = "suspend", 4 if run.in_state(*_IN_DOUBT) else 7
    else:
        event, code = with_last(run, *_verdict(run, wanted_back=wanted_back))
    # In the same commit: a process that dies after it must not leave hosts held by a run that is over.
    run.move_run(event, exit_code=code, frees=not _holds_hosts(run, event))
    return code


def left_standing(run: Run) -> list[str]:
    """Nodes that a rollback came to and whose change stays: it cannot be undone, its revert failed, or it is before."""
    frozen = dict.fromkeys(n for r in run.rollbacks.values() for n in r.nodes)
    return [n for n in frozen if run.nodes[n].to_revert()]


def put_back_by_hand(run: Run) -> bool:
    """Whether an operator has marked something reverted outside of a rollback: only a rollback leads to an end then."""
    rolled = {n for r in (*run.earlier, *run.rollbacks.values()) for n in r.nodes}
    return any(n not in rolled for n in run.in_state(NodeState.REVERTED))


def next_command(run: Run, exit_code: int) -> str:
    """What the operator does next; empty if nothing is left to do."""
    if run.state is RunState.ROLLBACK_INCOMPLETE:
        return _mend(run)
    if run.state is RunState.SUSPENDED and (steps := _at_gates(run)):
        others = "" if len(steps) == 1 else f", and {', '.join(steps[1:])}"
        return (
            f"opsflow approve {run.id} {steps[0]}   or, with --reject, refuse it{others}; then opsflow resume {run.id}"
        )
    if run.state is RunState.SUSPENDED or (run.state is RunState.FAILED and exit_code in {1, 4}):
        ways = ("rollback",) if put_back_by_hand(run) else ("resume", "rollback")
        return "   or   ".join(f"opsflow {way} {run.id}" for way in ways)
    if run.state is RunState.ROLLED_BACK and exit_code == 1:
        return f"opsflow show {run.id}; mend what failed at the end, then opsflow resume {run.id}"
    return ""


def _mend(run: Run) -> str:
    """What the operator does after a rollback that is incomplete."""
    if run.in_state(NodeState.REVERT_FAILED):
        return f"opsflow show {run.id}; mend what the reverts failed at, then opsflow rollback {run.id}"
    if run.in_state(NodeState.UNKNOWN):
        by_hand = "put back by hand what is unknown, and mark it reverted"
        return f"opsflow show {run.id}; {by_hand}; then opsflow rollback {run.id}"
    return f"opsflow show {run.id}; put back by hand what is left, then apply with --abandon {run.id}"


def _at_gates(run: Run) -> list[str]:
    """Steps that wait for an approval."""
    waiting = (n.step for n in run.nodes.values() if question_of(n.state, n.error) is not None)
    return list(dict.fromkeys(waiting))


def _verdict(run: Run, *, wanted_back: bool) -> tuple[str, int]:
    """What the run has come to, but for what runs at the end."""
    nodes = [n for n in run.nodes.values() if n.id not in run.plan.at_end]
    states = {n.state for n in nodes}
    unknown = NodeState.UNKNOWN in states
    if run.state is not RunState.ROLLING_BACK:
        if states <= DONE:
            return "succeed", 0
        return "fail", 4 if unknown else 1
    back = not any(n.to_revert() for n in nodes)
    complete = back or all(r.complete for r in run.rollbacks.values())
    if unknown or not complete:
        return "fail" if complete else "stick", 4
    if not wanted_back and (NodeState.PENDING in states or _failed_outside(run)):
        return "fail", 1
    return "finish" if back else "fail", 0 if wanted_back else EXIT_ROLLED_BACK


def _failed_outside(run: Run) -> bool:
    """Whether something failed that no rollback was to put back."""
    reverted = {n for r in run.rollbacks.values() for n in r.nodes}
    return any(
        run.plan.steps[run.nodes[n].step].on_failure is not OnFailure.ROLLBACK
        for n in run.in_state(NodeState.FAILED)
        if n not in reverted and n not in run.plan.at_end
    )


def _holds_hosts(run: Run, event: str) -> bool:
    """Whether the run keeps other runs from its hosts: it can go on, or its state needs a person."""
    if event != "fail":
        return event in {"suspend", "stick"}
    if run.in_state(NodeState.UNKNOWN):
        return True
    if any(r.scope == SCOPE_RUN for r in run.rollbacks.values()):
        return False  # it never goes forward again
    return bool(run.in_state(NodeState.PENDING)) or _halted(run)


def _halted(run: Run) -> bool:
    steps = [run.plan.steps[run.nodes[n].step] for n in run.in_state(NodeState.FAILED)]
    return any(step.on_failure is OnFailure.HALT and not step.at_end for step in steps)
