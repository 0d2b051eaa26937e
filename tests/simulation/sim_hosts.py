"""Hosts that run operations as `runner/` does: gates, claims, fences, and what a loss of power leaves of them.

What they really did is told to a witness, who is no part of the records.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from sim_timeline import Timeline

from opsflow.model import Operation, Recorded

KILLED, TIMED_OUT = 143, 124


class Place(NamedTuple):
    """Where operations are recorded, as an intent keeps it."""

    base_id: str
    boot: str
    machine: str
    uid: str = "0"
    base: str = "-"


class Frame(NamedTuple):
    """An answer. `kind`: as the protocol's letters have it."""

    kind: str
    status: int = 0
    out: str = ""
    flag: str = ""


@dataclass(slots=True)
class Gate:
    """An operation that was begun; `cut`: power was lost while it ran."""

    op: Operation
    command: str
    boot: int
    state: str = "runs"  # runs, ended, lost, unsigned, fenced
    status: int = 0
    out: str = ""
    flag: str = ""
    ends: float = 0.0
    happened: bool = False
    cut: bool = False


@dataclass(slots=True, kw_only=True)
class Nature:
    """How commands behave on the hosts of a seed."""

    dice: random.Random
    tally: Counter[str]
    fails: dict[str, int] = field(default_factory=dict)  # by node: how many changes fail
    sticks: dict[str, int] = field(default_factory=dict)  # the same for what undoes them
    slow: float = 0.0  # how many commands take their time
    talks: float = 0.0  # how many print something


class Host:
    """One host.

    Attributes:
        there: What was changed, by part of a node; what stands there came with it.
        away: Until when it does not answer.
        full: Until when its disk takes no new record.
        started: Told of each start: `(host, gate)`.
    """

    def __init__(self, name: str, timeline: Timeline, nature: Nature, started: Callable[["Host", Gate], None]) -> None:
        self.name, self._tally = name, nature.tally
        self.there: dict[str, str] = {}
        self.away = self.full = 0.0
        self.boot = 1
        self.lost_power: list[float] = []
        self.gates: dict[str, Gate] = {}
        self._timeline = timeline
        self._nature = nature
        self._started = started
        self._base = 1
        self._claim = ("", 0)
        self._epochs: dict[str, tuple[int, bool]] = {}
        self._fenced: set[str] = set()

    def fenced(self, record: str) -> bool:
        """Whether nothing more of an attempt may start."""
        return record in self._fenced

    @property
    def answers(self) -> bool:
        """Whether messages reach it."""
        return self._timeline.now >= self.away

    @property
    def place(self) -> Place:
        """Where it records now."""
        return Place(base_id=str(self._base), boot=str(self.boot), machine=self.name)

    # Messages

    def hello(self, run: str, epoch: int) -> Place | None:
        """Claim it; None: a later epoch has been there, or the run is over."""
        last, over = self._epochs.get(run, (0, False))
        if epoch < last or (epoch == last and over):
            self._tally["connection of an owner that had lost the run, refused"] += 1
            return None
        self._epochs[run] = (epoch, False)
        self._claim = (run, epoch)
        return self.place

    def start(self, op: Operation, command: str, timeout: float | None, claim: tuple[str, int]) -> Frame:
        """Start an operation, or attach to it."""
        if op.id in self.gates:
            self._tally["start of what had started, attached to it"] += 1
            return self.ask(op)
        if claim != self._claim or op.record in self._fenced:
            self._tally["operation refused: fenced, or of an owner that had lost the run"] += 1
            return Frame("F")
        if self._timeline.now < self.full:
            self._tally["operation refused: the host's disk is full"] += 1
            return Frame("X")
        gate = self.gates[op.id] = Gate(op=op, command=command, boot=self.boot)
        self._started(self, gate)
        self._run(gate, timeout)
        return self.ask(op)

    def ask(self, op: Operation) -> Frame:
        """What is known of an operation."""
        gate = self.gates.get(op.id)
        if gate is None:
            return Frame("N")
        if gate.state == "unsigned":
            return Frame("G")
        if gate.op.digest != op.digest:
            return Frame("M")
        if gate.state == "runs":
            return Frame("R", out=gate.out)
        return Frame("E" if gate.state == "ended" else "L", gate.status, gate.out, gate.flag)

    def record(self, attempt: str) -> list[Recorded]:
        """What an attempt has on record."""
        found: list[Recorded] = []
        while gate := self.gates.get(f"{attempt}.{len(found) + 1}"):
            unsigned = gate.state == "unsigned"
            found.append(Recorded(digest="-" if unsigned else gate.op.digest, reads="" if unsigned else gate.op.reads))
        return found

    def fence(self, attempt: str, claim: tuple[str, int], *, end: bool) -> bool | None:
        """Let nothing more of an attempt start; whether nothing of it runs any more. None: a later owner has it."""
        run, epoch = claim
        if epoch < self._epochs.get(run, (0, False))[0]:
            self._tally["fence of an owner that had lost the run, refused"] += 1
            return None
        self._fenced.add(attempt)
        mine = [g for key, g in self.gates.items() if key.rpartition(".")[0] == attempt and g.state == "runs"]
        for gate in mine if end else ():
            self._timeline.after(self._nature.dice.uniform(0.0, 5.0), lambda gate=gate: self._end(gate, KILLED, "k"))
        return not mine

    def read(self, command: str) -> str:
        """Answer a command that only looks."""
        what, _, subject = command.partition(" ")
        if what == "look":
            return self.there.get(subject, "-")
        return ",".join(sorted(key for key in self.there if key.partition("/")[0] == subject)) or "-"

    def release(self, run: str, epoch: int) -> None:
        """The run is over."""
        self._epochs[run] = (epoch, True)
        self.gates.clear()
        if self._claim == (run, epoch):
            self._claim = ("", 0)

    # What befalls it

    def clear(self, node: str) -> None:
        """Somebody puts back by hand what a node has changed."""
        for part in [part for part in self.there if part.partition("/")[0] == node]:
            del self.there[part]

    def lose_power(self, seconds: float, *, records: bool) -> None:
        """Lose power for so long. What had not reached the disk is gone; without `records` all that is recorded."""
        dice = self._nature.dice
        now = self._timeline.now
        self.boot += 1
        self.away = max(self.away, now + seconds)
        self.lost_power.append(now)
        self._tally["host lost power"] += 1
        for key, gate in list(self.gates.items()):
            if gate.state == "runs":
                gate.state, gate.cut = "lost", True
                self._tally["operation cut by a loss of power"] += 1
                if dice.random() < 0.5:
                    self._happen(gate)
            fresh = gate.state == "lost" or (gate.state == "ended" and now - gate.ends < 5.0)
            if fresh and dice.random() < 0.5:
                gate.state = "unsigned"
                if dice.random() < 0.5 and all(g.ends <= gate.ends or k == key for k, g in self._of(gate)):
                    del self.gates[key]
        if not records:
            self._tally["host lost its records"] += 1
            self._base += 1
            self.gates.clear()
            self._epochs.clear()
            self._fenced.clear()
            self._claim = ("", 0)

    # Inside

    def _of(self, gate: Gate) -> list[tuple[str, Gate]]:
        return [(k, g) for k, g in self.gates.items() if g.op.record == gate.op.record]

    def _run(self, gate: Gate, timeout: float | None) -> None:
        nature = self._nature
        roll = nature.dice.random()
        seconds = 0.005 if roll > nature.slow else nature.dice.choice([0.5, 3.0, 20.0, 90.0])
        node = gate.command.split(" ")[1].partition("/")[0]
        ills = nature.sticks if gate.command.startswith("undo") else nature.fails
        status, happens = 0, True
        if ills.get(node, 0) > 0:
            ills[node] -= 1
            status, happens = nature.dice.randint(1, 9), nature.dice.random() < 0.7
            self._tally["command fails" if ills is nature.fails else "command of a revert fails"] += 1
        if nature.dice.random() < nature.talks:
            gate.out = f"{gate.op.attempt} {gate.op.number}\n"
        flag = ""
        if timeout is not None and seconds > timeout:
            seconds, status, flag, happens = timeout, TIMED_OUT, "t", nature.dice.random() < 0.5
            self._tally["command takes too long"] += 1
        if happens:
            self._timeline.after(seconds * nature.dice.random(), lambda: self._happen_if_it_runs(gate))
        gate.ends = self._timeline.now + seconds
        self._timeline.after(seconds, lambda: self._end(gate, status, flag))

    def _happen_if_it_runs(self, gate: Gate) -> None:
        if gate.state == "runs" and not gate.happened:
            self._happen(gate)

    def _happen(self, gate: Gate) -> None:
        gate.happened = True
        what, key, *said = gate.command.split(" ")
        if what == "do":
            self.there[key] = " ".join(said)
        else:
            self.there.pop(key, None)

    def _end(self, gate: Gate, status: int, flag: str) -> None:
        if gate.state == "runs":
            gate.state, gate.status, gate.flag, gate.ends = "ended", status, flag, self._timeline.now
