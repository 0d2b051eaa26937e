"""Kills while a step of a playbook is under way: of what, when, and what is done then. What is true is the subject's to tell."""

import itertools
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

POINTS = 20
WAYS = ("resume", "rollback", "back")
"""The controller of `apply` dies, then `resume` and `rollback`; or `rollback` at once; or that of `rollback` dies."""
VICTIMS = ("controller", "controller and runner")
_BACK_STATES = {"reverted", "pending", "blocked", "cancelled"}
_PATIENCE = 300.0
_HANDS = 4
"""How often a rollback may ask for a person's steps: once for each script, and for its undo."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One kill.

    Attributes:
        task: The step that is under way.
        point: Of `POINTS` moments in it, from 1.
        way: One of `WAYS`.
        victim: One of `VICTIMS`.
        play: The playbook's file, without its ending.
    """

    task: str
    point: int
    way: str
    victim: str
    play: str = "play"


@dataclass(kw_only=True)
class Told:
    """What came of a round.

    Attributes:
        name: Of the subject.
        round: What was done.
        hit: Whether the step was under way when its controller was killed.
        by_hand: How often steps for a person were told, and followed.
        wrong: What was not as it must be.
        seconds: How long it took.
    """

    name: str
    round: Round
    hit: bool = False
    by_hand: int = 0
    wrong: list = field(default_factory=list)
    seconds: float = 0.0

    def line(self):
        """One line for the screen."""
        one = self.round
        return (
            f"{self.name} {one.play} {one.task} {one.point}/{POINTS} {one.way}, {one.victim} killed"
            f"{'' if self.hit else ' too late'}{', steps by hand' if self.by_hand else ''}:"
            f" {len(self.wrong)} wrong; {self.seconds:.1f} s"
        )


class Subject(ABC):
    """What is changed by a playbook while its controllers are killed, and put back again.

    Attributes:
        name: Its name.
        ground: Its project, of `campaign_ground`.
        tasks: Ids of the playbook's steps, in order.
    """

    def __init__(self, name, ground, tasks):
        self.name = name
        self.ground = ground
        self.tasks = tasks

    def begin(self):  # noqa: B027 - most have nothing to do
        """A round begins."""

    @abstractmethod
    def kill_runner(self):
        """SIGKILL to all that opsflow runs on the host."""

    @abstractmethod
    def changed(self, played):
        """What is not as it must be once the playbook is through."""

    @abstractmethod
    def put_back(self, played, *, through):
        """What is not as it must be once all is put back; `through`: the playbook had come to its end before."""

    def follow(self, played, text):
        """Do what a command tells a person to do; whether it told so, and rightly."""
        del played, text
        return False


def rounds(tasks, plays=("play",)):
    """All there are. The first of them have every moment of every task once, and so each that many after them."""
    kinds = list(itertools.product(WAYS, VICTIMS, plays))
    for turn, n, at in itertools.product(range(len(kinds)), range(POINTS), range(len(tasks))):
        way, victim, play = kinds[(turn + n + at) % len(kinds)]
        # a part is spread, too
        yield Round(task=tasks[at], point=1 + 7 * n % POINTS, way=way, victim=victim, play=play)


class Usual:
    """How long a task takes when nobody is killed, forward and back: a whole change, and its rollback, tell."""

    def __init__(self, one, plays=("play",)):
        self._seconds = {}
        for play in plays:
            one.begin()
            for way, arguments in (("forward", ("apply", f"{play}.toml", "--yes")), ("back", ("rollback", "--yes"))):
                started = one.ground.start(*arguments)
                for task in one.tasks if way == "forward" else reversed(one.tasks):
                    _await(one, started, task, "begin")
                    began = time.monotonic()
                    _await(one, started, task, "end")
                    self._seconds[play, way, task] = time.monotonic() - began
                code, text = one.ground.end(*started)
                assert code == 0, text

    def __getitem__(self, played):
        """Seconds from the beginning of its task to the moment of a round."""
        return self._seconds[self._task(played)] * (played.point - 0.5) / POINTS

    def came_too_late(self, played):
        """The task was over at the moment of a round: usually it takes less."""
        self._seconds[self._task(played)] = self[played] * 0.95

    @staticmethod
    def _task(played):
        return played.play, "back" if played.way == "back" else "forward", played.task


def play(one, usual, played):
    """One round on a subject that is as it was at first, and is again afterwards. `usual`: the moment of a round."""
    told, began = Told(name=one.name, round=played), time.monotonic()
    one.begin()
    back = played.way == "back"
    if back:
        _ended(one, told, "apply", f"{played.play}.toml", "--yes")
        told.wrong += one.changed(played)
    if not told.wrong:
        _kill(one, told, usual[played])
    through = played.way == "resume" and _resumed(one, told)
    if through:
        told.wrong += one.changed(played)
    if not _rolled_back(one):
        _roll_back(one, told)
    told.wrong += one.put_back(played, through=through or back)
    told.seconds = time.monotonic() - began
    return told


def _resumed(one, told):
    """Whether the playbook came to its end; a script that was killed may have failed, and put back what was."""
    if not one.ground.over():
        code, text = one.ground.opsflow("resume")
        if code == 0:
            return True
        if told.round.victim == VICTIMS[0] or not (_rolled_back(one) or _followed(one, told, text)):
            told.wrong.append(f"opsflow resume ended with {code}; it says:\n{text[-3000:]}")
        return False
    return not _rolled_back(one)


def _rolled_back(one):
    return one.ground.over() and not {node.state for node in one.ground.nodes()} - _BACK_STATES


def _roll_back(one, told):
    """`rollback`, and what it tells a person to do between."""
    for _ in range(_HANDS):
        code, text = one.ground.opsflow("rollback", "--yes")
        if not code or not _followed(one, told, text):
            break
    if code:
        told.wrong.append(f"opsflow rollback ended with {code}; it says:\n{text[-3000:]}")


def _followed(one, told, text):
    """Whether steps were told and followed: right only where nobody is left who saw the end of what was begun."""
    if told.round.victim == VICTIMS[0] or not one.follow(told.round, text):
        return False
    told.by_hand += 1
    return True


def _ended(one, told, *arguments):
    code, text = one.ground.opsflow(*arguments)
    if code:
        told.wrong.append(f"opsflow {arguments[0]} ended with {code}; it says:\n{text[-3000:]}")


def _kill(one, told, delay):
    played = told.round
    started = one.ground.start(
        *(("rollback", "--yes") if played.way == "back" else ("apply", f"{played.play}.toml", "--yes"))
    )
    _await(one, started, played.task, "begin")
    process, _ = started
    process.join(delay)
    if process.exitcode is None:
        told.hit = _lines(started, played.task, "end") == 0
        process.kill()
        if played.victim != VICTIMS[0]:
            one.kill_runner()
    one.ground.end(*started)


_SAYS = {"begin": ("running", "reverting"), "end": ("succeeded", "reverted")}


def _lines(started, task, what):
    _, output = started
    words = [line.split() for line in output.read_text(errors="replace").splitlines()]
    return sum(len(line) > 2 and line[1] in _SAYS[what] and line[2].startswith(f"{task}@") for line in words)


def _await(one, started, task, what):
    process, output = started
    ends = time.monotonic() + _PATIENCE
    while not _lines(started, task, what):
        if process.exitcode is not None or time.monotonic() > ends:
            assert _lines(started, task, what), f"{one.name}: {task} does not {what}:\n{output.read_text()}"
        time.sleep(0.005)
