"""Many hosts, a few trivial commands on each."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peers
from hosts import APART, PROGRAMS, Hosts, apply, fleet, home, playbook
from measuring import TIMING_HEAD, Bar, Contender, Report, Sample, median, run_process, take_turns, timing_rows

STEPS = 5
OWN = 'opsflow, per = "host"'
OWN_BARRIERS = "opsflow, a barrier after every step"


def measure(work: Path, *, hosts: int, forks: int, runs: int) -> list[Report]:
    """The whole process of each contender, on the same hosts."""
    with home(work) as homes, fleet(homes, hosts) as targets, tempfile.TemporaryDirectory(prefix="cp-") as short:
        contenders = {
            OWN: _opsflow(work, targets, forks, "host"),
            OWN_BARRIERS: _opsflow(work, targets, forks, "all"),
            "paramiko, one exec per command": _loop(work, targets, forks, "paramiko_loop.py"),
            "fabric in a thread pool": _loop(work, targets, forks, "fabric_loop.py"),
            f"pyinfra, server.shell, --parallel {forks}": _pyinfra(work, targets, forks),
            f"ansible-core, raw, {forks} forks, pipelining, no facts": _ansible(work, targets, forks, Path(short)),
        }
        samples = take_turns(contenders, runs)
    own, _, _, fabric, pyinfra, ansible = (median(found) for found in samples.values())
    return [
        Report(
            title=f"{hosts} hosts x {STEPS} commands (`true`), {forks} at once",
            notes=(
                "Whole processes. opsflow previews, writes every intent and outcome to its journal (SQLite, durable)"
                " and reports; the others write nothing down. Most of it is the hosts' own sshd on the same cores."
                f" {APART}"
            ),
            head=TIMING_HEAD,
            rows=timing_rows(samples, OWN),
            bars=[
                Bar(what="opsflow against the bare fabric loop", measured=own / fabric, most=1.0, unit="times"),
                Bar(what="opsflow against pyinfra", measured=own / pyinfra, most=0.6, unit="times"),
                Bar(what="opsflow against ansible raw", measured=own / ansible, most=0.15, unit="times"),
            ],
        )
    ]


def _opsflow(work: Path, targets: Hosts, forks: int, per: str) -> Contender:
    book = playbook(work / f"per-{per}.toml", steps=STEPS, per=per)
    inventory = targets.opsflow(work / "hosts.toml")
    command = apply(book, inventory, work / f"{per}.db", forks=forks)  # the first run creates the journal
    return lambda: run_process(command, cwd=work)


def _loop(work: Path, targets: Hosts, forks: int, program: str) -> Contender:
    file = targets.plain(work / "hosts.json")
    return lambda: run_process([sys.executable, PROGRAMS / program, file, str(STEPS), str(forks)], cwd=work)


def _pyinfra(work: Path, targets: Hosts, forks: int) -> Contender:
    inventory = targets.pyinfra(work / "pyinfra_hosts.py")
    deploy = work / "pyinfra_deploy.py"
    deploy.write_text(
        "from pyinfra.operations import server\n"
        + "".join(f"server.shell(name='step {n}', commands=['true'])\n" for n in range(STEPS))
    )
    command = [peers.program("pyinfra"), inventory, deploy, "-y", "--parallel", str(forks)]
    return lambda: run_process(command, cwd=work)


def _ansible(work: Path, targets: Hosts, forks: int, short: Path) -> Contender:
    inventory = targets.ansible(work / "hosts.ini")
    book = work / "ansible.yml"
    tasks = "".join("    - raw: 'true'\n" for _ in range(STEPS))
    book.write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}")
    command = [peers.program("ansible-playbook"), "-i", inventory, "-f", str(forks), book]

    def run() -> Sample:
        with _masters(short) as sockets:  # connections of an earlier run would be used again
            env = {"ANSIBLE_PIPELINING": "1", "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets), "ANSIBLE_NOCOLOR": "1"}
            return run_process(command, cwd=work, env=env)

    return run


@contextmanager
def _masters(short: Path) -> Iterator[Path]:
    """A directory for the sockets of ssh's lasting connections, which end with the block."""
    directory = Path(tempfile.mkdtemp(dir=short))
    try:
        yield directory
    finally:
        enders = [
            subprocess.Popen(["ssh", "-F", "none", "-O", "exit", "-S", str(socket), "-"], stderr=subprocess.DEVNULL)
            for socket in directory.iterdir()
        ]
        for ender in enders:
            ender.wait()
        shutil.rmtree(directory, ignore_errors=True)
