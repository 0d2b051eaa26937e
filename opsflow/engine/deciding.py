"""Conditions that are false, and those that decide over what needs their node, too (`skip_depth = "all"`)."""

from opsflow.engine.graph import Spread
from opsflow.engine.reverting import say_finished
from opsflow.engine.run import Run
from opsflow.model import Failure, NodeState, Phase

_DECIDES = "Decides"
"""Kind under which it is on record of a skipped node that what needs it is skipped, too."""


def skip(run: Run, spread: Spread, node: str) -> str:
    """Skip a node, and what needs it if its step says so; why."""
    placed = run.plan.by_id[node]
    if placed.idle:
        run.move(node, "skip")
        return "its list of items is empty"
    why = "its condition is false"
    deep = run.plan.steps[placed.step].skips_all
    run.move(node, "skip", error=Failure(kind=_DECIDES, message=why) if deep else None)
    if deep:
        _skip_behind(run, spread, node)
    return why


def skip_again(run: Run, spread: Spread) -> None:
    """Skip what waits behind nodes that decided so in earlier sessions: it was blocked then, or joins the run now."""
    for node in run.in_state(NodeState.SKIPPED):
        error = run.nodes[node].error
        if error and error.kind == _DECIDES and node not in run.plan.gone:
            _skip_behind(run, spread, node)


def _skip_behind(run: Run, spread: Spread, node: str) -> None:
    for behind in spread.dependants([node]):
        status = run.nodes[behind]
        if status.state is NodeState.PENDING and not status.to_revert():  # else its rollback has to come to it
            run.move(behind, "skip")
            say_finished(run, behind, Phase.EXECUTE, f"{node} is skipped")
