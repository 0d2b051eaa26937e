"""What runs at the end (`finally`): after all else has ended, well or not, and after a rollback.

A run that was only interrupted has not come to its end. Each end has its own: if the run goes on afterwards, or is
rolled back, these steps run again when that has ended.
"""

from collections.abc import Callable

from opsflow.engine.graph import Spread
from opsflow.engine.run import Run
from opsflow.model import DONE, NodeState, RunState

_AGAIN = DONE | {NodeState.FAILED, NodeState.BLOCKED}
_ENDED = frozenset({RunState.FAILED, RunState.ROLLED_BACK})


def ended(run: Run) -> bool:
    """Whether the run has come to an end, so that going on with it leads to another one."""
    return run.state in _ENDED


def renew(run: Run, spread: Spread, closed: Callable[[str], bool] = lambda _: False, *, whole: bool = False) -> None:
    """Let what runs at the end run once more.

    All of it, if something else goes on before or with `whole`; otherwise only what did not come to a good end. What an
    operator has put back stays so, and blocks what needs it.
    """
    goes_on = any(not closed(n) for n in run.in_state(NodeState.PENDING, NodeState.UNKNOWN) if n not in run.plan.at_end)
    again = _AGAIN if whole or goes_on else _AGAIN - DONE
    put_back = [node for node in run.plan.at_end if run.nodes[node].state is NodeState.REVERTED]
    for node in run.plan.at_end - run.plan.gone - set(spread.dependants(put_back)):
        if run.nodes[node].state in again:
            run.move(node, "renew")


def with_last(run: Run, event: str, code: int) -> tuple[str, int]:
    """What a run comes to with what ran at its end.

    That is not put back and puts nothing back, so a run that is rolled back stays so. But the run has not done all that
    it should have: 1, or 4 where nobody knows.
    """
    states = {run.nodes[node].state for node in run.plan.at_end}
    if states <= DONE:
        return event, code
    unknown = NodeState.UNKNOWN in states
    failed = event == "succeed" or (unknown and event == "finish")  # a rolled back run frees its hosts
    return "fail" if failed else event, 4 if unknown or code == 4 else 1
