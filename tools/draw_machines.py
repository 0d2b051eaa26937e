"""Writes docs/states.md: the machines of nodes, runs and the loop, drawn from the tables that the engine follows."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from opsflow.engine.machine import LOOP_TABLE, NODE_TABLE, RUN_TABLE
from opsflow.model import NodeState, RunState

PAGE = Path(__file__).parent.parent / "docs" / "states.md"

Table = Iterable[tuple[str, str, str]]

OF_OPERATORS = "mark_"
OF_OTHER_ENDS = frozenset({"renew", "retire", "restore"})
"""Events of nodes that are not of one way forward and back: they would hide it."""

NODES: Mapping[NodeState, tuple[str, str]] = {
    NodeState.PENDING: (
        "not begun, or to be begun anew; `opsflow show` says so if it waits for an approval",
        "`opsflow approve RUN STEP` if it waits; else `opsflow resume RUN` if nobody drives the run",
    ),
    NodeState.RUNNING: (
        "an attempt is at work; if the controller has died, that is the last that is on record",
        "`opsflow logs RUN -f`; if nobody drives the run, `opsflow resume RUN` finds out and follows",
    ),
    NodeState.SUCCEEDED: (
        "done, and its outputs are kept; or approved",
        "nothing; `opsflow rollback RUN` puts it back",
    ),
    NodeState.UNCHANGED: ("all was in place before it began: nothing was done", "nothing; no rollback touches it"),
    NodeState.FAILED: (
        "its task says so, its host certainly began nothing, or somebody refused it",
        "`opsflow show RUN` says why; mend it, then `opsflow resume RUN` (after `halt` or `continue`)",
    ),
    NodeState.BLOCKED: (
        "not begun, because what it needs has failed, is unknown, or is put back",
        "nothing of its own: see to what it needs",
    ),
    NodeState.SKIPPED: ("its `when` was false, an operator said so, or the plan has it no more", "nothing"),
    NodeState.UNKNOWN: (
        "it has begun, and neither its host nor its task can tell what became of it; nothing is done over it",
        "look at the host, then `opsflow mark RUN NODE succeeded|failed|skipped|reverted --why TEXT`",
    ),
    NodeState.REVERTING: (
        "what it changed is being put back, or is to be, one attempt after the other",
        "wait; if nobody drives the run, `opsflow resume RUN` goes on with it",
    ),
    NodeState.REVERTED: ("the reverts of **all** its attempts succeeded, or an operator said so", "nothing"),
    NodeState.REVERT_FAILED: (
        "a revert failed as often as it was tried: what it changed is still there, or half of it",
        "mend what it failed at, or put it back and `opsflow mark RUN NODE reverted`; then `opsflow rollback RUN`",
    ),
}
"""What each state of a node means to an operator, and what he types next."""

RUNS: Mapping[RunState, tuple[str, str]] = {
    RunState.PLANNED: ("on record, and nothing has begun", "`opsflow resume RUN` if its controller is gone"),
    RunState.RUNNING: (
        "goes forward; if nobody drives it any more, this is where its controller died",
        "`opsflow logs RUN -f`, `opsflow pause RUN`, `opsflow cancel RUN`; if nobody drives it `opsflow resume RUN`",
    ),
    RunState.SUSPENDED: (
        "stopped on purpose, by a pause, a cancel or Ctrl-C, or it waits for an approval; it keeps its hosts",
        "`opsflow approve RUN` if it waits; then `opsflow resume RUN`, or `opsflow rollback RUN`",
    ),
    RunState.SUCCEEDED: ("every node is done, unchanged or skipped", "nothing; `opsflow rollback RUN` puts all back"),
    RunState.FAILED: (
        "something failed, and is not put back; or, with exit code 3, every scope that failed is, and others stand",
        "`opsflow show RUN`; mend it, then `opsflow resume RUN` or `opsflow rollback RUN`; exit code 3: nothing",
    ),
    RunState.ROLLING_BACK: (
        "at least one scope is being put back; other scopes may still go forward",
        "wait; if nobody drives it `opsflow resume RUN`",
    ),
    RunState.ROLLED_BACK: (
        "**every** change was put back, and nothing is in doubt",
        "nothing; exit code 1: what runs at the end failed, and `opsflow resume RUN` tries it again",
    ),
    RunState.ROLLBACK_INCOMPLETE: (
        "a change stays: its revert failed, it cannot be undone, or nobody knows what became of it",
        "`opsflow show RUN`; mend or mark it, then `opsflow rollback RUN`: the run never goes forward again",
    ),
}
"""What each state of a run means to an operator, and what he types next."""

_INTRO = """\
# States

Drawn by `tools/draw_machines.py` from the tables that the engine follows (`opsflow/engine/machine.py`): an event that a
table does not have is a bug, and stops the run. A test fails while this page is not what the tables say.
"""

_NODES = """
## Nodes

A node is one step on one host. Nothing leads from `reverting`, `reverted` or `revert_failed` to a way forward, and only
an operator's word leads from one of the others to `reverted` without a revert.
"""

_OTHERS = """
Beside these there is what an operator may say (`opsflow mark`), and what happens between two ends of a run: what runs
at the end (`finally`) is begun anew, and what another plan has no more is skipped (`resume --accept-changes`).
"""

_RUNS = """
## Runs

No state is final for ever: a run that succeeded can be rolled back. But nothing leads from `rolled_back` or
`rollback_incomplete` to `running`.
"""

_LOOP = """
## The loop

Each process that drives a run does this, forward and back.
"""


def page() -> str:
    """The whole page."""
    ordinary, others = [], []
    for line in NODE_TABLE:
        apart = line[1].startswith(OF_OPERATORS) or line[1] in OF_OTHER_ENDS
        (others if apart else ordinary).append(line)
    return "\n".join(
        [
            _INTRO + _NODES,
            explained(NODES),
            drawn(ordinary, NodeState.PENDING),
            _OTHERS,
            listed(others),
            _RUNS,
            explained(RUNS),
            drawn(RUN_TABLE, RunState.PLANNED),
            _LOOP,
            drawn(LOOP_TABLE, "resuming"),
            "",
        ]
    )


def explained(states: Mapping[NodeState, tuple[str, str]] | Mapping[RunState, tuple[str, str]]) -> str:
    """A table of states: what each means, and what to type."""
    escaped = ((state, means, then.replace("|", r"\|")) for state, (means, then) in states.items())
    rows = [f"| `{state}` | {means} | {then} |" for state, means, then in escaped]
    return "\n".join(["| state | means | what to type next |", "|---|---|---|", *rows, ""])


def drawn(table: Table, first: str) -> str:
    """A table as a picture (a state diagram of Mermaid); what leads from one state to another is one arrow."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for before, event, after in table:
        arrows.setdefault((before, after), []).append(event)
    lines = [f"    {before} --> {after}: {' / '.join(events)}" for (before, after), events in arrows.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *lines, "```"])


def listed(table: Table) -> str:
    """A table as one: each event, from which states, to which."""
    sources: dict[tuple[str, str], list[str]] = {}
    for before, event, after in table:
        sources.setdefault((event, after), []).append(f"`{before}`")
    rows = [
        f"| {event.replace('_', ' ')} | {', '.join(found)} | `{after}` |" for (event, after), found in sources.items()
    ]
    return "\n".join(["| event | from | to |", "|---|---|---|", *rows])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
