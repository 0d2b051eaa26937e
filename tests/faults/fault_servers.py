"""One run each while its journal is restarted, cut off or full, or while its controller is stopped past its lease."""

import random
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass

from fault_disks import fill
from fault_ground import PATIENCE, patiently, until
from fault_rounds import RESUME, finish
from fault_work import APPLY, ENDS, FAILING
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from opsflow.model import RunState

COMMANDS = {"forward": APPLY, "back": FAILING}
_SLOW = ("-e", "pace:=1.5")
_NO_JOURNAL, _HELD = 6, 5
ELSEWHERE = ("unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "-")
"""What runs a command on what it takes for another machine: its death is told by its silence alone."""


@dataclass(frozen=True, kw_only=True)
class RestartRound:
    """The database server is killed or stopped every few seconds, and started again.

    Attributes:
        number: Of the round.
        way: The way of the run.
    """

    number: int
    way: str

    phase, database = "restarts", "mariadb"

    @property
    def what(self):
        return f"run {self.number}"

    def play(self, stage, told):
        """Do it."""
        patiently(stage.clear)
        known, restarts = patiently(stage.newest), stage.restarts()
        command = first = (*COMMANDS[self.way], *_SLOW)
        while (ended := stage.quick(*command)).code == _NO_JOURNAL:
            assert "Traceback" not in ended.text, ended
            began = _id(patiently(stage.newest)) != _id(known)
            told.done["runs left without a journal" if began else "commands refused as they began"] += 1
            command = RESUME if began else first
            if began and patiently(stage.newest).state is ENDS[self.way]:
                break
        else:
            assert ended.code in {0, 3}, ended
        told.done["runs"] += 1
        told.done["restarts met"] += stage.restarts() - restarts


@dataclass(frozen=True, kw_only=True)
class CutRound:
    """The connection to the database is cut around a COMMIT.

    Attributes:
        n: Which, from 1.
        arrives: It arrives, and its answer is lost; else it is lost itself.
        way: The way of the run.
    """

    n: int
    arrives: bool
    way: str

    phase, database = "cuts", "mariadb"

    @property
    def what(self):
        return f"COMMIT {self.n}, {'its answer' if self.arrives else 'itself'} lost"

    def play(self, stage, told):
        """Do it."""
        stage.clear()
        cuts = stage.cutter.cuts
        stage.cutter.cut(self.n, arrives=self.arrives)
        with stage.through_cutter():
            ended = stage.quick(*COMMANDS[self.way])
        told.done["answers lost" if self.arrives else "COMMITs lost"] += stage.cutter.cuts - cuts
        assert ended.code == {"forward": 0, "back": 3}[self.way], ended


@dataclass(frozen=True, kw_only=True)
class DiskRound:
    """The disk under the journal becomes full at a random moment.

    Attributes:
        seed: Decides when.
        way: The way of the run.
    """

    seed: int
    way: str

    phase, database = "disks", "sqlite"

    @property
    def what(self):
        return f"seed {self.seed}"

    def play(self, stage, told):
        """Do it."""
        stage.clear()
        stage.drop()
        dice = random.Random(f"disk {self.way} {self.seed}")
        process, output = stage.fork(*COMMANDS[self.way])
        process.join(dice.uniform(0.1, 0.9 if self.way == "forward" else 1.5))
        while process.exitcode is None:  # what SQLite gives back is taken, too
            ballast = fill(stage.disk)
            process.join(0.02)
        ended = stage.end_fork((process, output))
        ballast = fill(stage.disk)
        if ended.code == _NO_JOURNAL:
            told.done["disks full"] += 1
            assert "full" in ended.text, ended
            assert "Traceback" not in ended.text, ended
        else:
            assert ended.code in {0, 3}, ended
        ballast.unlink()
        begun = stage.newest() is not None
        finish(stage, self.way, () if begun else COMMANDS[self.way])


@dataclass(frozen=True, kw_only=True)
class StoppedRound:
    """The controller is stopped past its lease, another one takes over and ends the run, and the first goes on.

    Attributes:
        seed: Decides when it is stopped.
        way: The way of the run.
        database: Where the journal is.
    """

    seed: int
    way: str
    database: str

    phase = "stopped"

    @property
    def what(self):
        return f"seed {self.seed}"

    def play(self, stage, told):
        """Do it."""
        dice = random.Random(f"stopped {self.way} {self.database} {self.seed}")
        while (first := self._stopped(stage, dice)) is None:
            pass
        refused = stage.quick(*RESUME)
        assert refused.code == _HELD, refused
        ends = time.monotonic() + PATIENCE
        while (ended := stage.quick(*RESUME)).code == _HELD:
            assert time.monotonic() < ends, ended
            time.sleep(2.0)
        assert ended.code in {0, 3}, ended
        before, seen = stage.written(), stage.witness.read_text()
        first.signal(signal.SIGCONT)
        late = first.end()
        assert late.code == _NO_JOURNAL, late
        assert "another process took run" in late.text, late
        assert stage.written() == before, "the journal is another one"
        assert stage.witness.read_text() == seen, "something was begun"
        told.done["controllers stopped"] += 1

    def _stopped(self, stage, dice):
        """A controller that was stopped in the middle of a new run, not within a transaction; None: it was over."""
        stage.clear()
        known = _id(stage.newest())
        first = stage.start(*COMMANDS[self.way], within=ELSEWHERE)
        until(lambda: _id(stage.newest()) != known or first.process.poll() is not None, every=0.03)
        time.sleep(dice.uniform(0.0, 0.7 if self.way == "forward" else 1.8))
        while first.process.poll() is None:
            first.signal(signal.SIGSTOP)
            time.sleep(0.05)
            if _free(stage.url):
                break
            first.signal(signal.SIGCONT)
            time.sleep(dice.uniform(0.0, 0.02))
        if stage.newest().state in {RunState.RUNNING, RunState.ROLLING_BACK}:
            return first
        first.signal(signal.SIGCONT)
        first.end()
        finish(stage, self.way, ())
        return None


def _free(address):
    """Whether nobody is within a transaction that writes."""
    url = make_url(address)
    if url.get_backend_name() == "sqlite":
        try:
            with closing(sqlite3.connect(url.database, timeout=0.1, isolation_level=None)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
        return True
    engine = create_engine(url.set(drivername="mysql+pymysql"))
    try:
        with engine.begin() as connection:
            connection.execute(text("SET SESSION innodb_lock_wait_timeout = 1"))
            connection.execute(text("SELECT run FROM owners FOR UPDATE"))
    except OperationalError:
        return False
    finally:
        engine.dispose()
    return True


def _id(run):
    return run.id if run else ""
