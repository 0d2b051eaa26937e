"""A whole run in simulated time, with all that a seed lets befall it."""

import random
from collections.abc import Callable
from itertools import compress
from typing import Any

from sim_clocks import simulated
from sim_control import Control
from sim_database import Ledger
from sim_grounds import Ground
from sim_sessions import OVER, Session
from sim_trouble import Trouble
from sim_truth import Truth

from opsflow.errors import HostsHeld, InputError
from opsflow.journal import SqlJournal
from opsflow.model import Mark, NodeState, RunState

CHAOS, CALM = 5, 50
"""Sessions in which things go wrong, at most; and after them, in which the run has to come to its end."""
STANDS = 4
"""Sessions after which a run that stands where it stood stays there."""
PATIENCE = 70.0
"""Seconds after which others take the process of a session for dead, if it is stalled on another machine."""

_Found = tuple[RunState | None, int | None, tuple[str, ...]]


class Play:
    """One seed.

    Raises AssertionError from `run` if something is as it must not be.
    """

    def __init__(self, seed: int, ledger: Ledger, story: Callable[[str], None] | None = None) -> None:
        self.dice = random.Random(seed)
        self.ground = Ground(self.dice, ledger, story)
        self.sessions: list[Session] = []
        self._trouble = Trouble(ground=self.ground)
        self._reached: list[tuple[Any, ...]] = []
        self._over = False

    def run(self) -> None:
        """Play it to its end."""
        ground = self.ground
        timeline = ground.timeline
        with simulated(ground.clocks, timeline, random.Random(self.dice.random())):
            try:
                timeline.begin(Control(timeline, 1, "desk"), self._operate)
                ended = timeline.run(lambda: self._over, 20_000 + 500 * len(ground.plan.nodes))
                assert ended, "it does not come to an end"
                assert self._over, "nothing happens any more, and it is not over"
            finally:
                timeline.end()

    def _operate(self) -> None:
        """What an operator does: go on until the end, whatever happens."""
        what = "apply"
        chaos = self.dice.choice([0, 1, 1, 2, 3, CHAOS])
        for n in range(chaos + CALM):
            if n == chaos:
                self._wait_for_calm()
            session = self._session(what)
            found = self._found()
            assert not self.ground.witness.wrong, self.ground.witness.wrong
            following = self._next(session, found)
            if following is None:
                break
            what = following
            self._reached.append((session.code, *found))
        else:
            raise AssertionError(f"it does not come to an end: {found}")
        self.ground.timeline.wait(1000.0)  # what is late still comes
        assert not self.ground.witness.wrong, self.ground.witness.wrong
        self._compare()
        self._once_more()
        self._over = True

    def _once_more(self) -> None:
        """Going on with a run that is through does nothing."""
        found, started = self._found(), self.ground.witness.number
        if found[0] not in OVER or found[1] not in {0, 3} or self.dice.random() < 0.7:
            return
        for what in ("resume", "rollback") if found[0] is RunState.ROLLED_BACK else ("resume",):
            session = self._session(what)
            assert isinstance(session.refused, InputError), f"{what} went on with a run that is {found[0]}"
            assert (self._found(), self.ground.witness.number) == (found, started), f"{what} did something after that"
            self.ground.tally[f"{what} of a run that is {found[0]}, refused"] += 1

    def _session(self, what: str, **more: tuple[str, str]) -> Session:
        """Begin a session; comes back when it has ended, or seems to have."""
        ground = self.ground
        machine = self.dice.choice(["m1", "m1", "m2"])
        control = Control(ground.timeline, len(self.sessions) + 2, machine, self._trespassed)
        session = Session(ground=ground, control=control, what=what, **more)
        self.sessions.append(session)
        if not self._trouble.over:
            self._trouble.begin(session)
        ground.timeline.begin(control, session.live)
        while not control.dead and control.stalled <= ground.timeline.now + PATIENCE:
            ground.timeline.wait(5.0)
        if not control.dead:
            ground.timeline.wait(PATIENCE)
        self._count(session)
        return session

    def _count(self, session: Session) -> None:
        tally, ended = self.ground.tally, session.control.ended
        if ended:
            tally[f"process died {ended}"] += 1
            tally[f"{session.what} died"] += 1
        if isinstance(session.refused, HostsHeld):
            tally["command refused, as another process works on the run"] += 1
        took = [s.what for s in self.sessions if s.took and s.what != "mark"]
        if session.took and len(took) > 1:
            tally[f"{took[-1]} after {took[-2]}"] += 1

    def _next(self, session: Session, found: _Found) -> str | None:
        """The next command; None: nothing is left to be done."""
        state, code, _ = found
        if state is None:
            return "apply"
        if not self._trouble.over:
            return self._whatever(found)
        if isinstance(session.refused, HostsHeld):
            self.ground.timeline.wait(PATIENCE)
            return session.what
        if state in OVER and self.ground.witness.held:
            # A process died between taking the run and going on with it.
            return "resume" if state is RunState.ROLLED_BACK else "rollback"
        over = session.code == 0 or (state is RunState.ROLLED_BACK and code != 1)
        refused = isinstance(session.refused, InputError) and session.what == self._way(state)
        if over or refused or (session.code is not None and self._stands((session.code, *found))):
            return None
        return self._way(state)

    def _stands(self, reached: tuple[Any, ...]) -> bool:
        """Whether going on alters nothing any more, but for what may fail each time at the end of the run."""
        if self._reached[-1:] == [reached]:
            return True
        forward = [node.id not in self.ground.plan.at_end for node in self.ground.plan.nodes]
        latest = [(*known, *compress(states, forward)) for *known, states in (*self._reached[-STANDS:], reached)]
        return len(latest) > STANDS and len(set(latest)) == 1

    def _way(self, state: RunState) -> str:
        """The command that goes on with a run in such a state."""
        return "rollback" if self._back or state is RunState.ROLLBACK_INCOMPLETE else "resume"

    def _whatever(self, found: _Found) -> str:
        if self.dice.random() < 0.3:
            self._mark(found)
        if self.dice.random() < 0.1:
            return "kill"
        return "rollback" if self.dice.random() < (0.7 if self._back else 0.15) else "resume"

    def _mark(self, found: _Found) -> None:
        """Say what is true of a node that only an operator can tell of, or has mended: nothing of it runs any more."""
        ground = self.ground
        if any(not session.control.dead for session in self.sessions):
            return
        for node, state in zip(ground.plan.nodes, found[2], strict=True):
            if node.id not in ground.in_place and not ground.witness.at_work(node.id):
                verdict = self._verdict(node.id, NodeState(state))
                if verdict is Mark.SKIPPED:
                    ground.witness.skipped.add(node.id)
                if verdict is not None:
                    self._session("mark", mark=(node.id, verdict))
                    return

    def _verdict(self, node: str, state: NodeState) -> Mark | None:
        ground, dice = self.ground, self.dice
        host, there = ground.hosts[ground.plan.by_id[node].host], ground.witness.parts(node)
        whole = there == ground.parts[node]
        if state is NodeState.UNKNOWN and host.lost_power:
            nothing = dice.choice([Mark.REVERTED, Mark.SKIPPED])
            return Mark.SUCCEEDED if whole else Mark.FAILED if there else nothing
        if state is NodeState.FAILED and whole:
            return Mark.SUCCEEDED
        if state is NodeState.REVERT_FAILED or (state is NodeState.FAILED and dice.random() < 0.2):
            host.clear(node)  # by hand
            return Mark.REVERTED if state is NodeState.REVERT_FAILED else dice.choice([Mark.REVERTED, Mark.SKIPPED])
        return None

    @property
    def _back(self) -> bool:
        """Whether the last session that took the run rolled it back."""
        took = [s.what for s in self.sessions if s.took and s.what in {"apply", "resume", "rollback"}]
        return took[-1:] == ["rollback"]

    def _found(self) -> _Found:
        """State and exit code of the run, and the states of its nodes, as they are in the database."""
        raw = self.ground.ledger.raw
        run = raw.execute("SELECT state, exit_code FROM runs").fetchone()
        nodes = raw.execute("SELECT state FROM nodes ORDER BY n").fetchall()
        return (RunState(run[0]), run[1], tuple(state for (state,) in nodes)) if run else (None, None, ())

    def _wait_for_calm(self) -> None:
        self._trouble.end()
        for session in self.sessions:
            session.control.stalled = 0.0
        self.ground.timeline.wait(100.0)  # hosts come back
        while any(not session.control.dead for session in self.sessions):
            self.ground.timeline.wait(20.0)

    def _trespassed(self, control: Control) -> None:
        self.ground.witness.wrong.append(f"{control.name} writes although another one has taken over")

    def _compare(self) -> None:
        ground = self.ground
        tally, (run, code, nodes) = ground.tally, self._found()
        tally[f"run in the end {run}"] += 1
        tally[f"exit code in the end {code}"] += 1
        tally.update(f"node in the end {state}" for state in set(nodes))
        attempts = ground.ledger.raw.execute("SELECT DISTINCT phase, state FROM attempts")
        tally.update(f"{phase} in the end {state}" for phase, state in attempts)
        tally["30 steps on 20 hosts"] += len(ground.plan.steps) == 30 and len(ground.hosts) == 20
        Truth(
            SqlJournal(ground.ledger),
            ground.witness,
            parts=ground.parts,
            in_place=ground.in_place,
            wanted_back=self._back,
        ).check()
