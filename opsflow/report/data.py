"""What programs read: the JSON forms of runs, nodes, attempts, plans and events."""

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from opsflow.errors import InputError, OpsflowError, PlanDrift, Problem
from opsflow.events import Event, NodePlanned, RolloutPlanned
from opsflow.model import (
    AttemptRecord,
    BatchRecord,
    Failure,
    NodeRecord,
    RequestRecord,
    RollbackRecord,
    RunRecord,
    question_of,
)
from opsflow.plan import Accepted

Data = dict[str, Any]


def run_data(run: RunRecord) -> Data:
    """A run, as `opsflow runs` lists it."""
    return {
        "id": run.id,
        "state": str(run.state),
        "playbook": run.playbook,
        "inventory": run.inventory,
        "command": run.command,
        "operator": run.operator,
        "fingerprint": run.fingerprint,
        "started": timestamp(run.started),
        "finished": timestamp(run.finished),
        "exit_code": run.exit_code,
    }


def show_data(
    run: RunRecord,
    nodes: Iterable[NodeRecord],
    rollbacks: Iterable[RollbackRecord],
    requests: Iterable[RequestRecord] = (),
    *,
    at_end: Collection[str] = (),
    accepted: Iterable[Accepted] = (),
    left_out: Iterable[str] = (),
    batches: Iterable[BatchRecord] = (),
) -> Data:
    """One run in full.

    Args:
        run: The run.
        nodes: Its nodes, in the order of the plan.
        rollbacks: Its rollbacks.
        requests: What operators asked for.
        at_end: Its steps with `finally`.
        accepted: Changes of its plan.
        left_out: Nodes that were not selected.
        batches: In which it is rolled out.
    """
    return {
        "run": run_data(run),
        "nodes": [_node_data(node) | {"finally": node.step in at_end} for node in nodes],
        "left_out": list(left_out),
        "batches": [dataclasses.asdict(batch) for batch in batches],
        "plans": [
            {
                "number": plan.number,
                "operator": plan.operator,
                "accepted": timestamp(plan.at),
                "differences": plain(plan.differences),
            }
            for plan in accepted
        ],
        "rollbacks": [
            {
                "id": rollback.id,
                "scope": rollback.scope,
                "nodes": list(rollback.nodes),
                "complete": rollback.complete,
                "started": timestamp(rollback.started),
                "finished": timestamp(rollback.finished),
            }
            for rollback in rollbacks
        ],
        "requests": [
            {
                "what": str(request.what),
                "operator": request.operator,
                "asked": timestamp(request.at),
                "applied": timestamp(request.applied),
                "data": plain(request.data),
                "answer": plain(request.answer),
            }
            for request in requests
        ],
    }


def plan_data(planned: Sequence[NodePlanned], rollout: RolloutPlanned | None = None) -> Data:
    """A dry run."""
    keys = ("step", "host", "action", "reversible", "summary", "diff", "needs", "batch")
    told = ("by", "batches", "max_failures", "pause", "gates")
    return {
        "rollout": {key: plain(getattr(rollout, key)) for key in told} if rollout else None,
        "nodes": [
            {"id": node.node}
            | {key: plain(getattr(node, key)) for key in keys}
            | {"on": node.on or None, "finally": node.at_end, "approval": node.gate}
            for node in planned
        ],
    }


def event_data(event: Event) -> Data:
    """An event: `event` is its class name in snake_case, then come its fields."""
    fields: Data = plain(event)
    return {"event": _snake(type(event).__name__)} | fields


def error_data(error: OpsflowError) -> Data:
    """An error that ended a command."""
    problems = error.problems if isinstance(error, InputError) else ()
    drift = {"differences": plain(error.differences)} if isinstance(error, PlanDrift) else {}
    return {
        "error": drift
        | {
            "type": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "problems": [problem_data(problem) for problem in problems],
        }
    }


def problem_data(problem: Problem) -> Data:
    """Something that is wrong with the input, or not understood."""
    return {
        "message": problem.message,
        "hint": problem.hint,
        "file": problem.position.file if problem.position else None,
        "line": problem.position.line if problem.position else None,
        "column": problem.position.column if problem.position else None,
    }


def timestamp(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def plain(value: Any) -> Any:
    """Anything of the model or the events as JSON. Tracebacks are left out."""
    match value:
        case Failure():
            found: Any = _failure_data(value)
        case Problem():
            found = problem_data(value)
        case Enum():
            found = value.value
        case datetime():
            found = timestamp(value)
        case Mapping():
            found = {str(plain(key)): plain(part) for key, part in value.items()}
        case list() | tuple():
            found = [plain(part) for part in value]
        case _ if dataclasses.is_dataclass(value):
            found = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        case _:
            found = value
    return found


def _node_data(node: NodeRecord) -> Data:
    return {
        "id": node.id,
        "step": node.step,
        "host": node.host,
        "task": node.task,
        "state": str(node.state),
        "outputs": dict(node.outputs),
        "error": _failure_data(node.error),
        "approval": question_of(node.state, node.error),
        "attempts": [_attempt_data(attempt) for attempt in node.attempts],
    }


def _attempt_data(attempt: AttemptRecord) -> Data:
    return {
        "id": attempt.id,
        "phase": str(attempt.phase),
        "n": attempt.n,
        "state": str(attempt.state),
        "exit_status": attempt.exit_status,
        "started": timestamp(attempt.started),
        "finished": timestamp(attempt.finished),
        "undoes": attempt.undoes,
        "on": attempt.on or None,
        "vary": dict(attempt.turn.values) if attempt.turn else None,
        "error": _failure_data(attempt.error),
    }


def _failure_data(failure: Failure | None) -> Data | None:
    if failure is None:
        return None
    keys = ("kind", "message", "command", "exit_status", "stderr", "hint")
    return {key: getattr(failure, key) for key in keys}


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
