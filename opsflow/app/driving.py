"""Driving a run that the journal has, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opsflow.app import wiring
from opsflow.app.stored import StoredPlan
from opsflow.engine.conclude import next_command
from opsflow.engine.loop import Engine
from opsflow.engine.run import Run
from opsflow.engine.stop import Stop
from opsflow.errors import JournalUnavailable
from opsflow.events import Listener, NodePlanned, RolloutPlanned
from opsflow.journal import SqlJournal
from opsflow.model import OVER, NodeState, RunRecord, RunState
from opsflow.ports import Approver, Executor, Transports

NOT_CONFIRMED = 1
"""Exit code of a use case to which the operator said no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What came of a use case. `run_id` is empty and `state` None if no run began; `hint` says what to type next."""

    run_id: str = ""
    state: RunState | None = None
    exit_code: int = 0
    counts: Mapping[NodeState, int] = field(default_factory=dict)
    hint: str = ""
    planned: tuple[NodePlanned, ...] = ()
    rollout: RolloutPlanned | None = None


def load(record: RunRecord, stored: StoredPlan, listeners: Sequence[Listener]) -> Run:
    """A run as an earlier session left it."""
    journal = stored.journal
    return Run(
        record,
        stored.plan,
        journal,
        listeners,
        nodes=journal.nodes(record.id),
        rollbacks=journal.rollbacks(record.id),
        number=stored.number,
        plan_at=stored.at,
    )


def drive(
    run: Run,
    executor: Executor,
    transports: Transports,
    journal: SqlJournal,
    stop: Stop,
    command: str,
    approver: Approver | None = None,
) -> RunSummary:
    """Drive a run that this process writes: `apply`, `resume` or `rollback` it."""
    renderer = wiring.renderer_for(run.plan)
    engine = Engine(run, executor=executor, journal=journal, renderer=renderer, stop=stop, approver=approver)
    try:
        code = {"apply": engine.apply, "resume": engine.resume, "rollback": engine.rollback}[command]()
    except JournalUnavailable as error:
        again = "rollback" if command == "rollback" else "resume"
        hint = f"once the journal can be used again: opsflow {again} {run.id}"
        raise JournalUnavailable(error.message, hint=hint) from error
    if run.state in OVER:
        transports.release()
    return RunSummary(run_id=run.id, state=run.state, exit_code=code, counts=run.counts(), hint=next_command(run, code))
