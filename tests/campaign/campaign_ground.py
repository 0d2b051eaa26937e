"""Hosts of both kinds, a project over them, and the real command line; what is true is read from the hosts."""

import hashlib
import shutil
import sys
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "plugins"))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from fault_cli import FORKS, main
from several import added_to, expected, put_into

from opsflow.journal import SqlJournal
from opsflow.model import AttemptState, NodeState
from opsflow.testing.processes import kill, with_environment

PLUGINS = Path(__file__).parent / "plugins"
MACHINE, SSHD = "systemd machine", "sshd process"
PATIENCE = 300.0
FORKS_AT_ONCE = 18
KINDS = ("run twice", "lost", "false status", "output different", "unknown without cause")
"""What must never be."""
_UNREACHABLE = {"Unreachable", "Interrupted"}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A host: the fleet that it belongs to, what kind that is, and which shell is its `sh`."""

    name: str
    fleet: object
    kind: str
    shell: str

    @property
    def home(self):
        return self.fleet.home(self.name)

    def witness(self):
        """Names of commands that have begun, and of those that have come to their end; in order, with repetitions."""
        lines = []
        with suppress(OSError):
            lines = [line.split() for line in (self.home / "witness").read_text(errors="replace").splitlines()]
        return tuple([line[1] for line in lines if len(line) == 2 and line[0] == what] for what in ("begin", "end"))

    def under_way(self):
        """Names of commands that have begun and not ended."""
        begun, ended = self.witness()
        return set(begun) - set(ended)

    def end_sessions(self):
        """SIGKILL to the sshd processes of the host's sessions."""
        (self.fleet.end_sessions if self.kind == MACHINE else self.fleet.cut)(self.name)

    def end_work(self, *, spared=lambda pid: False):
        """SIGKILL to all that opsflow runs on the host: its runners, and what they have started; not to what is spared."""
        if self.kind == MACHINE:
            found = [pid for pid in self.fleet.processes(self.name) if _came_by_ssh(pid)]
        else:
            found = with_environment(self.fleet._mark(self.name))
        kill(pid for pid in found if not spared(pid) and "sshd" not in command_line(pid)[:1])

    def wipe(self):
        """Remove all that steps made."""
        for path in self.home.iterdir():
            if path.name not in {".opsflow", ".ssh"}:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.home / "witness").touch()


def command_line(pid):
    """The words of a process's command line; none if it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def _came_by_ssh(pid):
    with suppress(OSError):
        return b"SSH_CONNECTION=" in Path(f"/proc/{pid}/environ").read_bytes()
    return False


@dataclass(frozen=True, kw_only=True)
class Work:
    """What there is to do on every host: steps of one command, and of five with files between them."""

    singles: int
    hooks: int
    pace: float
    durable: bool = False

    def steps(self):
        """Commands and whether files are put before them, by step."""
        return {f"one{n}": (1, False) for n in range(self.singles)} | {f"five{n}": (5, True) for n in range(self.hooks)}

    def names(self, step):
        return [f"{step}.{k}" for k in range(1, self.steps()[step][0] + 1)]

    def operations(self):
        """How many a host has, commands and files."""
        return sum(commands * (1 + files) for commands, files in self.steps().values())

    def playbook(self):
        lines = ['name = "campaign"', 'flow = "graph"', "[defaults]", 'on_failure = "continue"']
        for step, (commands, files) in self.steps().items():
            lines += ["[[step]]", f'id = "{step}"', 'task = "several"', 'hosts = "all"', "needs = []", "[step.with]"]
            lines += [f"commands = {commands}", f"files = {str(files).lower()}", f"pace = {self.pace}"]
            lines += [f"durable = {str(self.durable).lower()}"]
        return "\n".join(lines) + "\n"


class Ground:
    """A project over some hosts.

    Args:
        targets: The hosts.
        project: Its directory, made here.
    """

    def __init__(self, targets, project):
        self.targets = targets
        self.project = project
        self.url = f"sqlite:///{project}/journal.db"
        shutil.rmtree(project, ignore_errors=True)
        project.mkdir(parents=True)
        settings = f'journal = "{self.url}"\ninventory = "hosts.toml"\nplugins = ["{PLUGINS}"]\n'
        (project / "opsflow.toml").write_text(settings + f"forks = {FORKS_AT_ONCE}\n")
        (project / "hosts.toml").write_text(self._inventory())
        SqlJournal.open(self.url).close()
        for target in targets:
            target.wipe()
        self._outputs = 0

    def playbook(self, text):
        (self.project / "play.toml").write_text(text)

    def start(self, *arguments):
        """Begin `opsflow ...` in a process that has everything loaded: it, and the file it writes to."""
        self._outputs += 1
        output = self.project / f"output-{self._outputs}"
        output.touch()
        process = FORKS.Process(target=main, args=(arguments, self.project, output, None), daemon=True)
        process.start()
        return process, output

    def end(self, process, output):
        """Wait for its end: exit code (negative: a signal) and what it said."""
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise AssertionError(f"it does not end; it says:\n{output.read_text()[-4000:]}")
        code = process.exitcode
        process.close()
        return code, output.read_text(errors="replace")

    def opsflow(self, *arguments):
        """`opsflow ...`, to its end."""
        return self.end(*self.start(*arguments))

    def under_way(self):
        """What is being done now: (host, name) of commands."""
        return {(target.name, name) for target in self.targets for name in target.under_way()}

    def runs(self):
        """How many runs the journal has."""
        with closing(SqlJournal.open(self.url)) as journal:
            return len(journal.runs())

    def over(self):
        """Whether the newest run has come to its end, in the journal."""
        with closing(SqlJournal.open(self.url)) as journal:
            return bool(journal.runs()) and journal.find(None).exit_code is not None

    def exit_code(self):
        """How the newest run has ended."""
        with closing(SqlJournal.open(self.url)) as journal:
            return journal.find(None).exit_code

    def nodes(self):
        """The newest run's nodes as the journal has them."""
        with closing(SqlJournal.open(self.url)) as journal:
            return list(journal.nodes(journal.find(None).id))

    def at_work(self, host):
        """Ids of a host's nodes that have an attempt without an outcome."""
        running = [n for n in self.nodes() if any(a.state is AttemptState.RUNNING for a in n.attempts)]
        return {node.id for node in running if node.host == host}

    def _inventory(self):
        """Hosts of several fleets: each says for itself how it is reached."""
        lines = []
        for target in self.targets:
            found = target.fleet.connection(target.name)
            lines += [f'[hosts."{target.name}"]', f'address = "{found.address}"', f"port = {found.port}"]
            lines += [
                f'user = "{found.user}"',
                f'key_file = "{found.key_file}"',
                f'known_hosts = "{found.known_hosts}"',
            ]
        return "\n".join(lines) + "\n"


@dataclass(kw_only=True)
class Verdict:
    """What came of a run that has ended.

    Attributes:
        wrong: (host, one of `KINDS`, what).
        unknown: (host, node) whose fate could not be found out.
        never: (host, node) that the host could not be reached for, and that have certainly not begun.
    """

    wrong: list = field(default_factory=list)
    unknown: list = field(default_factory=list)
    never: list = field(default_factory=list)

    @property
    def code(self):
        """How `opsflow` has to end."""
        return 4 if self.unknown else 1 if self.never else 0


def judged(ground, work, *, doubtful=()):
    """Compare the newest run of a ground, as the journal has it, with the witnesses.

    Args:
        ground: Where it ran.
        work: What there was to do.
        doubtful: Ids of nodes of which it may be impossible to find out what became of them.
    """
    found = Verdict()
    targets = {target.name: target for target in ground.targets}
    seen = {name: target.witness() for name, target in targets.items()}
    for host, (begun, _) in seen.items():
        twice = [name for name in {*begun} if begun.count(name) > 1]
        found.wrong += [(host, "run twice", f"{name} began {begun.count(name)} times") for name in twice]
    for node in ground.nodes():
        said = f"{node.id} is {node.state}: {node.error.message if node.error else ''}"
        names = work.names(node.step)
        begun, ended = seen[node.host]
        if node.state is NodeState.SUCCEEDED:
            lost = [name for name in names if name not in begun or name not in ended]
            found.wrong += [(node.host, "lost", f"{name} of {node.id}, which reads succeeded") for name in lost]
            for name in {*names} - {*lost}:
                found.wrong += _compared(targets[node.host], node, name, files=work.steps()[node.step][1])
        elif node.state is NodeState.UNKNOWN:
            found.unknown.append((node.host, node.id))
            if node.id not in doubtful:
                found.wrong.append((node.host, "unknown without cause", said))
        elif node.state is NodeState.FAILED and node.error.kind in _UNREACHABLE and not {*begun} & {*names}:
            found.never.append((node.host, node.id))
        else:
            found.wrong.append((node.host, "false status", said))
    return found


def _compared(target, node, name, *, files):
    status, *texts = expected(name, files)
    wanted = [status, *(hashlib.sha256(text.encode()).hexdigest() for text in texts)]
    got = node.outputs["results"].get(name)
    if got is None:
        return [(target.name, "lost", f"{name}: no result")]
    if got[0] != status:
        return [(target.name, "false status", f"{name}: {got[0]} instead of {status}")]
    if got != wanted:
        return [(target.name, "output different", name)]
    if files and (target.home / f"{name}.conf").read_text() != put_into(name) + added_to(name):
        return [(target.name, "run twice", f"{name}.conf was put again, or not at all")]
    return []
