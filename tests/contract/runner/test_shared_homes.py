"""Several machines with one home directory: none takes away what another one works with, or takes its processes for its own."""

import os
import shutil
import subprocess
import sys
import uuid

import pytest
from runner_ground import in_thread, until

from opsflow.model import Operation
from opsflow.testing.processes import below
from opsflow.transport.local import LocalTransport

_BOOT = """
mount --bind "$1" /etc/machine-id && mount --bind "$2" /proc/sys/kernel/random/boot_id && touch "$3" && exec sleep 1000
"""


class Machine:
    """Something with a machine id, a boot id and process ids of its own."""

    def __init__(self, directory):
        directory.mkdir()
        names = [directory / name for name in ("machine", "boot", "up")]
        names[0].write_text(f"{uuid.uuid4().hex}\n")
        names[1].write_text(f"{uuid.uuid4()}\n")
        own = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
        self._process = subprocess.Popen([*own, "sh", "-c", _BOOT, "sh", *map(str, names)])
        until(names[2].exists)
        self.init = below(self._process.pid)[0]

    def halt(self):
        self._process.kill()
        self._process.wait()


class Inside(LocalTransport):
    """A transport to a home on such a machine."""

    shared = False

    def __init__(self, machine, home):
        super().__init__(home)
        self._enter = ("nsenter", "-t", str(machine.init), "-m", "-p", f"--wd={home}")

    def start(self, arguments=("sh",), **more):
        return super().start((*self._enter, *arguments), **more)


@pytest.fixture
def machines(tmp_path):
    reason = ""
    if sys.platform != "linux" or os.geteuid() != 0:
        reason = "only root on Linux can give a machine ids of its own"
    elif shutil.which("unshare") is None or shutil.which("nsenter") is None or not os.path.exists("/etc/machine-id"):
        reason = "unshare, nsenter or /etc/machine-id is missing"
    if reason:
        pytest.skip(reason)
    made = [Machine(tmp_path / name) for name in ("one", "two")]
    yield made
    for machine in made:
        machine.halt()


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def reached(machines, home):
    """One transport to each."""
    made = [Inside(machine, home) for machine in machines]
    yield made
    for transport in made:
        transport.close()


def op(attempt, number=1, run="run-1"):
    return Operation(run=run, epoch=1, attempt=attempt, number=number, digest=f"{attempt}-{number}")


def witness(home):
    return sorted((home / "witness").read_text().split())


def test_a_run_that_is_over_on_one_goes_on_on_the_other(reached, home):
    one, two = reached
    one.run("echo one >>witness", op=op("a"))
    two.run("echo two >>witness", op=op("b"))
    one.release()
    two.run("echo more >>witness", op=op("b", 2))
    two.close()
    assert [found.digest for found in two.record(op("b"))] == ["b-1", "b-2"]
    two.run("echo two >>witness", op=op("b"))
    assert witness(home) == ["more", "one", "two"]


def test_two_runs_each_on_a_machine_of_its_own_are_not_in_the_way_of_each_other(reached, home):
    one, two = reached
    thread, caught = in_thread(lambda: one.run("echo one >>witness; until [ -e go ]; do sleep 0.05; done", op=op("a")))
    until((home / "witness").exists)
    two.run("echo two >>witness", op=op("b", run="run-2"))
    one.run("echo more >>witness", op=op("c"))
    (home / "go").touch()
    thread.join(20)
    assert caught[0].ok
    assert witness(home) == ["more", "one", "two"]
