"""Two real hosts, a project, a journal, and the real command line over them; what is true is read from the hosts."""

import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fault_cli import FORKS, main
from sqlalchemy import func, select

from opsflow.errors import JournalUnavailable
from opsflow.journal import SqlJournal
from opsflow.journal.tables import leases, metadata
from opsflow.model import AttemptState, Phase
from opsflow.testing.processes import with_environment

OPSFLOW = str(Path(sys.executable).with_name("opsflow"))
PATIENCE = 180.0
LOOK = 0.05
"""Seconds between two looks at all processes, which take a while."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: its exit code (negative: a signal), and all it printed."""

    code: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A run as the journal has it."""

    run: object
    nodes: dict
    rollbacks: tuple

    @property
    def states(self):
        return {name: node.state for name, node in self.nodes.items()}

    def attempts(self, node, phase=Phase.EXECUTE):
        return [a for a in self.nodes[node].attempts if a.phase is phase]

    def interrupted(self, phase=Phase.EXECUTE):
        """Nodes with an attempt that has no outcome."""
        return {n for n in self.nodes for a in self.attempts(n, phase) if a.state is AttemptState.RUNNING}


class Command:
    """`opsflow ...` at work, in an interpreter of its own."""

    def __init__(self, arguments, directory, output, within=()):
        self.output = output
        with output.open("wb") as stream:
            self.process = subprocess.Popen(
                [*within, OPSFLOW, *arguments],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def signal(self, number):
        self.process.send_signal(number)

    def wait_for(self, text):
        until(lambda: text in self.output.read_text() or self.process.poll() is not None)
        assert text in self.output.read_text(), self.output.read_text()

    def end(self):
        return Ended(code=self.process.wait(PATIENCE), text=self.output.read_text())

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.end()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Ground:
    """Where faults are tried.

    Args:
        fleet: The hosts.
        project: Directory of the project, made here.
        url: Of the journal; None: SQLite in the project.
    """

    def __init__(self, fleet, project, url=None):
        self.fleet = fleet
        self.project = project
        self.url = url or f"sqlite:///{project}/journal.db"
        self._outputs = 0
        self._commands = []
        for name in fleet.names:
            fleet.restart(name)  # whatever was done to it before
        project.mkdir(parents=True)
        (project / "opsflow.toml").write_text(f'journal = "{self.url}"\ninventory = "hosts.toml"\n')
        (project / "hosts.toml").write_text(fleet.inventory())
        SqlJournal.open(self.url).close()
        self.wipe()

    # Acting

    def playbook(self, text, name="play"):
        (self.project / f"{name}.toml").write_text(f'name = "{name}"\n{text}')

    def start(self, *arguments, within=()):
        """Begin a command in a fresh interpreter; `within`: a program that becomes it."""
        self._commands.append(Command(arguments, self.project, self._output(), within))
        return self._commands[-1]

    def opsflow(self, *arguments):
        """A command in a fresh interpreter, to its end."""
        return self.start(*arguments).end()

    def fork(self, *arguments, fate=None):
        """Begin a command in a process that has everything loaded; `end_fork` sees its end."""
        output = self._output()
        process = FORKS.Process(target=main, args=(arguments, self.project, output, fate), daemon=True)
        process.start()
        return process, output

    def quick(self, *arguments, fate=None):
        """A command in a process that has everything loaded, to its end."""
        return self.end_fork(self.fork(*arguments, fate=fate))

    def kill_fork(self, forked, *, line, delay):
        """Kill a command `delay` seconds after it has printed so many lines, if it is still there."""
        process, output = forked
        until(lambda: process.exitcode is not None or output.read_text().count("\n") >= line)
        process.join(delay)
        process.kill()
        return self.end_fork(forked)

    def end_fork(self, forked):
        process, output = forked
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise AssertionError(f"it does not end; it says:\n{output.read_text()}")
        code = process.exitcode
        process.close()
        return Ended(code=code, text=output.read_text())

    def settle(self):
        """Wait until nothing runs on the hosts any more, whoever started it."""
        for name in self.fleet.names:
            until(lambda name=name: not self.at_work(name), every=LOOK)

    def at_work(self, host):
        """Ids of the processes that run on a host, whoever started them."""
        return with_environment(self.fleet._mark(host))

    def wipe(self):
        """Make the hosts' homes empty."""
        self.settle()
        for name in self.fleet.names:
            home = self.fleet.home(name)
            shutil.rmtree(home)
            home.mkdir()

    def clean(self):
        """End all that was started."""
        for command in self._commands:
            command.close()
        for name in self.fleet.names:
            self.fleet.kill(name, commands=True)

    def go(self, *hosts):
        """Let what waits on these hosts, or on all, go on."""
        for host in hosts or self.fleet.names:
            (self.fleet.home(host) / "go").touch()

    def hold(self):
        """Let what waits on the hosts wait again."""
        for host in self.fleet.names:
            (self.fleet.home(host) / "go").unlink()

    # Looking

    def seen(self, run=None):
        """A run as the journal has it; the newest if none is named."""
        with closing(SqlJournal.open(self.url)) as journal:
            record = journal.find(run)
            nodes = {n.id: n for n in journal.nodes(record.id)}
            return Seen(run=record, nodes=nodes, rollbacks=tuple(journal.rollbacks(record.id)))

    def runs(self):
        """How many runs the journal has."""
        with closing(SqlJournal.open(self.url)) as journal:
            return len(journal.runs(limit=100_000))

    def held(self):
        """How many hosts are held by runs."""
        with closing(SqlJournal.open(self.url)) as journal, journal.engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(leases))

    def written(self):
        """Every row of the journal."""
        with closing(SqlJournal.open(self.url)) as journal, journal.engine.connect() as connection:
            return {
                table.name: sorted(map(repr, connection.execute(select(table)))) for table in metadata.sorted_tables
            }

    def lines(self, host):
        """What steps wrote on a host: `do STEP` and `undo STEP`, in order."""
        path = self.fleet.home(host) / "log"
        return path.read_text().splitlines() if path.exists() else []

    def done(self, step, host):
        """Whether what a step makes is on a host."""
        return (self.fleet.home(host) / f"{step}.done").exists()

    def wait_done(self, step, host):
        until(lambda: self.done(step, host))

    def wait_file(self, name, host):
        until((self.fleet.home(host) / name).exists)

    def wait_line(self, line, *hosts):
        for host in hosts or self.fleet.names:
            until(lambda host=host: line in self.lines(host))

    def _output(self):
        self._outputs += 1
        output = self.project / f"output-{self._outputs}"
        output.touch()
        return output


def until(holds, seconds=PATIENCE, every=0.01):
    """Wait until something holds."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, f"not within {seconds} s"
        time.sleep(every)


def patiently(look):
    """What a look at the journal tells, once its server answers."""
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            return look()
        except JournalUnavailable:
            assert time.monotonic() < ends, "the journal's server does not come back"
            time.sleep(0.1)
