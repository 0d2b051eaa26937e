"""Whether a task keeps what every task promises: looked at, done, undone, twice of each, cut short anywhere."""

import inspect
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from opsflow.engine.context import HookContext
from opsflow.errors import Interrupted
from opsflow.model import Action, Phase, Preview
from opsflow.plugins.validation import NoParams, misfits
from opsflow.plugins.values import as_json
from opsflow.ports import Transport
from opsflow.testing.context import make_context
from opsflow.testing.recording import RecordingTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A task with parameters, and a host on which it has something to do.

    Attributes:
        task: The task's module.
        params: What would stand below `with`, rendered.
        host: Where it works. Operations are recorded over it, and cut short.
        look: Tells what of the host the task is about, as something that can be compared: what `revert` has to bring
            back. Left out of it is what the task may leave behind, such as backups.
        directory: Where relative local paths begin.
        variables: `ctx.vars`.
        secrets: Values by reference (`env:NAME`).
        settles: Whether `plan` finds nothing to do once `execute` is through.
    """

    task: ModuleType
    params: Mapping[str, Any]
    host: Transport
    look: Callable[[], object]
    directory: Path = Path()
    variables: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    settles: bool = True


def check_conformance(case: Case) -> None:
    """Put a task through everything that may befall it.

    - `plan` changes nothing; all that hooks give back is JSON, and outputs are what the task declares. A gate does no
      more than that: what comes then is somebody's word, and the engine's.
    - After `execute`, `plan` says that there is nothing to do, with the same outputs.
    - `revert` brings back what was there; once more, and without outputs, too.
    - The link is lost around each operation of `execute`: called again, it comes to the same end; and `revert`, if
      there is one, brings back what was there.
    - The same around each operation of `revert`.

    Raises:
        AssertionError: it says after what which promise was not kept.
    """
    before = case.look()
    attempt = _Attempt(case)
    for _ in range(2):
        attempt.plan()
        _same(before, case.look(), "plan changes something")
    if getattr(case.task, "gate", False):
        return
    outputs = attempt.execute()
    after = case.look()
    if case.settles:
        again = attempt.plan(wanted=Action.UNCHANGED)
        assert again.outputs == outputs, f"plan gives the outputs {again.outputs!r}, execute gave {outputs!r}"
        _same(after, case.look(), "plan changes something after execute")
    if not hasattr(case.task, "revert"):
        return
    for time in ("revert", "a second revert"):
        attempt.revert(outputs)
        _same(before, case.look(), f"{time} does not bring back what was there")
    for cut in _cuts(attempt.transport.count):
        _cut_execute(case, cut, before, after)
    for cut in _cuts(attempt.reverting.count):
        _cut_revert(case, cut, before)


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where the link is lost: at the operation of that number, done or not."""

    number: int
    done: bool

    def __str__(self) -> str:
        return f"operation {self.number} was cut short {'after' if self.done else 'before'} it was done"


def _cuts(operations: int) -> Iterator[_Cut]:
    for number in range(1, operations + 1):
        yield _Cut(number, done=False)
        yield _Cut(number, done=True)


def _cut_execute(case: Case, cut: _Cut, before: object, after: object) -> None:
    attempt = _Attempt(case)
    attempt.plan()
    attempt.lose(cut, attempt.transport, attempt.execute)
    outputs = attempt.execute(replay=True)
    _same(after, case.look(), f"after {cut}, execute does not come to the same end")
    attempt.revert(outputs)
    _same(before, case.look(), f"after {cut} and the end of execute, revert does not bring back what was there")
    attempt = _Attempt(case)
    attempt.plan()
    attempt.lose(cut, attempt.transport, attempt.execute)
    for time in ("revert", "a second revert"):
        attempt.revert(None)
        _same(before, case.look(), f"after {cut} of execute, {time} does not bring back what was there")


def _cut_revert(case: Case, cut: _Cut, before: object) -> None:
    attempt = _Attempt(case)
    attempt.plan()
    outputs = attempt.execute()
    attempt.lose(cut, attempt.reverting, lambda: attempt.revert(outputs, anew=False))
    attempt.revert(outputs)
    _same(before, case.look(), f"after {cut} of revert, another one does not bring back what was there")


class _Attempt:
    """The attempt of a run of its own: its preview, and the records of `execute` and of the last `revert`."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._run_id = f"20260101T000000Z-{secrets.token_hex(4)}"
        model = case.task.params() if hasattr(case.task, "params") else NoParams
        self._params = model.model_validate(dict(case.params), context={"directory": str(case.directory.absolute())})
        self.transport = RecordingTransport(case.host)
        self.reverting = RecordingTransport(case.host)
        self._preview = Preview.change("")

    def plan(self, wanted: Action = Action.CHANGE) -> Preview:
        """Call `plan`, if there is one."""
        if hasattr(self._case.task, "plan"):
            preview: Preview = self._call("plan", self._context(self.transport, None))
            assert preview.action is wanted, f"plan says {preview.action.value}, not {wanted.value}: {preview.summary}"
            preview = replace(preview, before=as_json(preview.before, "the preview's before"))
            if wanted is Action.CHANGE:
                self._preview = preview
            return preview
        return self._preview

    def execute(self, *, replay: bool = False) -> dict[str, Any]:
        """Call `execute`."""
        ctx = self._context(self.transport, Phase.EXECUTE, replay=replay)
        outputs = as_json(self._call("execute", ctx, preview=self._preview) or {}, "outputs")
        said = misfits(self._case.task.outputs(), outputs) if hasattr(self._case.task, "outputs") else ""
        assert not said, f"the outputs are not what the task declares: {said}"
        ctx.end()
        return outputs

    def revert(self, outputs: Mapping[str, Any] | None, *, anew: bool = True) -> None:
        """Call `revert`; `anew`: as an attempt of its own."""
        if anew:
            self.reverting = RecordingTransport(self._case.host)
        ctx = self._context(self.reverting, Phase.REVERT)
        self._call("revert", ctx, preview=self._preview, outputs=outputs)

    def lose(self, cut: _Cut, transport: RecordingTransport, call: Callable[[], object]) -> None:
        """Call a hook that loses its link."""
        transport.lose_at(cut.number, done=cut.done)
        try:
            call()
        except Interrupted:
            return
        raise AssertionError(f"a hook goes on although {cut}: it does less than the first time, or hides Interrupted")

    def _context(self, transport: RecordingTransport, phase: Phase | None, *, replay: bool = False) -> HookContext:
        case = self._case
        return make_context(
            transport,
            run_id=self._run_id,
            directory=case.directory,
            phase=phase,
            variables=case.variables,
            secrets=case.secrets,
            record=phase is not None,
            replay=replay,
        )

    def _call(self, name: str, ctx: HookContext, **more: Any) -> Any:
        hook = getattr(self._case.task, name)
        given = {"ctx": ctx, "params": self._params, **more}
        wanted = inspect.signature(hook).parameters
        return hook(**{key: value for key, value in given.items() if key in wanted})


def _same(expected: object, found: object, what: str) -> None:
    assert found == expected, f"{what}:\n  it should be {expected!r}\n  it is        {found!r}"
