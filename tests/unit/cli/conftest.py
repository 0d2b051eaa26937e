import os
import pty
import select
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from opsflow.cli.main import main

PLUGIN = '''
"""Write a local note."""
import time
from pathlib import Path

from pydantic import BaseModel

from opsflow import LocalPath, Preview, TaskFailed, hookimpl


class Params(BaseModel):
    path: LocalPath
    text: str = "x"
    wait: float = 0


@hookimpl
def params():
    return Params


@hookimpl
def plan(params):
    if params.text == "crash":
        raise ZeroDivisionError("a bug")
    if params.text == "refuse":
        return Preview.fail("it would not work")
    path = Path(params.path)
    return Preview.unchanged("is there") if path.exists() else Preview.change("write it", diff=f"+{params.text}")


@hookimpl
def execute(ctx, params):
    time.sleep(params.wait)
    if params.text == "fail":
        raise TaskFailed("no ink", hint="buy some")
    Path(params.path).write_text(params.text)
    return {"path": params.path}


@hookimpl
def revert(ctx, params):
    Path(params.path).unlink(missing_ok=True)
'''

PLAYBOOK = """
name = "notes"

[inputs]
text = { type = "string", default = "hello" }

[[step]]
id = "first"
task = "note"
hosts = "localhost"
with = { path = "first.txt", wait = WAIT }

[[step]]
id = "second"
task = "note"
hosts = "localhost"
with = { path = "second.txt", text = "{{ text }}" }
"""


@dataclass
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in the current directory, with a playbook that writes two local notes."""
    for name, text in {
        "opsflow.toml": 'inventory = "here,"\n',
        "plugins/note.py": PLUGIN,
        "playbooks/notes.toml": PLAYBOOK.replace("WAIT", "0"),
        "playbooks/slow.toml": PLAYBOOK.replace("WAIT", "1"),
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    for variable in ("OPSFLOW_JOURNAL", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def opsflow(monkeypatch, capsys):
    """Run a command in this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["opsflow", *map(str, arguments)])
        code = main()
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments):
        self._master, slave = pty.openpty()
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm", "COLUMNS": "100"}
        self.process = subprocess.Popen(
            [
                "setsid",
                "--ctty",
                sys.executable,
                "-c",
                "import sys; from opsflow.cli.main import main; sys.exit(main())",
                *arguments,
            ],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
        )
        os.close(slave)
        self.shown = ""

    def wait_for(self, text, seconds=20):
        ends = time.monotonic() + seconds
        while text not in self.shown and time.monotonic() < ends:
            if select.select([self._master], [], [], 0.1)[0] and not self._read():
                break
        assert text in self.shown, self.shown

    def type(self, text):
        os.write(self._master, text.encode())

    def hang_up(self):
        os.close(self._master)
        self._master = None

    def end(self, seconds=20):
        """The exit code."""
        ends = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < ends:
            if self._master is not None and select.select([self._master], [], [], 0.1)[0]:
                self._read()
            elif self._master is None:
                time.sleep(0.05)
        while self._master is not None and select.select([self._master], [], [], 0.1)[0] and self._read():
            pass
        return self.process.poll()

    def _read(self):
        try:
            data = os.read(self._master, 65536)
        except OSError:  # nobody is left at the other side
            return False
        self.shown += data.decode()
        return bool(data)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._master is not None:
            os.close(self._master)


@pytest.fixture
def terminal():
    """Run a command on a terminal."""
    made = []

    def run(*arguments):
        made.append(Terminal(*arguments))
        return made[-1]

    yield run
    for each in made:
        each.close()
