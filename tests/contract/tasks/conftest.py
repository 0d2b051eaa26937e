"""A task's hooks over a real transport, called as the engine calls them: everything between two hooks is JSON."""

import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from opsflow import Interrupted, Preview
from opsflow.model import Action, Log, Phase
from opsflow.testing import make_context
from opsflow.transport.local import LocalTransport


class CountingTransport(LocalTransport):
    """Counts round trips. Loses the link around one operation: before it is sent, or before its answer is back."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.trips = 0
        self.lose_at: int | None = None
        self.lose_answer = False

    def _pass(self, do: Callable[[], Any]) -> Any:
        self.trips += 1
        lost = self.trips == self.lose_at
        if lost and not self.lose_answer:
            raise Interrupted("the link was lost before the operation began")
        answer = do()
        if lost:
            raise Interrupted("the link was lost before the answer came")
        return answer

    def run(self, *args: Any, **options: Any) -> Any:
        return self._pass(lambda: super(CountingTransport, self).run(*args, **options))

    def put(self, *args: Any, **options: Any) -> Any:
        return self._pass(lambda: super(CountingTransport, self).put(*args, **options))


class TaskDriver:
    """One task with one set of parameters on one target."""

    def __init__(
        self, module: ModuleType, home: Path, directory: Path, params: Mapping[str, Any], transport: Any = None
    ) -> None:
        self.module = module
        self.home = home
        self.directory = directory
        self.transport = transport or CountingTransport(home)
        self.secrets: dict[str, str] = {}
        self.logged: list[str] = []
        self.given = params

    @property
    def params(self) -> Any:
        return self.module.params().model_validate(self.given, context={"directory": str(self.directory)})

    def _context(self, phase: Phase | None) -> Any:
        self.transport.trips = 0
        return make_context(
            self.transport, directory=self.directory, phase=phase, secrets=self.secrets, emit=self._heard
        )

    def _heard(self, message: Any) -> None:
        if isinstance(message, Log):
            self.logged.append(message.text)

    def plan(self) -> Preview:
        preview = self.module.plan(self._context(None), self.params)
        data = json.loads(json.dumps(dataclasses.asdict(preview)))
        return Preview(**{**data, "action": Action(data["action"])})

    def execute(self, preview: Preview) -> Any:
        outputs = self.module.execute(self._context(Phase.EXECUTE), self.params, preview)
        return json.loads(json.dumps(outputs))

    def revert(self, preview: Preview, outputs: Any = None) -> None:
        self.module.revert(self._context(Phase.REVERT), self.params, preview, outputs)

    def apply(self) -> Any:
        preview = self.plan()
        assert preview.action is Action.CHANGE, preview
        return self.execute(preview)

    def interruptions(self, operations: int) -> Iterator[Callable[[Preview], None]]:
        """Executions that lose the link, once per operation and per side of it."""
        for at in range(1, operations + 1):
            for answer in (False, True):

                def interrupted(preview: Preview, at: int = at, answer: bool = answer) -> None:
                    self.transport.lose_at, self.transport.lose_answer = at, answer
                    with pytest.raises(Interrupted):
                        self.execute(preview)
                    self.transport.lose_at = None

                yield interrupted


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The login directory on the target."""
    path = tmp_path / "home with space"
    path.mkdir()
    return path


@pytest.fixture
def drive(home: Path, tmp_path: Path) -> Callable[..., TaskDriver]:
    """`drive(module, PARAMETER=VALUE, ...)`; `drive.on(transport)` gives one for another target."""
    project = tmp_path / "project"
    project.mkdir()

    def make(module: ModuleType, **params: Any) -> TaskDriver:
        return TaskDriver(module, home, project, params)

    def on(transport: Any) -> Callable[..., TaskDriver]:
        return lambda module, **params: TaskDriver(module, home, project, params, transport)

    make.on = on  # type: ignore[attr-defined]

    return make


@pytest.fixture
def read_only() -> Iterator[Callable[[Path], None]]:
    """`read_only(directory)`: nobody may write in it any more, root neither."""
    if os.geteuid():
        pytest.skip("a file system that is read-only takes root")
    mounted: list[Path] = []

    def mount(directory: Path) -> None:
        subprocess.run(["mount", "--bind", directory, directory], check=True)
        mounted.append(directory)
        subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True)

    yield mount
    for directory in reversed(mounted):
        subprocess.run(["umount", "--lazy", directory], check=True)  # what was ended there may not be quite gone


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of programs on the target, first in its PATH."""
    path = tmp_path / "tools"
    path.mkdir()
    monkeypatch.setenv("PATH", f"{path}{os.pathsep}{os.environ['PATH']}")
    return path


@pytest.fixture
def hide(tools: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`hide(PROGRAM, ...)`: the target has everything that this machine has, these excepted."""

    def without(*programs: str) -> None:
        if not programs:
            return
        for directory in os.environ["PATH"].split(os.pathsep):
            for program in Path(directory).glob("*") if directory else ():
                if program.name not in programs and not (tools / program.name).exists():
                    (tools / program.name).symlink_to(program)
        monkeypatch.setenv("PATH", str(tools))

    return without


@pytest.fixture(params=["dash", "bash", "busybox"])
def userland(request: pytest.FixtureRequest, tools: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The target's `sh`; with busybox it has no other programs than busybox's own."""
    kind = str(request.param)
    program = shutil.which(kind)
    if program is None:
        reason = f"{kind} is not installed"
        pytest.skip(reason)
    (tools / "sh").symlink_to(program)
    if kind == "busybox":
        for name in subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if name != "sh":
                (tools / name).symlink_to(program)
        monkeypatch.setenv("PATH", str(tools))
    return kind


CHANGING = ("chmod", "chown", "cp", "find", "ln", "mkdir", "mv", "rm", "rmdir", "sync", "tar")


class Killer:
    """`killer(N)`: scripts on the target are killed at the Nth program that they call to change something; 0: never."""

    def __init__(self, tools: Path) -> None:
        self._calls, self._at = tools / "calls", tools / "at"
        shell = shutil.which("sh")
        for name in CHANGING:
            (tools / name).write_text(
                f"""#!{shell}
echo >>"{self._calls}"
[ "$(wc -l <"{self._calls}")" != "$(cat "{self._at}")" ] || {{ kill -s KILL $PPID; exit 137; }}
exec {shutil.which(name)} "$@"
"""
            )
            (tools / name).chmod(0o755)
        self(0)

    def __call__(self, number: int) -> None:
        self._calls.write_text("")
        self._at.write_text(f"{number}")

    @property
    def struck(self) -> bool:
        """Whether it came to the Nth."""
        return len(self._calls.read_text()) >= int(self._at.read_text())


@pytest.fixture
def killer(tools: Path) -> Killer:
    """What kills scripts on the target."""
    return Killer(tools)
