"""Performs one job, wherever it is called: the only place where a task's exception becomes an outcome."""

import dataclasses
import json
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from opsflow.engine.cancelling import Cancellation, Cancellations, end_operations
from opsflow.engine.context import HookContext
from opsflow.errors import (
    Cancelled,
    CommandFailed,
    Interrupted,
    OpsflowError,
    Refused,
    TaskFailed,
    TemplateError,
    Unreachable,
)
from opsflow.model import Action, Failure, Job, JobKind, Message, NodeState, Outcome, Preview, Turn, Verdict
from opsflow.params import LocalFiles
from opsflow.ports import Renderer, Task, Tasks, Transport, Transports
from opsflow.report.masking import Masker

Emit = Callable[[Message], None]

_CONFIRMED_SECONDS = 15.0
_HAS_OUTPUTS = frozenset({NodeState.SUCCEEDED, NodeState.UNCHANGED})

_VERDICTS = {
    Action.CHANGE: Verdict.PREPARED,
    Action.UNCHANGED: Verdict.UNCHANGED,
    Action.FAIL: Verdict.FAILED,
}


class Worker:
    """Performs jobs. Safe to call from many threads at once.

    Args:
        tasks: Finds the task of a job.
        transports: Reaches its host.
        renderer: For templates.
        secret: Fetches the value of a reference.
        hidden: Values that nothing may show, beside those that a job fetches.
    """

    def __init__(
        self,
        *,
        tasks: Tasks,
        transports: Transports,
        renderer: Renderer,
        secret: Callable[[str], str],
        hidden: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._tasks = tasks
        self._transports = transports
        self._renderer = renderer
        self._secret = secret
        self._hidden = hidden
        self._local = LocalFiles()
        self._cancellations = Cancellations()

    def __call__(self, job: Job, emit: Emit) -> None:
        """Do the job; its outcome is the last thing that is emitted."""
        cancellation = self._cancellations.of(job)
        masker = Masker()
        ctx: HookContext | None = None
        try:
            cancellation.check()
            transport = self._transports.to(job.at, job.become)
            for value in self._hidden():
                masker.add(value)
            if not job.epoch:  # a dry run: whether hosts answer is part of what it tells
                transport.reach()
            machine = transport.claim(job.run_id, job.epoch) if job.epoch else ""
            if job.settled:
                transport.forget(job.settled)
            if job.replay:
                _check_records(job, machine)
            job = self._turned(job)
            ctx = HookContext(
                job,
                transport,
                emit=emit,
                secret=self._secret,
                renderer=self._renderer,
                masker=masker,
                cancellation=cancellation,
            )
            outcome = dataclasses.replace(self._perform(job, ctx, transport), machine=machine)
        except BaseException as error:  # noqa: BLE001 - a task may raise anything, and somebody waits for the outcome
            outcome = _broken(job, ctx, error, masker, cancellation)
        else:
            if ctx.link.interrupted:  # and the task swallowed it
                outcome = _broken(job, ctx, ctx.link.interrupted, masker, cancellation)
        self._cancellations.forget(job)
        emit(outcome)

    def cancel(self, job: Job) -> None:
        """End a job that another thread does. See `ports.Perform`."""
        self._cancellations.cancel(job, lambda: self._transports.to(job.at, job.become))

    def _perform(self, job: Job, ctx: HookContext, transport: Transport) -> Outcome:
        if job.kind is JobKind.CANCEL:
            end_operations(job, transport)
            raise Cancelled("the attempt was cancelled")
        task = self._tasks.get(job.task)
        if task is None:
            raise OpsflowError(f"there is no task {job.task!r} any more", hint="put its plugin back, then resume")
        if job.kind is JobKind.PREPARE:
            return self._prepare(job, task, ctx)
        preview = job.preview or Preview(action=Action.CHANGE)
        if job.kind is JobKind.SETTLE:
            # Without a plan hook nobody can tell what became of it.
            found = task.plan(ctx, job.params) if task.has_plan else preview
            # The attempt may be at work still. One that is not done is left so that it can go on.
            if found.action is Action.UNCHANGED and ctx.fence():
                found = task.plan(ctx, job.params)
            return _looked(job, found, job.params, ctx)
        if job.kind is JobKind.EXECUTE:
            outputs = task.execute(ctx, job.params, preview)
            ctx.end()
            outputs = ctx.masker.data(dict(outputs))
            return Outcome(job=job, verdict=Verdict.SUCCEEDED, outputs=outputs, exit_status=ctx.exit_status)
        ctx.fence()
        task.revert(ctx, job.params, preview, job.outputs)
        ctx.end()
        return Outcome(job=job, verdict=Verdict.SUCCEEDED, exit_status=ctx.exit_status)

    def _turned(self, job: Job) -> Job:
        """The job with its turn of what varies; its condition comes first, and sees nothing of that."""
        if not job.vary or not self._wanted(job):
            return job
        try:
            turn = Turn.at(job.place, self._renderer.render(dict(job.vary), job.variables, job.facts))
        except ValueError as error:
            raise TaskFailed(str(error)) from error
        return dataclasses.replace(job, turn=turn, facts={**job.facts, **turn.values})

    def _wanted(self, job: Job) -> bool:
        return job.when is None or self._renderer.condition(job.when, job.variables, job.facts)

    def _prepare(self, job: Job, task: Task, ctx: HookContext) -> Outcome:
        if not job.turn and not self._wanted(job):
            return Outcome(job=job, verdict=Verdict.SKIPPED)
        try:
            params: Mapping[str, Any] = self._renderer.render(dict(job.params), job.variables, job.facts)
        except TemplateError as error:
            raise TemplateError(error.message, hint=error.hint or _without_outputs(job, error.message)) from error
        self._refuse_changed_files(job, task, params)
        ctx.fence()
        preview = task.plan(ctx, params)
        _refuse_secrets(params, "parameter", ctx.masker)
        _refuse_secrets(job.turn.values if job.turn else {}, "variable of `retry.vary`", ctx.masker)
        _refuse_secrets(preview.before, "part of the preview's `before`,", ctx.masker)
        return _looked(job, preview, params, ctx)

    def _refuse_changed_files(self, job: Job, task: Task, params: Mapping[str, Any]) -> None:
        for path in task.local_paths(params, job.directory) if job.files else ():
            if job.files.get(path, "") not in {"", self._local.digest(path)}:
                raise TaskFailed(
                    f"{path} is not what it was when the plan was made",
                    hint="put it back and resume, or roll back and apply again",
                )


def _without_outputs(job: Job, message: str) -> str:
    """What to do about outputs that a template mentions and that there are not."""
    part = "".join(job.step.rpartition("/")[:2])
    for name, found in job.facts.get("steps", {}).items():
        step = name.removeprefix(part)
        if step in message and found["state"] not in _HAS_OUTPUTS:
            return f"step {step} is {found['state']}: say what to use instead, outputs.{step}.KEY | default(...)"
    return ""


def _refuse_secrets(data: Mapping[str, Any], what: str, masker: Masker) -> None:
    """What the hooks of an attempt get is journaled. It cannot be masked: they would take the mask for the value."""
    for key, value in data.items():
        if masker.data({key: value}) != {key: value}:
            raise TaskFailed(
                f"the value of a secret stands in the {what} `{masker.text(key)}`, which the journal would keep",
                hint="hand it over as a reference, {{ secret(...) }}; if it is there by chance, choose a longer secret",
            )


def _check_records(job: Job, found: str) -> None:
    """Raise `Interrupted` unless the records are the ones that the intent names; the boot id may be another."""
    before, now = json.loads(job.machine), json.loads(found)
    if any(before.get(key) != now.get(key) for key in ("base_id", "machine", "uid")):
        raise Interrupted(f"what the attempt did is not on record any more on {job.at}")


def _looked(job: Job, preview: Preview, params: Mapping[str, Any], ctx: HookContext) -> Outcome:
    masker = ctx.masker
    masked = dataclasses.replace(
        preview,
        summary=masker.text(preview.summary),
        before=masker.data(dict(preview.before)),
        diff=masker.text(preview.diff),
        why=masker.text(preview.why),
        outputs=masker.data(dict(preview.outputs)),
    )
    failed = preview.action is Action.FAIL
    return Outcome(
        job=job,
        verdict=_VERDICTS[preview.action],
        preview=masked,
        params=masker.data(dict(params)),
        outputs=masked.outputs if preview.action is Action.UNCHANGED else None,
        failure=Failure(kind="Preview", message=masked.why or masked.summary) if failed else None,
    )


def _broken(
    job: Job, ctx: HookContext | None, error: BaseException, masker: Masker, cancellation: Cancellation
) -> Outcome:
    """Of a job that did not get through: failed, or cut short."""
    cause = ctx.link.interrupted if ctx and ctx.link.interrupted else error
    verdict = Verdict.FAILED
    if isinstance(cause, Interrupted | Unreachable | KeyboardInterrupt):
        begun = job.replay or (ctx is not None and ctx.link.operations > 0)
        verdict = Verdict.UNKNOWN if begun else Verdict.UNREACHABLE
    # The hook failed before it came to what it began the first time: that may have ended well, or run still. A host
    # that was booted may have lost its record of it; but that a command failed is heard from a record.
    behind = ctx is None or ctx.behind or (ctx.booted and not isinstance(cause, CommandFailed))
    behind = behind and job.kind is JobKind.EXECUTE and bool(job.replay)
    if behind:
        verdict = Verdict.UNKNOWN
    if isinstance(cause, Refused) and verdict is Verdict.UNKNOWN and not job.replay:
        verdict = Verdict.FAILED  # what came before it has ended, and it has not begun
    if (isinstance(cause, Cancelled) and not behind) or (
        isinstance(cause, Interrupted) and cancellation.confirmed(_CONFIRMED_SECONDS)
    ):
        verdict = Verdict.CANCELLED
    failure = _failure(cause, masker)
    return Outcome(job=job, verdict=verdict, failure=failure, exit_status=failure.exit_status)


def _failure(error: BaseException, masker: Masker) -> Failure:
    known = error if isinstance(error, OpsflowError) else None
    command = error if isinstance(error, CommandFailed) else None
    text = _said(error)
    if not known and not isinstance(error, Interrupted):
        text = f"{type(error).__name__}: {text}"
    return Failure(
        kind=type(error).__name__,
        message=masker.text(text),
        command=masker.text(command.command) if command else "",
        exit_status=command.exit_status if command else None,
        stderr=masker.text(command.stderr) if command else "",
        hint=masker.text(known.hint) if known else "",
        trace=masker.text("".join(traceback.format_exception(error))),
    )


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a stranger's exception
        return "(it cannot be told)"
