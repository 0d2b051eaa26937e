"""The real command line as its users have it: a process of its own in a project of its own, over real ssh hosts."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opsflow.testing import SshdFleet
from opsflow.testing.processes import kill, with_environment

OPSFLOW = str(Path(sys.executable).with_name("opsflow"))
OF_OTHERS = ("OPSFLOW_JOURNAL", "NO_COLOR", "FORCE_COLOR", "SSH_AUTH_SOCK")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def events(self):
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self):
        """The error that was told as JSON."""
        return json.loads(self.err)["error"]


class Project:
    """A user's project: a directory, an inventory of a fleet, playbooks.

    Args:
        directory: The project; made here.
        names: Names of the hosts.
        first_address: Loopback address of the first one.
        user: Account to log in as; None: the caller's.
    """

    def __init__(self, directory, names, *, first_address, user=None):
        self.directory = directory
        self.home = directory / "home"
        self.fleet = SshdFleet(directory / "hosts", names, first_address=first_address, user=user)
        self.environment = {k: v for k, v in os.environ.items() if k not in OF_OTHERS} | {"HOME": str(self.home)}

    def __enter__(self):
        self.home.mkdir(parents=True)
        self.fleet.__enter__()
        self.write("opsflow.toml", 'inventory = "fleet"\n')
        self.write("inventories/fleet.toml", self.fleet.inventory())
        return self

    def __exit__(self, *_):
        self.fleet.stop()
        left = with_environment(f"HOME={self.home}")
        kill(left)
        assert not left, "commands on the control machine outlived the tests"

    def write(self, name, text):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def playbook(self, *steps, head=""):
        """Write a playbook; its path."""
        return self.write("playbooks/test.toml", "\n".join((head, *steps)))

    def on(self, host, name=""):
        """A path in a host's home directory."""
        return self.fleet.home(host) / name

    def files(self):
        """Names of the files in the hosts' homes, and how many `x` each holds."""
        return {
            host: {path.name: path.read_text().count("x") for path in self.on(host).iterdir() if path.is_file()}
            for host in self.fleet.names
        }

    def opsflow(self, *arguments, code=0, env=None, timeout=300):
        """Run a command to its end, which must be as expected. Nobody is at its terminal."""
        done = subprocess.run(
            [OPSFLOW, *map(str, arguments)],
            cwd=self.directory,
            env=self.environment | (env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        ended = Ended(code=done.returncode, out=done.stdout, err=done.stderr)
        assert ended.code == code, f"opsflow {arguments} ended with {ended.code}\n{ended.out}\n{ended.err}"
        assert "\x1b" not in ended.out + ended.err, "a pipe gets no control codes"
        assert "--debug" in arguments or "Traceback" not in ended.out + ended.err
        return ended

    @contextmanager
    def started(self, *arguments, env=None):
        """Start a command; it does not outlive the block."""
        with subprocess.Popen(
            [OPSFLOW, *map(str, arguments)],
            cwd=self.directory,
            env=self.environment | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def show(self, run=""):
        """What the journal says of a run; of the newest if none is named."""
        return Shown(self.opsflow("show", *([run] if run else []), "--output", "json").json)


class Shown:
    """A run as the journal has it.

    Attributes:
        data: The whole document.
        id, state: Of the run.
        nodes: By id.
    """

    def __init__(self, data):
        self.data = data
        self.id = data["run"]["id"]
        self.state = data["run"]["state"]
        self.nodes = {node["id"]: node for node in data["nodes"]}

    @property
    def states(self):
        return {name: node["state"] for name, node in self.nodes.items()}

    def attempts(self, phase="execute", *, step=None, shard=None):
        """Attempts of a phase by node. `shard`: of hosts whose name says that they are of it."""
        return {
            name: [attempt for attempt in node["attempts"] if attempt["phase"] == phase]
            for name, node in self.nodes.items()
            if step in (None, node["step"]) and (shard is None or f"-{shard}" in node["host"])
        }

    def times(self, key, *, step, shard=None):
        """`started` or `finished` of the execute attempts of a step."""
        return [a[key] for found in self.attempts(step=step, shard=shard).values() for a in found]


def eventually(probe, *, during=None, seconds=60.0):
    """Wait until something holds; `during`: a started command, which must not end before it does."""
    deadline = time.monotonic() + seconds
    while not probe():
        if during and during.poll() is not None and not probe():
            raise AssertionError(f"it ended with {during.returncode} before it came to hold:\n{during.stdout.read()}")
        assert time.monotonic() < deadline, "it does not come to hold"
        time.sleep(0.02)


def toml(value):
    """A value as TOML, on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


def step(name, run, **keys):
    """A step that runs a command. `keys`: of the step, and those of the task's parameters."""
    own = {key: keys.pop(key) for key in ("undo", "creates", "changes", "env") if key in keys}
    found = {"id": name, "task": "command", "hosts": "all", **keys, "with": {"run": run, **own}}
    return "[[step]]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in found.items())
