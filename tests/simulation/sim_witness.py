"""What must hold, seen from outside: by who watches the hosts, and looks into the database behind the journal's back."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable

import networkx as nx
from sim_hosts import Gate, Host

from opsflow.engine.graph import Spread
from opsflow.engine.scopes import Scopes
from opsflow.events import (
    BatchBegan,
    Event,
    NodeFinished,
    NodeFollowed,
    NodeRetrying,
    NodeStarted,
    RollbackBegan,
    RolloutStopped,
)
from opsflow.model import SCOPE_RUN, Phase
from opsflow.plan import Plan

GOOD = ("succeeded", "unchanged", "skipped")
OPEN = ("running", "unknown")
_KINDS = {"run": "the run", "host": "a host", "node": "a node alone"}
KNOWN = ("failed", "unreachable", "succeeded")


class Witness:
    """Sees each operation start.

    Args:
        plan: The plan of the run.
        raw: The database.
        tell: Takes what is seen.
        strict: Whether nothing keeps a rollback from being whole: its order can be told from what is there.

    Attributes:
        wrong: What should not have been.
        began: Attempts of which an operation was started.
        gates: What was started, by attempt.
        number: How much was started.
        skipped: Nodes that an operator has marked so.
    """

    def __init__(
        self, plan: Plan, raw: sqlite3.Connection, tell: Callable[[str], None], *, strict: bool, in_place: set[str]
    ) -> None:
        self._tell = tell
        self.wrong: list[str] = []
        self.began: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.gates: dict[str, list[Gate]] = defaultdict(list)
        self.hosts: dict[str, Host] = {}
        self.number = 0
        self.skipped: set[str] = set()
        self._run = ""
        self._starts: Counter[str] = Counter()
        self._epochs: Counter[Host] = Counter()
        self.plan, self.raw, self._strict, self._in_place = plan, raw, strict, in_place
        self._places = {node.id: n for n, node in enumerate(plan.nodes)}
        self._spread = Spread(plan)
        self._hang: dict[str, set[str]] = {}
        self._undone: dict[str, set[int]] = defaultdict(set)
        self._last: dict[str, list[Gate]] = defaultdict(list)

    def started(self, host: Host, gate: Gate) -> None:
        """An operation starts on a host."""
        self._run, node, phase, number = gate.op.attempt.split("/")
        self._last[node] = [g for g in self._last[node] if g.state == "runs"] + [gate]
        n = int(number)
        self._tell(f"  {host.name} starts operation {gate.op.number} of {node} {phase} {n}: {gate.command}")
        self.gates[gate.op.attempt].append(gate)
        self.number += 1
        if gate.op.epoch < self._epochs[host] and host.place.base_id == "1":
            self.wrong.append(f"{gate.op.attempt} acts for an owner that has lost the run")
        self._epochs[host] = gate.op.epoch
        self._starts[gate.op.id] += 1
        if self._starts[gate.op.id] > 1:
            self.wrong.append(f"{gate.op.attempt}: operation {gate.op.number} was started twice")
        state = self._attempt(node, phase, n)
        if state not in OPEN:
            self.wrong.append(f"{gate.op.attempt} acts, and the journal has it as {state}")
        others = [
            g for g in host.gates.values() if g is not gate and g.state == "runs" and g.op.attempt != gate.op.attempt
        ]
        if twice := [g.op.attempt for g in others if g.op.attempt.split("/")[1] == node]:
            self.wrong.append(f"{gate.op.attempt} acts beside {twice}")
        if phase == Phase.EXECUTE:
            self._forward(node, n, followed=bool(gate.op.place))
        else:
            self._back(node, n)
        if n not in self.began[node, phase]:
            self.began[node, phase].append(n)

    def _forward(self, node: str, n: int, *, followed: bool) -> None:
        began = self.began[node, Phase.EXECUTE]
        if any(later > n for later in began) or n in self._undone[node]:
            self.wrong.append(f"{node}: attempt {n} acts after it was over")
        # One that an operator has called not needed may run at another end of the run.
        again = self.plan.task_of(node).idempotent or (node in self.plan.at_end and node in self.skipped)
        known = (*KNOWN, "unknown") if again else KNOWN
        for earlier in began:
            if earlier < n and (state := self._attempt(node, Phase.EXECUTE, earlier)) not in known:
                self.wrong.append(f"{node}: attempt {n} acts, and attempt {earlier} is {state}")
        if node in self.plan.at_end and followed:
            return  # it is followed from one end of the run to the next, for which what it needs may run again
        for need in self.plan.needs_of(node):
            if node in self.hanging(need) and (state := self._state(need)) not in GOOD:
                self.wrong.append(f"{node} acts while {need} is {state}")

    def _back(self, node: str, n: int) -> None:
        row = self.raw.execute(
            "SELECT undoes FROM attempts WHERE run = 1 AND node = ? AND phase = 'revert' AND n = ?",
            (self._places[node], n),
        ).fetchone()
        if row is None or self._attempt(node, Phase.EXECUTE, row[0]) is None:
            self.wrong.append(f"{node} is reverted, and it never began")
            return
        self._undone[node].add(row[0])
        if self._strict and not self.plan.steps[self.plan.by_id[node].step].retry.revert_between:
            after = [d for d in self.hanging(node) if d not in self._in_place and self.parts(d)]
            if after := [d for d in after if not self._stays(d, but=self.plan.by_id[node].host)]:
                self.wrong.append(f"{node} is reverted before {after}")

    def _stays(self, node: str, *, but: str) -> bool:
        """Whether a revert of it, or of what is after it on its host, has failed for good: then other hosts go on."""
        host = self.plan.by_id[node].host
        if host == but:
            return False
        stuck = [n.id for n in self.plan.nodes if n.host == host and self._state(n.id) == "revert_failed"]
        return any(n == node or nx.has_path(self.plan.graph, node, n) for n in stuck)

    @property
    def held(self) -> bool:
        """Whether the journal keeps other runs from some hosts."""
        return bool(self.raw.execute("SELECT count(*) FROM leases").fetchone()[0])

    def parts(self, node: str) -> int:
        """How many parts of a node are in place."""
        there = self.hosts[self.plan.by_id[node].host].there
        return sum(key.partition("/")[0] == node for key in there)

    def gates_of(self, node: str, phase: str, n: int) -> list[Gate]:
        """What was started of an attempt."""
        return self.gates.get(f"{self._run}/{node}/{phase}/{n}", [])

    def at_work(self, node: str) -> bool:
        """Whether something of a node runs on its host."""
        return any(gate.state == "runs" for gate in self._last.get(node, ()))

    def place(self, node: str) -> int:
        """Where a node stands in the plan."""
        return self._places[node]

    def hanging(self, node: str) -> set[str]:
        """What hangs directly on a node."""
        found = self._hang.get(node)
        if found is None:
            found = self._hang[node] = set()
            for after in self._spread.of(node):
                found.update((after,) if after in self._places else self._spread.of(after))
        return found

    def _state(self, node: str) -> str:
        return self.raw.execute("SELECT state FROM nodes WHERE run = 1 AND n = ?", (self._places[node],)).fetchone()[0]

    def _attempt(self, node: str, phase: str, n: int) -> str | None:
        row = self.raw.execute(
            "SELECT state FROM attempts WHERE run = 1 AND node = ? AND phase = ? AND n = ?",
            (self._places[node], str(phase), n),
        ).fetchone()
        return row[0] if row else None


class Ears:
    """Checks what the events of one session tell.

    Args:
        plan: The plan.
        scopes: What is rolled back together.
        closed: Scopes that were rolled back before the session.
        wrong: Takes what should not have been.
        tell: Takes what is told.
        tally: Counts what it is worth to count.
    """

    def __init__(
        self,
        plan: Plan,
        scopes: Scopes,
        closed: set[str],
        wrong: list[str],
        tell: Callable[[Event], None],
        tally: Counter[str],
    ) -> None:
        self._plan, self._scopes, self._closed, self._tally = plan, scopes, closed, tally
        self._wrong, self._tell = wrong, tell
        self._at_work: dict[str, set[str]] = defaultdict(set)

    def __call__(self, event: Event) -> None:
        self._tell(event)
        if isinstance(event, RollbackBegan):
            self._closed.add(event.scope)
            self._tally[f"rollback of {_KINDS.get(event.scope.partition('=')[0], 'a variable')}"] += 1
            if at_end := self._plan.at_end.intersection(event.nodes):
                self._wrong.append(f"{at_end} are rolled back")
        elif isinstance(event, BatchBegan | RolloutStopped):
            late = isinstance(event, BatchBegan) and event.number > 1
            self._tally["batch after the first"] += late
            self._tally["rollout stopped, as too many units had failed"] += isinstance(event, RolloutStopped)
        elif isinstance(event, NodeStarted):
            self._started(event)
        elif isinstance(event, NodeFollowed):
            self._tally["hook called again for an attempt that was left"] += 1
        elif isinstance(event, NodeFinished | NodeRetrying):
            self._tally["another attempt"] += isinstance(event, NodeRetrying)
            self._tally["reverted before another attempt"] += "another attempt follows" in getattr(event, "summary", "")
            self._at_work[event.node.partition("@")[0]].discard(event.node)

    def _started(self, event: NodeStarted) -> None:
        step = event.node.partition("@")[0]
        self._at_work[step].add(event.node)
        most = self._plan.steps[step].at_once
        if most and len(self._at_work[step]) > most:
            self._wrong.append(f"{self._at_work[step]} at once")
        if event.phase is Phase.EXECUTE and event.node not in self._plan.at_end:
            closed = {SCOPE_RUN, self._scopes.of(event.node)} & self._closed
            if closed:
                self._wrong.append(f"{event.node} goes forward although {closed} is rolled back")
