"""One run each in which the controller is killed: at a boundary, or at random moments."""

import itertools
import json
import random
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field

from fault_boundaries import BACK, BOUNDARIES, FAILURE, FORWARD
from fault_ground import patiently
from fault_hooks import AtBoundary, Census
from fault_witness import judged
from fault_work import APPLY, ENDS, FAILING

from opsflow.model import RunState

ROLLBACK = ("rollback", "--yes")
RESUME = ("resume",)
SENT = "the message is sent, not answered"
LONGEST = {FORWARD: 1.0, BACK: 1.7}
"""Seconds within which a session is killed."""
_SESSIONS = 6
"""More sessions than a run needs to come to its end once nobody kills them."""
_KILLED = -9


@dataclass(kw_only=True)
class Told:
    """What came of one run.

    Attributes:
        phase: What was done to it.
        way: Which way it went.
        database: Where its journal is.
        what: What names it within its phase.
        boundary: At which the controller died; empty: elsewhere.
        done: How often what was done, by what it was.
        wrong: (one of `KINDS`, what).
        seconds: How long it took.
    """

    phase: str
    way: str
    database: str
    what: str
    boundary: str = ""
    done: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)
    seconds: float = 0.0

    def line(self):
        """One line for the screen."""
        done = ", ".join(f"{count} {what}" for what, count in sorted(self.done.items()))
        return (
            f"{self.phase}, {self.way}, {self.database}, {self.what}: {done}; {len(self.wrong)} wrong;"
            f" {self.seconds:.1f} s"
        )


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """How a controller comes to where it dies.

    Attributes:
        way: The way of the run.
        command: What dies.
        opens: From where on.
        before: What is done before: a command, and where that dies; None: it comes through.
        fresh: The journal has no tables.
    """

    way: str
    command: tuple
    opens: str | None = None
    before: tuple = ()
    dies: bool = False
    fresh: bool = False


SCENARIOS = {
    "a run": Scenario(way=FORWARD, command=APPLY),
    "a resume": Scenario(way=FORWARD, command=RESUME, before=APPLY, dies=True),
    "the first run": Scenario(way=FORWARD, command=APPLY, fresh=True),
    "a run that fails": Scenario(way=BACK, command=FAILING, opens=FAILURE),
    "a rollback": Scenario(way=BACK, command=ROLLBACK, before=APPLY),
    "a resumed rollback": Scenario(way=BACK, command=RESUME, before=FAILING, dies=True),
}


def census(stage):
    """How often each boundary is reached in each scenario: by (scenario, boundary).

    Raises:
        AssertionError: one is never reached on a way on which it should be.
    """
    counts = {}
    for (name, scenario), hurried in itertools.product(SCENARIOS.items(), (False, True)):
        _set(stage, scenario, 1)
        file = stage.project / "census.json"
        file.unlink(missing_ok=True)
        fate = Census(file=str(file), opens=scenario.opens, hurried=hurried)
        ended = stage.quick(*scenario.command, fate=fate)
        assert ended.code in {0, 3}, (name, ended)
        assert not (wrong := judged(stage, scenario.way)), (name, wrong)
        counts |= {(name, boundary): n for boundary, n in json.loads(file.read_text()).items()}
    never = [(b.name, way) for b in BOUNDARIES for way in b.ways if not scenarios_of(b, way, counts)]
    assert not never, f"these boundaries are never reached: {never}"
    return counts


def scenarios_of(boundary, way, counts):
    """Names of the scenarios in which a boundary is reached on a way."""
    return [
        name
        for name, scenario in SCENARIOS.items()
        if scenario.way == way and scenario.fresh == boundary.fresh and counts.get((name, boundary.name))
    ]


def _set(stage, scenario, n):
    """Bring the hosts and the journal to where a scenario begins. `n`: at which message a first controller dies."""
    stage.clear()
    if scenario.fresh:
        stage.drop()
    if scenario.before:
        opens = FAILURE if scenario.way == BACK and scenario.dies else None
        fate = AtBoundary(name=SENT, n=n, opens=opens) if scenario.dies else None
        ended = stage.quick(*scenario.before, fate=fate)
        assert ended.code == (_KILLED if scenario.dies else 0), ended


@dataclass(frozen=True, kw_only=True)
class BoundaryRound:
    """A controller dies at a boundary, and others go on.

    Attributes:
        boundary: Its name.
        scenario: How it is come to.
        n: At which time it is reached.
        repetition: The how manieth time this is done, from 0.
        database: Where the journal is.
    """

    boundary: str
    scenario: str
    n: int
    repetition: int
    database: str

    phase = "boundaries"

    @property
    def way(self):
        return SCENARIOS[self.scenario].way

    @property
    def what(self):
        return f"{self.boundary}, in {self.scenario}, time {self.n}"

    def play(self, stage, told):
        """Do it."""
        scenario = SCENARIOS[self.scenario]
        for n in (self.n, 1):  # how often it is reached depends a little on how fast things are
            before = "" if scenario.fresh else _id(stage.newest())
            _set(stage, scenario, 1 + self.repetition % 5)
            fate = AtBoundary(name=self.boundary, n=n, opens=scenario.opens)
            ended = stage.quick(*scenario.command, fate=fate)
            if ended.code == _KILLED:
                told.done["kills"] += 1
                break
        if self.repetition % 2:  # otherwise what was running may still be
            stage.settle()
        # Where there are no tables yet, the next command makes them: nobody looks before.
        begun = not scenario.fresh and _id(stage.newest()) != before
        finish(stage, self.way, () if begun else scenario.command, back=self.repetition % 4 < 2)


@dataclass(frozen=True, kw_only=True)
class RandomRound:
    """Controllers die at random moments, one after the other.

    Attributes:
        seed: Decides when.
        deaths: So many, each of a session that goes on where the one before died; 0: until one comes through.
        way: The way of the run.
        database: Where the journal is.
    """

    seed: int
    deaths: int
    way: str
    database: str

    @property
    def phase(self):
        return "double" if self.deaths else "random"

    @property
    def what(self):
        return f"seed {self.seed}"

    def play(self, stage, told):
        """Do it."""
        dice = random.Random(f"{self.phase} {self.way} {self.database} {self.seed}")
        first = APPLY if self.way == FORWARD else FAILING
        while True:
            stage.clear()
            known, told.done["kills"] = _id(stage.newest()), 0
            through = self._sessions(stage, dice, told, known, first)
            begun = _id(stage.newest()) != known
            finish(stage, self.way, () if begun else first)
            if not (self.deaths and through):
                return

    def _sessions(self, stage, dice, told, known, first):
        """Kill one after the other; whether one came through, or the run was over."""
        command = first
        while not self.deaths or told.done["kills"] < self.deaths:
            delay = dice.uniform(0.05, LONGEST[self.way]) / (2 if self.deaths else 1) + told.done["kills"] / 20
            if stage.kill_fork(stage.fork(*command), line=0, delay=delay).code != _KILLED:
                return True
            told.done["kills"] += 1
            run = stage.newest()
            if _id(run) != known:
                command = RESUME
                if run.state is ENDS[self.way]:
                    return True
        return False


def finish(stage, way, begin, *, back=False):
    """Bring a run to its end. `begin`: what begins it, if nothing did; `back`: by `rollback`, not by `resume`."""
    if begin:
        ended = stage.quick(*begin)
        assert ended.code in {0, 3}, ended
    for _ in range(_SESSIONS):
        run = stage.newest()
        if run.state is ENDS[way]:
            return
        untouched = way == BACK and run.state is RunState.SUCCEEDED
        ended = stage.quick(*(ROLLBACK if untouched or (way == BACK and back) else RESUME))
        assert ended.code in {0, 3}, ended
    raise AssertionError(f"it does not come to its end; it is {run.state}")


def played(one, stage):
    """Do a round and judge what came of it: a `Told`."""
    told = Told(phase=one.phase, way=one.way, database=one.database, what=one.what)
    told.boundary = getattr(one, "boundary", "")
    began = time.monotonic()
    try:
        one.play(stage, told)
        told.wrong += patiently(lambda: judged(stage, one.way))
    except Exception:  # of whatever kind: it is one thing more that must not be
        told.wrong.append(("false state", traceback.format_exc()[-3000:]))
        patiently(stage.forget)
    told.seconds = time.monotonic() - began
    return told


def boundary_rounds(counts, databases, repetitions):
    """All rounds of the boundaries, a repetition after the other, spread over the times at which each is reached."""
    for repetition in range(repetitions):
        for boundary, way, database in itertools.product(BOUNDARIES, (FORWARD, BACK), databases):
            if way not in boundary.ways:
                continue
            names = scenarios_of(boundary, way, counts)
            scenario = names[repetition % len(names)]
            reached = counts[scenario, boundary.name]
            n = 1 + (repetition // len(names) * max(reached // 4, 1)) % reached
            yield BoundaryRound(
                boundary=boundary.name, scenario=scenario, n=n, repetition=repetition, database=database
            )


def _id(run):
    return run.id if run else ""
