"""What a whole campaign against the journal consists of."""

import itertools
import math
from dataclasses import dataclass

from fault_boundaries import BACK, FORWARD
from fault_rounds import RandomRound, boundary_rounds
from fault_servers import CutRound, DiskRound, RestartRound, StoppedRound

DATABASES = ("sqlite", "mariadb")
WAYS = (FORWARD, BACK)
REPETITIONS = 10
_COMMITS = {FORWARD: 30, BACK: 46}
"""As many as a run has on either way, or a little more."""
_RESTARTS, _DISKS, _STOPPED = 200, 60, 24


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A kind of trouble.

    Attributes:
        name: What it is called.
        title: What the table calls it.
        aim: How many kills, or how many rounds if it does not kill, a whole campaign has.
    """

    name: str
    title: str
    aim: int

    def rounds(self, counts, scale, seed):
        """Its rounds; `counts`: the census."""
        wanted = math.ceil(self.aim * scale)
        seeds = itertools.count(seed)
        match self.name:
            case "boundaries":
                return boundary_rounds(counts, DATABASES, math.ceil(REPETITIONS * scale))
            case "random":
                return (_random(at, n, deaths=0) for at, n in enumerate(seeds))
            case "double":
                return (_random(at, n, deaths=2) for at, n in enumerate(itertools.islice(seeds, wanted)))
            case "restarts":
                return (RestartRound(number=n, way=WAYS[n % 2]) for n in itertools.islice(seeds, wanted))
            case "cuts":
                return _cuts(math.ceil(1 / scale))
            case "disks":
                return (DiskRound(seed=n, way=WAYS[n % 2]) for n in itertools.islice(seeds, wanted))
            case _:
                found = itertools.product(WAYS, DATABASES, itertools.islice(seeds, math.ceil(wanted / 4)))
                return (StoppedRound(seed=n, way=way, database=database) for way, database, n in found)

    def enough(self, scale):
        """Whether what came of rounds is enough."""
        wanted = math.ceil(self.aim * scale)
        return lambda told: self.name == "random" and sum(one.done["kills"] for one in told) >= wanted


PHASES = {
    phase.name: phase
    for phase in (
        Phase(name="boundaries", title="controller killed at a named boundary", aim=0),
        Phase(name="random", title="controllers killed at random moments", aim=2000),
        Phase(name="double", title="the resume is killed, too", aim=200),
        Phase(name="restarts", title="MariaDB restarted every 5 s", aim=_RESTARTS),
        Phase(name="cuts", title="connection to MariaDB cut around a COMMIT", aim=0),
        Phase(name="disks", title="full disk under the journal", aim=_DISKS),
        Phase(name="stopped", title="controller stopped past its lease", aim=_STOPPED),
    )
}


def _random(at, seed, *, deaths):
    return RandomRound(seed=seed, deaths=deaths, way=WAYS[at % 2], database=DATABASES[at // 2 % 2])


def _cuts(every):
    for way in WAYS:
        for n, arrives in itertools.product(range(1, _COMMITS[way] + 1, every), (True, False)):
            yield CutRound(n=n, arrives=arrives, way=way)
