"""One task, as the engine calls it."""

import dataclasses
import inspect
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

import pluggy
from pydantic import BaseModel, ValidationError

from opsflow import hookimpl
from opsflow.errors import TaskFailed
from opsflow.model import Action, Preview
from opsflow.params import LocalPath
from opsflow.plugins import validation
from opsflow.plugins.checks import implements
from opsflow.plugins.loading import Plugin
from opsflow.plugins.validation import NoParams
from opsflow.plugins.values import as_json
from opsflow.ports import Context


class Verdicts:
    """Innermost wrapper of every task: keeps what the task itself raised or returned.

    Wrappers of other plugins may watch, delay and object. None of them can turn a failure or an `Interrupted` into a
    success, or lose outputs because it does not pass them on.
    """

    def __init__(self) -> None:
        self._raised: dict[int, BaseException] = {}
        self._returned: dict[int, Any] = {}

    @hookimpl(wrapper=True, trylast=True)
    def execute(self, ctx: Context) -> Generator[None, Any, Any]:
        """Around the task's own `execute`."""
        return (yield from self._keep(ctx))

    @hookimpl(wrapper=True, trylast=True)
    def revert(self, ctx: Context) -> Generator[None, Any, Any]:
        """Around the task's own `revert`."""
        return (yield from self._keep(ctx))

    def call(self, hook: pluggy.HookCaller, ctx: Context, **arguments: Any) -> Any:
        """Call a hook with all its wrappers; what the task itself did is what counts.

        A wrapper that raises although the task did not is obeyed: it objects.
        """
        failed: BaseException | None = None
        try:
            hook(ctx=ctx, **arguments)
        except BaseException as error:  # noqa: BLE001 - raised again below, unless it hides the task's own
            failed = error
        key = id(ctx)  # a context is one job's, and alive as long as its hook runs
        returned, raised = self._returned.pop(key, None), self._raised.pop(key, failed)
        if raised is not None:
            raise raised
        return returned

    def _keep(self, ctx: Context) -> Generator[None, Any, Any]:
        try:
            self._returned[id(ctx)] = yield
        except BaseException as error:
            self._raised[id(ctx)] = error
            raise
        return self._returned[id(ctx)]


class PluginTask:
    """`ports.Task` over a plugin's module.

    Args:
        plugin: The plugin whose module implements the task's hooks.
        hooks: Callers of `plan`, `execute` and `revert` that leave other tasks out.
        verdicts: The innermost wrapper.
    """

    def __init__(self, plugin: Plugin, hooks: Mapping[str, pluggy.HookCaller], verdicts: Verdicts) -> None:
        module = plugin.module
        self.name = plugin.name
        self.doc = inspect.cleandoc(module.__doc__ or "").split("\n\n", maxsplit=1)[0]
        self.source = plugin.source.path
        self.digest = plugin.digest
        self.idempotent: bool = getattr(module, "idempotent", False)
        self.has_plan = implements(module, "plan")
        self.gate: bool = getattr(module, "gate", False)
        self.reversible = self.gate or implements(module, "revert")
        self._model: type[BaseModel] = module.params() if implements(module, "params") else NoParams
        self._outputs: type[BaseModel] | None = module.outputs() if implements(module, "outputs") else None
        self._hooks = hooks
        self._verdicts = verdicts

    def check(
        self, params: Mapping[str, Any], *, ignore: Iterable[str] = ()
    ) -> list[tuple[tuple[str | int, ...], str]]:
        """What is wrong with `params`; see `ports.Task.check`."""
        return validation.faults(self._model, params, ignore=ignore)

    def local_paths(self, params: Mapping[str, Any], directory: str) -> Sequence[str]:
        """The control machine's files that `params` name; none if they are wrong, which `check` tells."""
        try:
            model = validation.validate(self._model, params, directory)
        except ValidationError:
            return ()
        return [value for _, value in model if isinstance(value, LocalPath)]

    def schema(self) -> Mapping[str, Any]:
        """JSON Schema of the parameters."""
        return self._model.model_json_schema()

    def outputs(self) -> Mapping[str, Any] | None:
        """JSON Schema of the outputs; None: the task does not say what it gives."""
        return self._outputs.model_json_schema() if self._outputs else None

    def plan(self, ctx: Context, params: Mapping[str, Any]) -> Preview:
        """Call `plan`; without one, a change."""
        model = self._validated(ctx, params)
        if not self.has_plan:
            return Preview.change(f"run {self.name} (it has no preview)", reversible=self.reversible)
        preview = self._hooks["plan"](ctx=ctx, params=model)
        if not isinstance(preview, Preview):
            raise TaskFailed(f"the `plan` hook of {self.name} must return a Preview, not {type(preview).__name__}")
        outputs = as_json(preview.outputs, "outputs")
        if preview.action is Action.UNCHANGED:
            self._compare(ctx, outputs)
        return dataclasses.replace(
            preview,
            before=as_json(preview.before, "the preview's before"),
            outputs=outputs,
            reversible=preview.reversible and self.reversible,
        )

    def execute(self, ctx: Context, params: Mapping[str, Any], preview: Preview) -> Mapping[str, Any]:
        """Call `execute`; its outputs."""
        outputs = self._verdicts.call(self._hooks["execute"], ctx, params=self._validated(ctx, params), preview=preview)
        outputs = {} if outputs is None else outputs
        if not isinstance(outputs, Mapping):
            raise TaskFailed(f"the `execute` hook of {self.name} must return a dict, not {type(outputs).__name__}")
        found = as_json(outputs, "outputs")
        self._compare(ctx, found)
        return found

    def revert(
        self, ctx: Context, params: Mapping[str, Any], preview: Preview, outputs: Mapping[str, Any] | None
    ) -> None:
        """Call `revert`."""
        if not self.reversible:
            raise TaskFailed(f"{self.name} cannot be undone: it has no `revert` hook")
        self._verdicts.call(
            self._hooks["revert"], ctx, params=self._validated(ctx, params), preview=preview, outputs=outputs
        )

    def _compare(self, ctx: Context, outputs: Mapping[str, Any]) -> None:
        """Say what of the outputs is not as declared: the work is done, so that is no reason to fail."""
        if self._outputs and (said := validation.misfits(self._outputs, outputs)):
            ctx.log(f"the outputs of {self.name} are not what it declares: {said}")

    def _validated(self, ctx: Context, params: Mapping[str, Any]) -> BaseModel:
        try:
            return validation.validate(self._model, params, str(ctx.project))
        except ValidationError as error:
            said = validation.describe(self._model, error, params)
            raise TaskFailed(f"the parameters of {self.name} are wrong: {said}") from None
