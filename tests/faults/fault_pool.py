"""Several pairs of hosts, a process each that works on them, and rounds that these share."""

import itertools
import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path

from fault_disks import small_disk
from fault_rounds import census, played
from fault_work import Stage

from opsflow.testing import SshdFleet
from opsflow.testing.cutting import CommitCutter

RESTART_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Arena:
    """Where one process plays.

    Attributes:
        directory: Of all its files.
        address: Of its first host.
        url: Of its database on the server.
        port: The server's.
        restarts: File with a line for each restart of the server.
    """

    directory: Path
    address: str
    url: str
    port: int
    restarts: Path

    @contextmanager
    def stages(self):
        """Its hosts with a project for each kind of journal, by name."""
        with ExitStack() as open_:
            self.directory.mkdir(parents=True)
            fleet = open_.enter_context(
                SshdFleet(self.directory / "hosts", ["one", "two"], first_address=self.address, sessions=100)
            )
            cutter = open_.enter_context(CommitCutter(self.port))
            found = {
                "sqlite": Stage(fleet, self.directory / "sqlite"),
                "mariadb": Stage(fleet, self.directory / "mariadb", self.url, cutter=cutter, restarts=self.restarts),
            }
            with suppress(OSError):  # not everybody may mount
                disk = open_.enter_context(small_disk(self.directory / "disk"))
                found["disk"] = Stage(fleet, self.directory / "on-disk", f"sqlite:///{disk}/journal.db", disk=disk)
            yield found


class Pool:
    """Processes, an arena each.

    Args:
        arenas: Theirs.
    """

    def __init__(self, arenas):
        context = multiprocessing.get_context("spawn")
        free = context.SimpleQueue()
        for arena in arenas:
            free.put(arena)
        self._size = len(arenas)
        self._pool = ProcessPoolExecutor(self._size, mp_context=context, initializer=_enter, initargs=(free,))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pool.shutdown(cancel_futures=True)

    def census(self):
        """See `fault_rounds.census`."""
        return self._pool.submit(_census).result()

    def play(self, rounds, enough=lambda _: False):
        """What came of rounds, as it comes, until it is `enough`."""
        rounds, told = iter(rounds), []
        while batch := list(itertools.islice(rounds, 4 * self._size)):
            for one in self._pool.map(_play, batch):
                told.append(one)
                yield one
            if enough(told):
                return


@contextmanager
def restarting(server, restarts):
    """Restart a database server every few seconds, by turns killed and stopped in good order."""
    over = threading.Event()

    def restart():
        for n in itertools.count():
            if over.wait(RESTART_SECONDS):
                return
            (server.kill if n % 2 else server.stop)()
            server.restart()
            with restarts.open("a") as file:
                file.write("restarted\n")

    thread = threading.Thread(target=restart)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# Within a process of the pool

_MINE = {}


def _enter(free):
    arena = free.get().stages()
    _MINE.update(arena.__enter__())
    Finalize(None, arena.__exit__, (None, None, None), exitpriority=10)


def _census():
    return census(_MINE["sqlite"])


def _play(one):
    return played(one, stage_of(one, _MINE))


def stage_of(one, stages):
    """Where a round is played."""
    return stages["disk" if one.phase == "disks" else one.database]
