"""Rows as statements take them, made of records. Names beginning with `b_` are parameters of updates."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from opsflow.errors import JournalConflict
from opsflow.journal.columns import pack
from opsflow.journal.ids import split_attempt
from opsflow.model import (
    AttemptFinished,
    AttemptRecord,
    Failure,
    NodeChanged,
    NodeRecord,
    Phase,
    RollbackFinished,
    RollbackRecord,
)

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What the names of a run stand for in the tables.

    Attributes:
        run_id: The run's id.
        run: Its number.
        places: The nodes' places in the plan, by id.
    """

    run_id: str
    run: int
    places: Mapping[str, int]

    def node(self, node: str) -> int:
        """Place of a node. Raises `JournalConflict` if the plan has none of that id."""
        try:
            return self.places[node]
        except KeyError:
            raise JournalConflict(f"the plan of run {self.run_id} has no node {node}") from None

    def attempt(self, attempt: str) -> tuple[int, Phase, int]:
        """Place of its node, phase, number. Raises `JournalConflict` if it is none of this run."""
        try:
            node, phase, n = split_attempt(self.run_id, attempt)
        except ValueError as error:
            raise JournalConflict(str(error)) from error
        return self.node(node), phase, n


def new_nodes(run: int, nodes: Iterable[NodeRecord], *, first: int = 0) -> list[Row]:
    """New nodes of a run; `first`: the place of the first of them."""
    return [
        {
            "run": run,
            "n": n,
            "id": node.id,
            "step": node.step,
            "host": node.host,
            "task": node.task,
            "state": node.state,
            "outputs": node.outputs or None,
            "error": _failure(node.error),
        }
        for n, node in enumerate(nodes, first)
    ]


def changed_nodes(numbers: Numbers, changes: Iterable[NodeChanged]) -> list[Row]:
    """Changed nodes, in the plan's order."""
    rows = [
        {
            "b_run": numbers.run,
            "b_n": numbers.node(change.node),
            "b_before": change.before,
            "b_after": change.after,
            "b_outputs": change.outputs,
            "b_error": _failure(change.error),
        }
        for change in changes
    ]
    return sorted(rows, key=lambda row: row["b_n"])


def new_attempts(numbers: Numbers, begun: Iterable[AttemptRecord]) -> list[Row]:
    """New attempts, in the order in which they began."""
    rows = []
    for attempt in begun:
        node, phase, n = numbers.attempt(attempt.id)
        rows.append(
            {
                "run": numbers.run,
                "node": node,
                "phase": phase,
                "n": n,
                "undoes": attempt.undoes,
                "state": attempt.state,
                "started": attempt.started,
                "finished": attempt.finished,
                "exit_status": attempt.exit_status,
                "machine": attempt.machine,
                "on_host": attempt.on,
                "params": attempt.params,
                "preview": attempt.preview,
                "outputs": attempt.outputs,
                "error": _failure(attempt.error),
                "turn": attempt.turn.to_json() if attempt.turn else None,
                "plan": attempt.plan,
            }
        )
    return rows


def ended_attempts(numbers: Numbers, ended: Iterable[AttemptFinished]) -> list[Row]:
    """Outcomes of attempts that began in an earlier commit."""
    rows = []
    for change in ended:
        node, phase, n = numbers.attempt(change.id)
        rows.append(
            {
                "b_run": numbers.run,
                "b_node": node,
                "b_phase": phase,
                "b_n": n,
                "b_state": change.state,
                "b_finished": change.finished,
                "b_exit_status": change.exit_status,
                "b_outputs": change.outputs,
                "b_error": _failure(change.error),
            }
        )
    return rows


def new_rollbacks(run: int, begun: Iterable[RollbackRecord]) -> list[Row]:
    """New rollback plans."""
    return [
        {
            "run": run,
            "id": rollback.id,
            "scope": rollback.scope,
            "nodes": pack(rollback.nodes),
            "started": rollback.started,
            "finished": rollback.finished,
            "complete": rollback.complete,
        }
        for rollback in begun
    ]


def ended_rollbacks(run: int, ended: Iterable[RollbackFinished]) -> list[Row]:
    """Ends of rollbacks that began in an earlier commit."""
    return [
        {"b_run": run, "b_id": change.id, "b_finished": change.finished, "b_complete": change.complete}
        for change in ended
    ]


def _failure(error: Failure | None) -> Row | None:
    return None if error is None else asdict(error)
