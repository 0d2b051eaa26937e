"""What a run has come to, compared with what there really is."""

from collections import Counter, defaultdict

from sim_grounds import RUN
from sim_witness import Witness

from opsflow.journal import SqlJournal
from opsflow.model import AttemptRecord, AttemptState, NodeRecord, NodeState, Phase, RunState
from opsflow.model.work import record_of

GOOD = {NodeState.SUCCEEDED, NodeState.UNCHANGED, NodeState.SKIPPED}
_TOLD = {"Cancelled", "Marked"}
"""Kinds of failure by which an attempt of unknown fate ends by somebody's word."""


class Truth:
    """Compares the journal of a run that has come to its end with what a witness has seen.

    Raises AssertionError where they differ, or the end is none.

    Args:
        journal: Of the run.
        witness: Who has seen it.
        parts: How many parts each node has.
        in_place: Nodes that were in place before.
        wanted_back: The operator asked for the rollback.
    """

    def __init__(
        self, journal: SqlJournal, witness: Witness, *, parts: dict[str, int], in_place: set[str], wanted_back: bool
    ) -> None:
        self._journal, self._witness, self._parts, self._in_place = journal, witness, parts, in_place
        self._wanted_back = wanted_back
        self._plan = witness.plan
        self._rollbacks = journal.rollbacks(RUN)
        self._printed: dict[str, str] = defaultdict(str)
        for piece in journal.output(RUN):
            self._printed[piece.attempt] += piece.text

    def check(self) -> None:
        """Compare everything."""
        nodes = self._journal.nodes(RUN)
        for node in nodes:
            self._node(node)
            for attempt in node.attempts:
                self._attempt(attempt)
        self._run({n.id: n.state for n in nodes})

    def _node(self, node: NodeRecord) -> None:
        there, state = self._witness.parts(node.id), node.state
        assert state not in {NodeState.RUNNING, NodeState.REVERTING}, f"{node.id} is left {state}"
        whole = there == self._parts[node.id]
        if state in {NodeState.SUCCEEDED, NodeState.UNCHANGED}:
            assert whole, f"{node.id} reads {state} and is not there"
        elif state in {NodeState.REVERTED, NodeState.SKIPPED} or not node.attempts:
            assert not there or node.id in self._in_place, f"{node.id} reads {state} and is there"
        if state is NodeState.UNKNOWN:
            host = self._witness.hosts[node.host]
            # An attempt that was ended from elsewhere, by who could not write that down, may be ended once more.
            fenced = any(host.fenced(record_of(attempt.id)) for attempt in node.attempts)
            assert host.lost_power or self._rollbacks or fenced, (
                f"{node.id} reads unknown, and nothing keeps it from being found out"
            )
        undone = Counter(
            a.undoes for a in node.attempts if a.phase is Phase.REVERT and a.state is AttemptState.SUCCEEDED
        )
        assert all(times == 1 for times in undone.values()), f"{node.id}: an attempt was undone twice"

    def _attempt(self, attempt: AttemptRecord) -> None:
        assert attempt.state is not AttemptState.RUNNING, f"{attempt.id} is left running"
        gates = self._witness.gates[attempt.id]
        if attempt.state is AttemptState.UNREACHABLE:
            assert not gates, f"{attempt.id} is said not to have begun, and did"
        if attempt.state is AttemptState.FAILED and attempt.exit_status is not None:
            assert gates[-1].status == attempt.exit_status, (
                f"{attempt.id} ended with {gates[-1].status}, not {attempt.exit_status}"
            )
        if attempt.state is AttemptState.FAILED and attempt.phase is Phase.EXECUTE and gates and gates[-1].cut:
            told = self._plan.task_of(attempt.node).idempotent or (attempt.error and attempt.error.kind in _TOLD)
            assert told, f"{attempt.id} is said to have failed, and nobody can know"
        if attempt.state is AttemptState.SUCCEEDED and attempt.outputs is not None and "said" in attempt.outputs:
            assert [g.out for g in gates] == attempt.outputs["said"], f"{attempt.id}: other answers than there were"
            assert all(g.status == 0 for g in gates), f"{attempt.id} reads succeeded, and failed"
            assert self._printed[attempt.id] == "".join(g.out for g in gates), f"{attempt.id}: not what was printed"

    def _run(self, states: dict[str, NodeState]) -> None:
        record = self._journal.find(RUN)
        code, state, found = record.exit_code, record.state, set(states.values())
        at_end = {states[n] for n in self._plan.at_end}
        good = found <= GOOD
        if self._wanted_back and state is not RunState.SUCCEEDED:  # else it ended before it had begun
            assert code in ({0, 4} if at_end <= GOOD else {1, 4}), f"the rollback exits with {code}"
            assert state in {RunState.ROLLED_BACK, RunState.FAILED, RunState.ROLLBACK_INCOMPLETE}, (
                f"{state} after a rollback"
            )
        else:
            assert (state is RunState.SUCCEEDED) == (code == 0), f"{state} with {code}"
            # A rollback that could undo nothing leaves everything good, and the run not.
            assert (code == 0) == (good and not self._rollbacks), f"{code} with {found}"
        if state is RunState.ROLLED_BACK:
            left = [
                n for n in states if self._witness.parts(n) and n not in self._in_place and n not in self._plan.at_end
            ]
            assert not left, f"rolled back, and {left} are there"
        assert NodeState.PENDING not in at_end, "the run has ended without its end"
        if code == 3:
            assert at_end <= GOOD, "what failed was rolled back, and its end was none"
            assert not {NodeState.REVERT_FAILED, NodeState.PENDING} & found, f"3 with {found}"
        if NodeState.UNKNOWN in found or state is RunState.ROLLBACK_INCOMPLETE:
            assert code == 4, f"{code} with {found}"
        held = self._witness.held
        assert not held or state in {RunState.FAILED, RunState.ROLLBACK_INCOMPLETE}, f"{state} holds hosts"
        open_ = {NodeState.UNKNOWN, NodeState.PENDING} & found
        if state is RunState.ROLLBACK_INCOMPLETE or open_:
            assert held or state is RunState.ROLLED_BACK, f"{state} with {found} holds no hosts"
