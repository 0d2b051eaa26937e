"""The state machines, as tables. Whether a state is final is the engine's business, not the table's."""

from collections.abc import Iterable

from automaton import exceptions, machines

from opsflow.errors import IllegalTransition
from opsflow.model import DONE, Mark, NodeState, RunState

MARK_TABLE: tuple[tuple[NodeState, Mark, NodeState], ...] = (
    (NodeState.UNKNOWN, Mark.SUCCEEDED, NodeState.SUCCEEDED),
    (NodeState.UNKNOWN, Mark.FAILED, NodeState.FAILED),
    (NodeState.UNKNOWN, Mark.SKIPPED, NodeState.SKIPPED),
    (NodeState.UNKNOWN, Mark.REVERTED, NodeState.REVERTED),
    (NodeState.FAILED, Mark.SUCCEEDED, NodeState.SUCCEEDED),
    (NodeState.FAILED, Mark.SKIPPED, NodeState.SKIPPED),
    (NodeState.FAILED, Mark.REVERTED, NodeState.REVERTED),
    (NodeState.REVERT_FAILED, Mark.REVERTED, NodeState.REVERTED),
)
"""What an operator may say: what opsflow does not know, or what he has mended by hand."""

NODE_TABLE: tuple[tuple[NodeState, str, NodeState], ...] = (
    (NodeState.PENDING, "skip", NodeState.SKIPPED),
    (NodeState.PENDING, "settle", NodeState.UNCHANGED),
    (NodeState.PENDING, "satisfy", NodeState.SUCCEEDED),  # an earlier attempt began, and all is in place now
    (NodeState.PENDING, "wait", NodeState.PENDING),  # at a gate
    (NodeState.PENDING, "approve", NodeState.SUCCEEDED),
    (NodeState.PENDING, "start", NodeState.RUNNING),
    (NodeState.PENDING, "fail", NodeState.FAILED),
    (NodeState.PENDING, "block", NodeState.BLOCKED),
    (NodeState.PENDING, "revert", NodeState.REVERTING),  # between two attempts
    (NodeState.RUNNING, "succeed", NodeState.SUCCEEDED),
    (NodeState.RUNNING, "fail", NodeState.FAILED),
    (NodeState.RUNNING, "lose", NodeState.UNKNOWN),
    (NodeState.RUNNING, "retry", NodeState.PENDING),
    (NodeState.UNKNOWN, "succeed", NodeState.SUCCEEDED),
    (NodeState.UNKNOWN, "fail", NodeState.FAILED),
    (NodeState.UNKNOWN, "retry", NodeState.PENDING),
    (NodeState.UNKNOWN, "revert", NodeState.REVERTING),
    (NodeState.FAILED, "retry", NodeState.PENDING),
    (NodeState.FAILED, "revert", NodeState.REVERTING),
    (NodeState.BLOCKED, "retry", NodeState.PENDING),
    (NodeState.BLOCKED, "revert", NodeState.REVERTING),  # blocked after an attempt of an earlier session
    (NodeState.SUCCEEDED, "revert", NodeState.REVERTING),
    (NodeState.REVERTING, "undo", NodeState.REVERTED),
    (NodeState.REVERTING, "stick", NodeState.REVERT_FAILED),
    (NodeState.REVERT_FAILED, "revert", NodeState.REVERTING),
    (NodeState.SKIPPED, "revert", NodeState.REVERTING),  # marked so after an attempt
    # What runs at the end, when the run goes on to another one.
    *((state, "renew", NodeState.PENDING) for state in sorted(DONE)),
    *((state, "renew", NodeState.PENDING) for state in (NodeState.FAILED, NodeState.BLOCKED)),
    # When another plan has them no more, or again.
    *((state, "retire", NodeState.SKIPPED) for state in (NodeState.PENDING, NodeState.BLOCKED, NodeState.FAILED)),
    (NodeState.SKIPPED, "restore", NodeState.BLOCKED),
    *((before, f"mark_{verdict}", after) for before, verdict, after in MARK_TABLE),
)

RUN_TABLE: tuple[tuple[RunState, str, RunState], ...] = (
    (RunState.PLANNED, "start", RunState.RUNNING),
    (RunState.RUNNING, "succeed", RunState.SUCCEEDED),
    (RunState.RUNNING, "fail", RunState.FAILED),
    (RunState.RUNNING, "suspend", RunState.SUSPENDED),
    (RunState.RUNNING, "roll_back", RunState.ROLLING_BACK),
    (RunState.SUSPENDED, "resume", RunState.RUNNING),
    (RunState.SUSPENDED, "roll_back", RunState.ROLLING_BACK),
    (RunState.FAILED, "resume", RunState.RUNNING),
    (RunState.FAILED, "roll_back", RunState.ROLLING_BACK),
    (RunState.SUCCEEDED, "roll_back", RunState.ROLLING_BACK),
    (RunState.ROLLING_BACK, "finish", RunState.ROLLED_BACK),
    (RunState.ROLLING_BACK, "fail", RunState.FAILED),  # every failed scope is rolled back, others stand
    (RunState.ROLLING_BACK, "stick", RunState.ROLLBACK_INCOMPLETE),
    (RunState.ROLLING_BACK, "suspend", RunState.SUSPENDED),
    (RunState.ROLLBACK_INCOMPLETE, "roll_back", RunState.ROLLING_BACK),
    (RunState.ROLLED_BACK, "roll_back", RunState.ROLLING_BACK),  # nothing is left of that, but of what runs at the end
)

LOOP_TABLE: tuple[tuple[str, str, str], ...] = (
    ("resuming", "ready", "scheduling"),
    ("scheduling", "submitted", "waiting"),
    ("scheduling", "idle", "finished"),
    ("waiting", "heard", "analyzing"),
    ("analyzing", "looked", "scheduling"),
)


class Machine:
    """One frozen table shared by all that follow it: it says what comes after a state, and keeps none."""

    def __init__(self, name: str, table: Iterable[tuple[str, str, str]]) -> None:
        self._name = name
        self._machine = machines.FiniteMachine()
        rows = list(table)
        for state in dict.fromkeys(s for before, _, after in rows for s in (before, after)):
            self._machine.add_state(state)
        for before, event, after in rows:
            self._machine.add_transition(before, after, event)
        self._machine.freeze()
        self._known: dict[tuple[str, str], str] = {}

    def after(self, state: str, event: str) -> str:
        """The state that follows.

        Raises:
            IllegalTransition: the table has no such line.
        """
        found = self._known.get((state, event))
        if found is None:  # asked once per line of the table, not once per node
            found = self._known[state, event] = self._ask(state, event)
        return found

    def _ask(self, state: str, event: str) -> str:
        try:
            self._machine.initialize(state)
            self._machine.process_event(event)
        except exceptions.AutomatonException as error:
            raise IllegalTransition(f"{self._name}: {event!r} does not happen in {str(state)!r}") from error
        return str(self._machine.current_state)


def node_machine() -> Machine:
    """The machine of nodes."""
    return Machine("node", NODE_TABLE)


def run_machine() -> Machine:
    """The machine of runs."""
    return Machine("run", RUN_TABLE)


def loop_machine() -> Machine:
    """The machine of the loop: find the next nodes, have them run, look at the results."""
    return Machine("loop", LOOP_TABLE)
