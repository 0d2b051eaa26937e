"""The real command line in a process that can be told where to die: nothing in the product knows of that."""

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass

_LOADED = [
    "pytest", "opsflow.cli.main", "opsflow.cli.session", "opsflow.app", "opsflow.report.plain", "opsflow_tasks.command",
    "opsflow_tasks.stop_server", "opsflow_tasks.start_server", "opsflow_tasks.backup_db", "opsflow_tasks.migrate_db",
    "opsflow_tasks.deploy_app", "pymysql", "sqlalchemy.dialects.sqlite.pysqlite", "sqlalchemy.dialects.mysql.pymysql",
    "opsflow.transport.ssh",
]  # fmt: skip
FORKS = multiprocessing.get_context("forkserver")
"""Processes that begin where the interpreter has loaded everything: a fifth of the time of a fresh one."""
FORKS.set_forkserver_preload(_LOADED)


@dataclass(frozen=True, kw_only=True)
class Death:
    """Where a controller kills itself with SIGKILL.

    Attributes:
        n: At the n-th writing transaction, from 1: the run's beginning, commits, its end.
        committed: Right after it is durable; otherwise when all is written and COMMIT is not sent yet.
    """

    n: int
    committed: bool

    def __str__(self):
        return f"{'after' if self.committed else 'before'} transaction {self.n}"

    def arm(self):
        """From now on it happens."""
        _doom(self)


@dataclass(frozen=True, kw_only=True)
class Pause:
    """A controller stops before it becomes the writer of a run, says so in its output, and waits for the file `until`."""

    until: str

    def arm(self):
        """From now on it happens."""
        _hold_back(self)


def main(arguments, directory, output, fate):
    """Target of a process: `opsflow ARGUMENTS` in `directory`, both streams into the file `output`.

    `fate` is armed before: a `Death`, a `Pause`, or anything else that can be; None: nothing happens.
    """
    os.setsid()
    os.chdir(directory)
    out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if fate is not None:
        fate.arm()
    from opsflow.cli.main import main as opsflow

    sys.argv = ["opsflow", *arguments]
    sys.exit(opsflow())


def _doom(death):
    from opsflow.journal.database import Database

    real = Database.write
    left = death.n

    def write(self, work):
        nonlocal left
        left -= 1
        if left:
            return real(self, work)

        def last(connection):
            found = work(connection)
            if not death.committed:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        found = real(self, last)
        os.kill(os.getpid(), signal.SIGKILL)
        return found

    Database.write = write


def _hold_back(pause):
    from opsflow.journal import SqlJournal

    real = SqlJournal.resume

    def resume(self, run_id, operator):
        print("paused", flush=True)
        while not os.path.exists(pause.until):
            time.sleep(0.01)
        real(self, run_id, operator)

    SqlJournal.resume = resume
