"""Performs one job, wherever it is called: the only place where a task's exception becomes an outcome."""

import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from opsflow.engine.context import HookContext
from opsflow.errors import CommandFailed, Interrupted, OpsflowError, Unreachable
from opsflow.model import Action, Failure, Job, JobKind, Message, Outcome, Preview, Verdict
from opsflow.ports import Renderer, Task, Tasks, Transports
from opsflow.report.masking import Masker

Emit = Callable[[Message], None]

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
    """

    def __init__(
        self, *, tasks: Tasks, transports: Transports, renderer: Renderer, secret: Callable[[str], str]
    ) -> None:
        self._tasks = tasks
        self._transports = transports
        self._renderer = renderer
        self._secret = secret

    def __call__(self, job: Job, emit: Emit) -> None:
        """Do the job; its outcome is the last thing that is emitted."""
        masker = Masker()
        ctx: HookContext | None = None
        try:
            transport = self._transports.to(job.host)
            machine = transport.claim(job.run_id, job.epoch) if job.epoch else ""
            if job.replay:
                _check_records(job, machine)
            ctx = HookContext(job, transport, emit=emit, secret=self._secret, renderer=self._renderer, masker=masker)
            outcome = replace(self._perform(job, ctx), machine=machine)
        except Interrupted as error:
            outcome = _cut_short(job, ctx, _failure(error, masker))
        except Unreachable as error:
            outcome = _cut_short(job, ctx, _failure(error, masker))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a task may raise anything
            outcome = Outcome(
                job=job,
                verdict=Verdict.FAILED,
                failure=_failure(error, masker),
                exit_status=getattr(error, "exit_status", None),
            )
        emit(outcome)

    def _perform(self, job: Job, ctx: HookContext) -> Outcome:
        task = self._tasks.get(job.task)
        if task is None:
            raise OpsflowError(f"there is no task {job.task!r} any more", hint="put its plugin back, then resume")
        if job.kind is JobKind.PREPARE:
            return self._prepare(job, task, ctx)
        preview = job.preview or Preview(action=Action.CHANGE)
        if job.kind is JobKind.SETTLE:
            # Without a plan hook nobody can tell what became of it.
            found = task.plan(ctx, job.params) if task.has_plan else preview
            return _looked(job, found, job.params, ctx)
        if job.kind is JobKind.EXECUTE:
            outputs = task.execute(ctx, job.params, preview)
            ctx.end()
            return Outcome(job=job, verdict=Verdict.SUCCEEDED, outputs=ctx.masker.data(dict(outputs)))
        task.revert(ctx, job.params, preview, job.outputs)
        ctx.end()
        return Outcome(job=job, verdict=Verdict.SUCCEEDED)

    def _prepare(self, job: Job, task: Task, ctx: HookContext) -> Outcome:
        if job.when is not None and not self._renderer.condition(job.when, job.variables, job.facts):
            return Outcome(job=job, verdict=Verdict.SKIPPED)
        params: Mapping[str, Any] = self._renderer.render(dict(job.params), job.variables, job.facts)
        return _looked(job, task.plan(ctx, params), params, ctx)


def _check_records(job: Job, found: str) -> None:
    """Raise `Interrupted` unless the records are the ones that the intent names; the boot id may be another."""
    before, now = json.loads(job.machine), json.loads(found)
    if any(before.get(key) != now.get(key) for key in ("base_id", "machine", "uid")):
        raise Interrupted(f"what the attempt did is not on record any more on {job.host}")


def _looked(job: Job, preview: Preview, params: Mapping[str, Any], ctx: HookContext) -> Outcome:
    masked = Preview.from_json(ctx.masker.data(preview.to_json()))
    failed = preview.action is Action.FAIL
    return Outcome(
        job=job,
        verdict=_VERDICTS[preview.action],
        preview=masked,
        params=ctx.masker.data(dict(params)),
        outputs=masked.outputs if preview.action is Action.UNCHANGED else None,
        failure=Failure(kind="Preview", message=masked.why or masked.summary) if failed else None,
    )


def _cut_short(job: Job, ctx: HookContext | None, failure: Failure) -> Outcome:
    """Of a job that did not get through: certain that nothing happened, or not."""
    begun = job.replay or (ctx is not None and ctx.operations > 0)
    return Outcome(job=job, verdict=Verdict.UNKNOWN if begun else Verdict.UNREACHABLE, failure=failure)


def _failure(error: BaseException, masker: Masker) -> Failure:
    known = isinstance(error, OpsflowError)
    text = str(error) if known or isinstance(error, Interrupted) else f"{type(error).__name__}: {error}"
    command = error if isinstance(error, CommandFailed) else None
    return Failure(
        kind=type(error).__name__,
        message=masker.text(text),
        command=masker.text(command.command) if command else "",
        exit_status=command.exit_status if command else None,
        stderr=masker.text(command.stderr) if command else "",
        hint=masker.text(error.hint) if isinstance(error, OpsflowError) else "",
        trace=masker.text("".join(traceback.format_exception(error))),
    )
