"""Where the runner is tried: a home directory, a shell, controllers that die, and a witness of what really happened."""

import hashlib
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from opsflow.errors import Interrupted
from opsflow.model import Operation, record_of
from opsflow.testing.processes import below
from opsflow.transport.local import LocalTransport
from opsflow.transport.scripts import ARGUMENTS

SHELLS = {"dash": "exec dash", "bash": "exec bash --posix", "ash": "exec busybox ash", "mksh": "exec mksh"}
RARE = frozenset({"mksh"})
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["pytest", "opsflow.transport.local", "opsflow.transport.ssh", "concurrent.futures"])
WIDTH = 3


def installed(shell):
    return shutil.which(SHELLS[shell].split()[1]) is not None


def base_of(home):
    """Where this machine keeps records in a home directory."""
    machine = Path("/etc/machine-id")
    return Path(home, ".opsflow", "ops", machine.read_text().strip() if machine.exists() else "-")


class Ground:
    """A target whose `sh` is of a certain kind, and what its operations did.

    Every operation writes its name into the file `witness`, then says something on both streams and ends with a status
    of its own; what it says, and how it ends, follow from its name.
    """

    def __init__(self, home, shell, run="run-1"):
        self.home, self.run = Path(home), run
        self.bin = self.home / "bin"
        self.bin.mkdir(parents=True)
        (self.bin / "sh").write_text(f'#!/bin/sh\n{SHELLS[shell]} "$@"\n')
        (self.bin / "sh").chmod(0o755)
        self.results = self.home / "results"
        self.epoch = 0

    def transport(self):
        return ShellOf(self)

    @property
    def base(self):
        return base_of(self.home)

    def operation(self, attempt, number, place=""):
        return Operation(
            run=self.run, epoch=self.epoch, attempt=attempt, number=number, digest=f"{attempt}-{number}", place=place
        )

    def done(self):
        """What controllers have written down: name -> (status, hash of the output), and how often."""
        lines = self.results.read_text().splitlines() if self.results.exists() else []
        return [line.split(" ") for line in lines if line.endswith(".")]

    def witness(self):
        path = self.home / "witness"
        return Counter(path.read_text().split()) if path.exists() else Counter()

    def close(self):
        """End what still runs here."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self):
        """Processes whose home this is."""
        mark = f"HOME={self.home}\0".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    environment = b"\0" + (entry / "environ").read_bytes()
                except OSError:
                    continue
                if b"\0" + mark in environment:
                    found.append(int(entry.name))
        return found


class ShellOf(LocalTransport):
    """A local transport to a ground."""

    def __init__(self, ground):
        super().__init__(ground.home)
        self._ground = ground

    def start(self, arguments=ARGUMENTS, **more):
        # Not by our own environment: several threads start shells at a time, and one would leave its PATH behind.
        return super().start(("env", f"PATH={self._ground.bin}:{os.environ['PATH']}", *arguments), **more)


def expected(attempt, number):
    """How an operation ends: status, stdout, stderr."""
    seed = int(hashlib.sha256(f"{attempt}.{number}".encode()).hexdigest(), 16)
    return seed % 3 * 7, f"{attempt}.{number} said\n" * (seed % 40), f"{number}\n" if seed % 2 else ""


def command(attempt, number):
    """An operation that takes up to 20 ms."""
    status, out, err = expected(attempt, number)
    seed = int(hashlib.sha256(f"{number}.{attempt}".encode()).hexdigest(), 16)
    return (
        f"echo {attempt}.{number} >>witness; sleep 0.{seed % 20:03d}\n"
        f"printf %s '{out}'; printf %s '{err}' >&2; exit {status}"
    )


def check(result, attempt, number):
    """What is wrong with a result; empty if nothing is."""
    wanted = expected(attempt, number)
    got = (result.exit_status, result.stdout, result.stderr)
    return "" if got == wanted else f"{attempt}.{number}: {got} instead of {wanted}"


def work(ground, attempts, numbers, transport=None):
    """What a controller does: every attempt's operations in order, several attempts at a time, results written down."""
    transport = transport or ground.transport()
    intent = ground.home / "place"
    place = transport.claim(ground.run, ground.epoch)
    replay = intent.exists()
    intent.write_text(intent.read_text() if replay else place)
    through = {line[0] for line in ground.done()}
    descriptor = os.open(ground.results, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def attempt(name):
        for number in range(1, numbers + 1):
            if f"{name}.{number}" in through:
                continue
            op = ground.operation(name, number, intent.read_text() if replay else "")
            try:
                result = transport.run(command(name, number), op=op)
                said = check(result, name, number) or "good"
            except Interrupted as error:
                said = f"unknown: {error.reason}"
            os.write(descriptor, f"{name}.{number} {said.replace(chr(10), '/')} .\n".encode())

    with ThreadPoolExecutor(WIDTH) as pool:
        list(pool.map(attempt, attempts))
    os.close(descriptor)
    transport.close()


def controller(home, shell, run, epoch, attempts, numbers):
    """Target of a process."""
    ground = Ground.__new__(Ground)
    ground.home, ground.run, ground.epoch = Path(home), run, epoch
    ground.bin, ground.results = ground.home / "bin", ground.home / "results"
    work(ground, attempts, numbers)


def die_often(ground, shell, attempts, numbers, moment):
    """Controllers one after another, each killed after `moment()` seconds, until one gets through; the deaths."""
    deaths = 0
    while True:
        ground.epoch += 1
        process = FORKS.Process(
            target=controller, args=(ground.home, shell, ground.run, ground.epoch, attempts, numbers), daemon=True
        )
        process.start()
        ends = time.monotonic() + 2
        while not (ground.base / ground.run / "epoch").exists() and time.monotonic() < ends:
            time.sleep(0.005)
        process.join(moment() + deaths / 100)  # a busy machine gets through too
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)
            deaths += 1
        process.join()
        code = process.exitcode
        process.close()
        assert code in {0, -9}, code
        if code == 0:
            return deaths


def verdict(ground, attempts, numbers):
    """What is not as promised: run twice, never run, false results; and what is unknown."""
    names = {f"{a}.{n}" for a in attempts for n in range(1, numbers + 1)}
    witness = ground.witness()
    said = {}
    for name, *words in ground.done():
        said.setdefault(name, " ".join(words[:-1]))
    bad = [f"{name} ran {count} times" for name, count in witness.items() if count != 1]
    bad += [f"{name} never ran" for name in names - set(witness) if not said.get(name, "").startswith("unknown")]
    bad += [text for text in said.values() if text != "good" and not text.startswith("unknown")]
    bad += [f"{name} has no result" for name in names - set(said)]
    return bad, [f"{name} {text}" for name, text in said.items() if text.startswith("unknown")]


def parts(ground):
    """Processes of a connection that is through with its beginning: relay, four slots, mouth; else nothing."""
    agents = [pid for pid in ground.processes() if len(below(pid)) >= 6 and _age(pid) > 0.1]
    if not agents:
        return []
    agent, most = agents[-1], int(Path("/proc/sys/kernel/pid_max").read_text())
    children = (pid for pid in below(agent) if _parent(pid) == agent)
    return sorted(children, key=lambda pid: (pid - agent) % most)[:6]  # in the order of their making: ids begin anew


def _age(pid):
    try:
        started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        return float(Path("/proc/uptime").read_text().split()[0]) - started / os.sysconf("SC_CLK_TCK")
    except OSError:
        return 0


def _parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def gate(ground, op):
    return ground.base / ground.run / f"{record_of(op.attempt)}.{op.number}.go"


def until(holds, seconds=10):
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


def in_thread(work):
    caught = []

    def guarded():
        try:
            caught.append(work())
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    return thread, caught
