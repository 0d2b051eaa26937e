"""What is done to controllers, sessions, links and hosts while operations are under way, each by a seed of its own."""

import math
import random
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

from campaign_ground import Ground, Verdict, Work, judged

from opsflow.model import NodeState

LONGEST_CUT = 30.0
_CUTS = 3


@dataclass(kw_only=True)
class Told:
    """What came of one run.

    Attributes:
        operations: How many it had, by host.
        hit: (host, name) of the commands that were under way when something was done to them.
        disturbances: How often something was done, by what it was.
        verdict: How it compares with what the witnesses say.
        doubtful: Ids of the nodes that were worked on when their host lost its power, or was without.
        seconds: How long it took.
    """

    phase: str
    seed: int
    operations: Counter = field(default_factory=Counter)
    hit: set = field(default_factory=set)
    disturbances: Counter = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    doubtful: set = field(default_factory=set)
    seconds: float = 0.0

    def line(self):
        """One line for the screen."""
        done = ", ".join(f"{count} {what}" for what, count in sorted(self.disturbances.items()))
        return (
            f"{self.phase} seed {self.seed}: {self.operations.total()} operations, {done}; {len(self.hit)} commands under way"
            f" then; {len(self.verdict.unknown)} nodes unknown, {len(self.verdict.never)} never begun;"
            f" {len(self.verdict.wrong)} wrong; {self.seconds:.0f} s"
        )


class Phase:
    """One kind of trouble. Subclasses do it.

    Attributes:
        name: What it is called.
        title: What the table calls it.
        work: What every host has to do in a run.
        machines_only: Whether hosts that are only an sshd cannot have this trouble.
        aim: How many commands have to be under way in such trouble, in a whole campaign.
    """

    name = title = ""
    work: Work
    machines_only = False
    aim = 0

    def __init__(self, *, longest=LONGEST_CUT):
        self.longest = longest

    def round(self, targets, project, seed):
        """One run with its trouble; what came of it."""
        dice = random.Random(f"{self.name} {seed}")
        told = Told(phase=self.name, seed=seed)
        ground = Ground(targets, project)
        ground.playbook(self.work.playbook())
        told.operations.update({target.name: self.work.operations() for target in targets})
        began = time.monotonic()
        code, text = self.trouble(ground, dice, told)
        told.verdict = judged(ground, self.work, doubtful=told.doubtful)
        if code != told.verdict.code:
            told.verdict.wrong.append(("", "false status", f"opsflow ended with {code}; it says:\n{text[-2000:]}"))
        told.seconds = time.monotonic() - began
        return told

    def trouble(self, ground, dice, told):
        """Run the playbook to its end in trouble; exit code and text of the command that came through."""
        raise NotImplementedError


class Controllers(Phase):
    """The controller is killed, again and again, until one comes through."""

    name, title = "controller", "controller killed with SIGKILL"
    work = Work(singles=10, hooks=3, pace=0.3)
    aim = 3000

    def trouble(self, ground, dice, told):
        command = ("apply", "play.toml", "--yes")
        while True:
            process, output = ground.start(*command)
            deaths = told.disturbances["kills"]
            if dice.random() < 0.3:  # while it begins, connects and asks
                process.join(dice.uniform(0, 1.0) + deaths / 20)
            else:  # while it works
                _until(lambda process=process: process.exitcode is not None or ground.under_way(), 20)
                process.join(dice.uniform(0, 0.8) + deaths / 20)
            found = ground.under_way()
            if process.exitcode is None:
                process.kill()
                told.disturbances["kills"] += 1
                told.hit |= found
            code, text = ground.end(process, output)
            if ground.over():  # it may have been killed as it went
                return ground.exit_code(), text
            if code >= 0:
                return code, text
            if ground.runs():
                command = ("resume",)


class Sessions(Phase):
    """The sshd processes of sessions are killed on one host after another."""

    name, title = "session", "session's sshd killed with SIGKILL"
    work = Work(singles=10, hooks=3, pace=0.4)
    aim = 500

    def trouble(self, ground, dice, told):
        process, output = ground.start("apply", "play.toml", "--yes")
        _until(lambda: process.exitcode is not None or ground.under_way(), 30)
        while process.exitcode is None:
            target = dice.choice(ground.targets)
            found = {(target.name, name) for name in target.under_way()}
            target.end_sessions()
            told.disturbances["kills"] += 1
            told.hit |= found
            process.join(dice.uniform(0.1, 0.6))
        return ground.end(process, output)


class Links(Phase):
    """The cables of all hosts are pulled out and put in again, each in its own time, silently or with a refusal."""

    name, title = "link", "link cut for 1 to 30 s"
    work = Work(singles=6, hooks=1, pace=5.0)
    machines_only = True
    aim = 200

    def trouble(self, ground, dice, told):
        return _each(ground, dice, told, self._cut)

    def _cut(self, ground, target, dice, told, through):
        for _ in range(_CUTS):
            if through.wait(dice.uniform(0.3, 3.0)):
                return
            silent = dice.random() < 0.5
            seconds = math.exp(dice.uniform(0.0, math.log(self.longest)))
            found = {(target.name, name) for name in target.under_way()}
            (target.fleet.cut if silent else target.fleet.reject)(target.name)
            try:
                told.disturbances["silent cuts" if silent else "loud cuts"] += 1
                told.hit |= found
                time.sleep(seconds)
            finally:
                target.fleet.mend(target.name)


class Power(Phase):
    """Every host loses its power once, and comes back on the same disk."""

    name, title = "power", "power loss of the host"
    work = Work(singles=8, hooks=2, pace=1.5, durable=True)
    machines_only = True
    aim = 120

    def trouble(self, ground, dice, told):
        dies = dice.uniform(1.0, 4.0) if dice.random() < 0.5 else None
        code, text = _each(ground, dice, told, self._lose, dies=dies)
        if code < 0:
            code, text = ground.opsflow("resume")
        before = _settled(ground)
        if code == 4:  # whoever asks again hears the same, and nothing is repeated
            code, text = ground.opsflow("resume")
            assert before.items() <= _settled(ground).items(), "a resume without any news has changed states"
        return code, text

    def _lose(self, ground, target, dice, told, through):
        if through.wait(dice.uniform(0.1, 2.5)):
            return
        found = {(target.name, name) for name in target.under_way()}
        told.doubtful |= ground.at_work(target.name)
        target.fleet.power_loss(target.name)
        told.disturbances["losses"] += 1
        told.hit |= found
        time.sleep(dice.uniform(0.0, 2.0))
        told.doubtful |= ground.at_work(target.name)  # sent to it before that was noticed
        target.fleet.boot(target.name)
        told.doubtful |= ground.at_work(target.name)


PHASES = {phase.name: phase for phase in (Controllers, Sessions, Links, Power)}


def _settled(ground):
    """States by node of those that succeeded, or of which nobody can tell."""
    return {n.id: n.state for n in ground.nodes() if n.state in {NodeState.SUCCEEDED, NodeState.UNKNOWN}}


def _each(ground, dice, told, work, *, dies=None):
    """Run the playbook while `work` does something to every host in a thread of its own.

    Where the controller dies after so many seconds, all threads are let come to their end.
    """
    process, output = ground.start("apply", "play.toml", "--yes")
    _until(lambda: process.exitcode is not None or ground.under_way(), 30)
    with _threads(ground, dice, told, work) as through:
        try:
            if dies is not None:
                process.join(dies)
                if process.exitcode is None:
                    process.kill()
                    told.disturbances["controllers killed"] += 1
            return ground.end(process, output)
        finally:
            if dies is None:
                through.set()


@contextmanager
def _threads(ground, dice, told, work):
    through, failed = threading.Event(), []

    def guarded(target, own):
        try:
            work(ground, target, own, told, through)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(t, random.Random(dice.random()))) for t in ground.targets]
    for thread in threads:
        thread.start()
    yield through
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _until(holds, seconds):
    ends = time.monotonic() + seconds
    while not holds() and time.monotonic() < ends:
        time.sleep(0.01)
