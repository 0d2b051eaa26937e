import textwrap
import time

import pytest

from opsflow import app
from opsflow.app import compiling
from opsflow.errors import InputError

PLUGIN = '''
"""Keep a line in a file of the control machine."""
from pydantic import BaseModel

from opsflow import Preview, TaskFailed, hookimpl


class Params(BaseModel):
    file: str
    fail: bool = False


@hookimpl
def params():
    return Params


@hookimpl
def plan(ctx, params):
    there = ctx.node in _lines(ctx, params)
    return Preview.unchanged("is there") if there else Preview.change("write it")


@hookimpl
def execute(ctx, params):
    if params.fail and (ctx.project / "fail").exists():
        raise TaskFailed("as told")
    _write(ctx, params, [*_lines(ctx, params), ctx.node])
    return {"node": ctx.node}


@hookimpl
def revert(ctx, params):
    _write(ctx, params, [line for line in _lines(ctx, params) if line != ctx.node])


def _lines(ctx, params):
    path = ctx.project / params.file
    return path.read_text().split() if path.exists() else []


def _write(ctx, params, lines):
    (ctx.project / params.file).write_text("\\n".join(lines))
'''

INVENTORY = """
[groups.web]
hosts = ["web-1", "web-2"]
[groups.db]
hosts = ["db-1"]
[ssh]
transport = "local"
"""


class Project:
    """A user's project, and the use cases over it."""

    def __init__(self, directory):
        self.directory = directory
        self.events = []
        for name in ("playbooks", "inventories", "plugins"):
            (directory / name).mkdir()
        (directory / "plugins" / "line.py").write_text(PLUGIN)
        (directory / "opsflow.toml").write_text('executor = "serial"\ninventory = "fleet"\n')
        (directory / "inventories" / "fleet.toml").write_text(INVENTORY)
        (directory / "fail").touch()

    def playbook(self, text, name="play"):
        (self.directory / "playbooks" / f"{name}.toml").write_text(textwrap.dedent(text))

    def steps(self, *steps, name="play"):
        """A playbook of steps: (id, hosts, more lines, more parameters)."""
        text = ""
        for id_, hosts, *more in steps:
            lines = more[0] if more else ""
            params = f", {more[1]}" if len(more) > 1 else ""
            text += f'[[step]]\nid = "{id_}"\ntask = "line"\nhosts = "{hosts}"\n{lines}\nwith = {{ file = "lines"{params} }}\n'
        self.playbook(text, name)

    @property
    def settings(self):
        return app.settings(self.directory)

    def request(self, name="play", **more):
        return app.Request(playbook=self.directory / "playbooks" / f"{name}.toml", **{"inventory": "fleet", **more})

    def apply(self, name="play", *, confirm=None, stop=None, **more):
        return app.apply(self.request(name, **more), self.settings, [self.events.append], confirm=confirm, stop=stop)

    def preview(self, name="play", **more):
        return app.preview(self.request(name, **more), self.settings, [self.events.append])

    def resume(self, run=None, **more):
        return app.resume(run, self.settings, [self.events.append], **more)

    def rollback(self, run=None, **more):
        return app.rollback(run, self.settings, [self.events.append], **more)

    def show(self, run=None):
        return app.show(run, self.settings)

    @property
    def lines(self):
        path = self.directory / "lines"
        return sorted(path.read_text().split()) if path.exists() else []

    def mend(self):
        """What failed would succeed now."""
        (self.directory / "fail").unlink()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """`judge(INVENTORY)(TEXT, GIVEN)`: whether a playbook is right. What is wrong is told, and at once; else the test fails."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "opsflow.toml").touch()
    settings = app.settings(tmp_path)
    tasks, playbook = compiling.registry(settings), tmp_path / "play.toml"

    def judged(text, given=()):
        playbook.write_bytes(text.encode("utf-8", "surrogatepass"))
        said, start = None, time.process_time()
        try:
            compiling.compiled(playbook, "prod.toml", given, tasks, settings=settings, run=False)
        except InputError as error:
            said = str(error).strip()
        except Exception as error:
            pytest.fail(f"{type(error).__name__}: {error}\n{text}{given}")
        assert said != "", (text, given)
        assert time.process_time() - start < 1, (text, given)
        return said is None

    def make(inventory):
        (tmp_path / "prod.toml").write_text(inventory)
        return judged

    return make
