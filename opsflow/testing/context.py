"""A task's hook context over any transport, without an engine."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from opsflow.engine.context import HookContext
from opsflow.model import LOCALHOST, Job, JobKind, Message, Phase
from opsflow.playbook import TemplateRenderer
from opsflow.ports import Transport

_KINDS = {None: JobKind.PREPARE, Phase.EXECUTE: JobKind.EXECUTE, Phase.REVERT: JobKind.REVERT}


def make_context(
    transport: Transport,
    *,
    directory: Path | str = ".",
    host: str = LOCALHOST,
    step: str = "step",
    task: str = "task",
    run_id: str = "20260101T000000Z-test",
    phase: Phase | None = None,
    variables: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Mapping[str, Any]] | None = None,
    attempt: int = 1,
    timeout: float | None = None,
    secrets: Mapping[str, str] | None = None,
    emit: Callable[[Message], None] | None = None,
    record: bool = False,
    replay: bool = False,
) -> HookContext:
    """The context that the engine would give to a task's hook.

    Args:
        transport: The host to work on.
        directory: Where relative local paths begin.
        host: Inventory name of the node's host.
        step: Id of the step.
        task: Name of the task.
        run_id: Id of the run.
        phase: Which hook it is for; None: `plan`, in which operations raise `TaskFailed`.
        variables: `ctx.vars`; templates in them are rendered.
        outputs: `ctx.outputs`, by step.
        attempt: Number of the attempt, from 1.
        timeout: Seconds that the attempt has.
        secrets: Values by reference (`env:NAME`); references that are not in it are looked up in the environment and
            in files.
        emit: Gets output, logs and progress; None: they are dropped.
        record: Whether operations are recorded, which the transport must be able to do.
        replay: Whether the hook is called again: what it did is on record.
    """
    job = Job(
        kind=_KINDS[phase],
        run_id=run_id,
        node=f"{step}@{host}",
        step=step,
        host=host,
        task=task,
        attempt=attempt,
        variables=variables or {},
        facts={"host": host, "outputs": outputs or {}},
        timeout=timeout,
        directory=str(directory),
        record=f"{run_id}/{step}/{phase}/{attempt}" if record else "",
        epoch=1 if record else 0,
        replay=replay,
        machine=transport.claim(run_id, 1) if record else "",
    )

    def secret(name: str) -> str:
        scheme, _, rest = name.partition(":")
        if secrets and name in secrets:
            return secrets[name]
        return os.environ[rest] if scheme == "env" else Path(rest).read_text(encoding="utf-8").rstrip("\n")

    renderer = TemplateRenderer(directory=str(directory), hosts=lambda _: (host,))
    return HookContext(job, transport, emit=emit or (lambda _: None), secret=secret, renderer=renderer)
