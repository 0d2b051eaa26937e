"""Kills while the release of a server is exchanged, and what has to be true afterwards."""

import itertools
import time
from dataclasses import dataclass, field

from service_ground import NEW, OLD, TASKS

POINTS = 20
WAYS = ("resume", "rollback", "back")
"""The controller of `apply` dies, then `resume` and `rollback`; or `rollback` at once; or that of `rollback` dies."""
VICTIMS = ("controller", "controller and runner")
_EXCHANGE = [f"stop {OLD}", f"start {NEW}"]
_ALL_BACK = [*_EXCHANGE, f"stop {NEW}", f"start {OLD}"]
_BACK = ([], [f"stop {OLD}", f"start {OLD}"], _ALL_BACK)
"""What a server may have gone through when its release is the old one again: each at most once."""
_BACK_STATES = {"reverted", "pending", "blocked", "cancelled"}
_PATIENCE = 300.0


@dataclass(frozen=True, kw_only=True)
class Round:
    """One kill.

    Attributes:
        task: The step that is under way: one of `TASKS`.
        point: Of `POINTS` moments in it, from 1.
        way: One of `WAYS`.
        victim: One of `VICTIMS`.
    """

    task: str
    point: int
    way: str
    victim: str


@dataclass(kw_only=True)
class Told:
    """What came of a round. `hit`: the step was under way when its controller was killed."""

    backend: str
    round: Round
    hit: bool = False
    wrong: list = field(default_factory=list)
    seconds: float = 0.0

    def line(self):
        """One line for the screen."""
        one = self.round
        return (
            f"{self.backend} {one.task} {one.point}/{POINTS} {one.way}, {one.victim} killed"
            f"{'' if self.hit else ' too late'}: {len(self.wrong)} wrong; {self.seconds:.1f} s"
        )


def rounds():
    """All there are. The first 60 have every moment of every task once, and so each 60 after them."""
    kinds = list(itertools.product(WAYS, VICTIMS))
    for turn, n, at in itertools.product(range(len(kinds)), range(POINTS), range(len(TASKS))):
        way, victim = kinds[(turn + n + at) % len(kinds)]
        yield Round(task=TASKS[at], point=1 + 7 * n % POINTS, way=way, victim=victim)  # a part is spread, too


class Usual:
    """How long a task takes when nobody is killed, forward and back: an exchange, and back, tell."""

    def __init__(self, one):
        self._seconds = {}
        for way, arguments in (("forward", ("apply", "play.toml", "--yes")), ("back", ("rollback", "--yes"))):
            started = one.ground.start(*arguments)
            for task in TASKS if way == "forward" else reversed(TASKS):
                _await(one, started, task, "begin")
                began = time.monotonic()
                _await(one, started, task, "end")
                self._seconds[way, task] = time.monotonic() - began
            code, text = one.ground.end(*started)
            assert code == 0, text

    def __getitem__(self, played):
        """Seconds from the beginning of its task to the moment of a round."""
        seconds = self._seconds["back" if played.way == "back" else "forward", played.task]
        return seconds * (played.point - 0.5) / POINTS


def play(one, usual, played):
    """One round on a server whose old release is live, and is again afterwards."""
    told, began = Told(backend=one.backend, round=played), time.monotonic()
    (one.target.home / "witness").write_text("")
    if played.way == "back":
        _ended(one, told, "apply", "play.toml", "--yes")
        _judge(one, told, NEW, [_EXCHANGE])
    _kill(one, told, usual[played])
    through = played.way == "resume" and _resumed(one, told)
    if through:
        _judge(one, told, NEW, [_EXCHANGE])
    if not _rolled_back(one):
        _ended(one, told, "rollback", "--yes")
    _judge(one, told, OLD, [_ALL_BACK] if through or played.way == "back" else _BACK)
    told.seconds = time.monotonic() - began
    return told


def _resumed(one, told):
    """Whether the exchange came to its end; a script that was killed may have failed, and put back what was."""
    if not one.ground.over():
        code, text = one.ground.opsflow("resume")
        if code and (told.round.victim == VICTIMS[0] or not _rolled_back(one)):
            told.wrong.append(f"opsflow resume ended with {code}; it says:\n{text[-3000:]}")
    return not _rolled_back(one)


def _rolled_back(one):
    return one.ground.over() and not {node.state for node in one.ground.nodes()} - _BACK_STATES


def _ended(one, told, *arguments):
    code, text = one.ground.opsflow(*arguments)
    if code:
        told.wrong.append(f"opsflow {arguments[0]} ended with {code}; it says:\n{text[-3000:]}")


def _kill(one, told, delay):
    played = told.round
    back = played.way == "back"
    started = one.ground.start(*(("rollback", "--yes") if back else ("apply", "play.toml", "--yes")))
    _await(one, started, played.task, "begin")
    process, _ = started
    process.join(delay)
    if process.exitcode is None:
        told.hit = _lines(started, played.task, "end") == 0
        process.kill()
        if played.victim != VICTIMS[0]:
            one.kill_runner()
    one.ground.end(*started)


def _judge(one, told, release, allowed):
    """What is not as it must be, once everything has ended."""
    seen = one.witness()
    wrong = {
        f"{one.live()} is live, not {release}": one.live() != release,
        f"the server answers {one.answer()}, not {release}": one.answer() != release,
        f"there are {len(one.servers())} servers": len(one.servers()) != 1,
        f"the witness says {seen}": seen not in list(allowed),
        f"there is left: {one.left_over()}": bool(one.left_over()),
    }
    told.wrong += [what for what, is_so in wrong.items() if is_so]


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
            assert _lines(started, task, what), f"{one.backend}: {task} does not {what}:\n{output.read_text()}"
        time.sleep(0.005)
