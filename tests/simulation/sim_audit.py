"""Each committed state, looked at from outside: what the database says, against itself, its past and the hosts."""

from collections.abc import Sequence
from itertools import zip_longest

from sim_witness import GOOD, Witness

from opsflow.engine.scopes import Scopes
from opsflow.journal.columns import unpack
from opsflow.model import LOCALHOST, SCOPE_RUN, Irreversible, Phase

_ATTEMPTS = "SELECT key, node, phase, n, state, undoes, exit_status FROM attempts ORDER BY key"
_ROLLBACKS = "SELECT key, scope, nodes, complete FROM rollbacks ORDER BY key"
_NODES = "SELECT n, state FROM nodes ORDER BY n"
_FINAL = ("succeeded", "failed", "unreachable")
_MAY_HAVE_CHANGED = ("running", "succeeded", "failed", "unknown")
_NOT_OVER = ("pending", "running", "reverting")
_DRIVEN = ("running", "rolling_back")
_OVER = ("succeeded", "rolled_back")

_Row = Sequence


class Audit:
    """Reads the tables after each commit; knows nothing of what the engine has in mind.

    Args:
        witness: Who sees what the hosts do, and takes what is wrong.
        scopes: What is rolled back together.
        parts: How many parts each node has.
        in_place: Nodes that were in place before.
    """

    def __init__(self, witness: Witness, scopes: Scopes, parts: dict[str, int], in_place: set[str]) -> None:
        self._witness, self._scopes, self._parts, self._in_place = witness, scopes, parts, in_place
        self._plan, self._raw = witness.plan, witness.raw
        self._ids = [node.id for node in self._plan.nodes]
        self._leased = len(set(self._plan.hosts) - {LOCALHOST})
        self._run: _Row = ("", 0, 0, 0)
        self._attempts: list[_Row] = []
        self._nodes: list[_Row] = []
        self._rollbacks: list[_Row] = []

    def __call__(self) -> bool:
        """Look at what was committed just now. Whether the run was altered; to ask its owner for something does not."""
        before = self._run, self._attempts, self._nodes, self._rollbacks
        self._run = self._raw.execute(
            "SELECT state, epoch, serial, (SELECT count(*) FROM leases) FROM runs JOIN owners ON owners.run = runs.key"
        ).fetchone() or ("", 0, 0, 0)
        self._attempts = self._raw.execute(_ATTEMPTS).fetchall()
        self._nodes = self._raw.execute(_NODES).fetchall()
        self._rollbacks = self._raw.execute(_ROLLBACKS).fetchall()
        for old, new in _changed(before[3], self._rollbacks):
            self._rollback(old, new)
        for old, new in _changed(before[1], self._attempts):
            self._attempt(old, new)
        for old, new in _changed(before[2], self._nodes):
            self._node(old, new)
        return self._whole(*before)

    def _say(self, wrong: str) -> None:
        self._witness.wrong.append(wrong)

    # The run

    def _whole(self, run: _Row, attempts: list[_Row], nodes: list[_Row], rollbacks: list[_Row]) -> bool:
        state, epoch, serial, leased = self._run
        if (epoch, serial) < (run[1], run[2]):
            self._say(f"commit {serial} of owner {epoch} comes after {run[2]} of {run[1]}")
        altered = (state, self._attempts, self._nodes, self._rollbacks) != (run[0], attempts, nodes, rollbacks)
        if altered and run[0] and serial == run[2]:
            self._say("something was changed without a look at who owns the run")
        if state in _DRIVEN and leased != self._leased:
            self._say(f"the run is {state}, and holds {leased} of {self._leased} hosts")
        if state != run[0] and state in _OVER:
            self._ended(state, leased)
        return altered or (epoch, serial) != (run[1], run[2])

    def _ended(self, state: str, leased: int) -> None:
        if leased:
            self._say(f"the run is over, and holds {leased} hosts")
        if state == "succeeded" and (bad := {s for _, s in self._nodes}.difference(GOOD)):
            self._say(f"the run has succeeded, and nodes are {bad}")
        if state == "rolled_back":
            others = (n for n in self._ids if n not in self._in_place and n not in self._plan.at_end)
            if left := [n for n in others if self._witness.parts(n)]:
                self._say(f"the run is rolled back, and {left} are there")

    # Attempts

    def _attempt(self, old: _Row | None, new: _Row | None) -> None:
        if new is None or (old is not None and old[0] != new[0]):
            self._say(f"an attempt is gone: {old}")
            return
        _, place, phase, n, state, undoes, status = new
        node = self._ids[place]
        name = f"{node} {phase} {n}"
        if old is None:
            self._begun(node, new)
        elif old[4] in _FINAL or (old[:4], old[5]) != (new[:4], undoes):
            self._say(f"{name} was {old}, and is {new}")
        if old is not None and old[4] == "unknown" and state not in _FINAL:
            self._say(f"{name} was unknown, and is {state}")
        gates = self._witness.gates_of(node, phase, n)
        at_work = any(gate.state == "runs" for gate in gates)
        if state == "succeeded":
            wanted = self._parts[node] if phase == Phase.EXECUTE else 0
            if at_work or self._witness.parts(node) != wanted:
                self._say(f"{name} reads succeeded: {self._witness.parts(node)} parts are there, at work: {at_work}")
        if state == "unreachable" and gates:
            self._say(f"{name} is said not to have begun, and did")
        if state == "failed" and status is not None and gates[-1].status != status:
            self._say(f"{name} ended with {gates[-1].status}, not {status}")

    def _begun(self, node: str, new: _Row) -> None:
        """The intent of an attempt is durable."""
        _, place, phase, n, _, undoes, _ = new
        if phase != Phase.EXECUTE:
            self._undoes(node, place, undoes)
            return
        for need in self._plan.needs_of(node):
            if node in self._witness.hanging(need) and (state := self._nodes[self._witness.place(need)][1]) not in GOOD:
                self._say(f"{node} is to act while {need} is {state}")
        if node in self._plan.batch_of:
            self._batches_before(node)
        if node not in self._plan.at_end:
            closed = {SCOPE_RUN, self._scopes.of(node)}.intersection(r[1] for r in self._rollbacks)
            if closed:
                self._say(f"{node} is to act, attempt {n}, although {closed} is rolled back")

    def _batches_before(self, node: str) -> None:
        for batch in self._plan.by_batch[: self._plan.batch_of[node] - 1]:
            for other in batch:
                if (state := self._nodes[self._witness.place(other)][1]) in _NOT_OVER:
                    self._say(f"{node} is to act while {other}, of an earlier batch, is {state}")

    def _undoes(self, node: str, place: int, undoes: int) -> None:
        mine = [row for row in self._attempts if row[1] == place]
        made = {row[3]: row[4] for row in mine if row[2] == Phase.EXECUTE}
        if made.get(undoes) not in _MAY_HAVE_CHANGED:
            self._say(f"{node}: attempt {undoes} is to be reverted, and is {made.get(undoes)}")
        undone = {row[5] for row in mine if row[2] != Phase.EXECUTE and row[4] == "succeeded"}
        later = [n for n, state in made.items() if n > undoes and state in _MAY_HAVE_CHANGED and n not in undone]
        if later and node not in self._plan.at_end:
            self._say(f"{node}: attempt {undoes} is to be reverted before {later}")

    # Nodes and rollbacks

    def _node(self, old: _Row | None, new: _Row | None) -> None:
        if new is None or (old is not None and old[0] != new[0]):
            self._say(f"a node is gone: {old}")
            return
        node, state = self._ids[new[0]], new[1]
        there = self._witness.parts(node)
        at_work = self._witness.at_work(node)
        if old is not None and old[1] == "reverted" and node not in self._plan.at_end:
            self._say(f"{node} was reverted, and is {state}")
        if state in {"succeeded", "unchanged"} and (at_work or there != self._parts[node]):
            self._say(f"{node} reads {state}: {there} parts are there, at work: {at_work}")
        if state == "reverted" and (at_work or (there and node not in self._in_place)):
            self._say(f"{node} reads {state}: {there} parts are there, at work: {at_work}")

    def _rollback(self, old: _Row | None, new: _Row | None) -> None:
        if new is None or (old is not None and old[:3] != new[:3]):
            self._say(f"a rollback plan is not what it was: {old}, {new}")
            return
        nodes, complete = unpack(new[2]), new[3]
        if old is None and (at_end := self._plan.at_end.intersection(nodes)):
            self._say(f"{at_end} are to be rolled back")
        if old is None:
            began = {self._ids[row[1]] for row in self._attempts if row[2] == Phase.EXECUTE and row[4] != "unreachable"}
            if never := set(nodes) - began:
                self._say(f"{never} are to be rolled back, and never began")
        if old is not None and old[3]:
            self._say(f"a rollback was complete: {old}")
        if complete and (left := [n for n in nodes if self._witness.parts(n) and not self._may_stay(n)]):
            self._say(f"a rollback reads complete, and {left} are there")

    def _may_stay(self, node: str) -> bool:
        step = self._plan.steps[self._plan.by_id[node].step]
        return node in self._in_place or (step.irreversible is Irreversible.ALLOW and step.task == "firm")


def _changed(before: list[_Row], now: list[_Row]) -> list[tuple[_Row | None, _Row | None]]:
    return [(old, new) for old, new in zip_longest(before, now) if old != new]
