"""Very many operations, very much output, and servers that keep both short."""

import resource
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hard_ground import HardGround, need
from runner_ground import FORKS

from opsflow.model import Host, Operation
from opsflow.transport.ssh import SshTransport

MANY = 300
MUCH = 256 * 1024 * 1024
MORE_THAN_ITSELF = 128 * 1024 * 1024


@pytest.fixture
def opened(tmp_path):
    """Makes a host."""
    need("busybox", "dash")
    made = []

    def make(shell="dash", **more):
        made.append(HardGround(tmp_path / "fleet", shell, **more))
        made[-1].start()
        return made[-1]

    yield make
    for ground in made:
        ground.close()


@pytest.mark.parametrize(("sessions", "most"), [(10, 8), (1, 1)])
def test_three_hundred_operations_at_once_each_run_once_on_few_sessions(opened, sessions, most):
    ground = opened(sessions=sessions)
    ground.transport.claim("run-1", 1)
    together = threading.Barrier(MANY)

    def work(n):
        together.wait(60)
        return ground.run(f"echo {n} >>witness; echo {n}; exit {n % 7}", ground.op(f"a{n}"))

    with ThreadPoolExecutor(MANY) as pool:
        results = list(pool.map(work, range(MANY)))
    assert [(r.exit_status, r.stdout) for r in results] == [(n % 7, f"{n}\n") for n in range(MANY)]
    assert Counter((ground.home / "witness").read_text().split()) == {str(n): 1 for n in range(MANY)}
    assert ground.fleet.connections("one") == 1
    assert ground.fleet.log("one").count("Starting session") <= most


def count(connection, queue):
    """Target of a process: follow much output, keep none of it; how much came, and how the process has grown."""
    transport = SshTransport(Host(name="one", connection=connection))
    op = Operation(run="run-1", epoch=1, attempt="a", number=1, digest="-")
    came = 0

    def sink(stream, text):
        nonlocal came
        came += len(text)

    transport.run("echo", op=op)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    op = Operation(run="run-1", epoch=1, attempt="a", number=2, digest="-")
    result = transport.run(f"yes abcdefghijklmnopqrstuvwxyz | head -c {MUCH}; exit 3", op=op, sink=sink)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    queue.put((result.exit_status, came, len(result.stdout), result.truncated, grown))
    transport.close()


@pytest.mark.parametrize("shell", ["ash"])
def test_much_output_takes_little_memory_on_the_control_machine(opened, shell):
    """On busybox, whose `tail` reads a file from its beginning."""
    ground = opened(shell)
    queue = FORKS.Queue()
    process = FORKS.Process(target=count, args=(ground.fleet.connection("one"), queue), daemon=True)
    process.start()
    status, came, kept, truncated, grown = queue.get(timeout=120)
    process.join()
    assert (status, came, kept, truncated) == (3, MUCH, 1024 * 1024, True)
    assert grown < MORE_THAN_ITSELF


def test_a_server_that_asks_whether_we_are_there_gets_its_answer(opened):
    ground = opened(more="ClientAliveInterval 1\nClientAliveCountMax 1\n")
    assert ground.run("sleep 4; echo on").stdout == "on\n"
    assert ground.fleet.connections("one") == 1
