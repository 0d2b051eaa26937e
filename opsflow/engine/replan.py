"""A run goes on with another plan."""

from collections.abc import Sequence
from datetime import UTC, datetime

from opsflow.engine.run import Run
from opsflow.engine.scopes import Scopes
from opsflow.errors import Difference, InputError
from opsflow.events import PlanChanged
from opsflow.model import DONE, SCOPE_RUN, Failure, LaterPlan, NodeRecord, NodeState, PlanReplaced, RollbackRecord
from opsflow.plan import NodeChanges, Plan
from opsflow.ports import Renderer

_WAITING = frozenset({NodeState.PENDING, NodeState.BLOCKED})


def settled(nodes: Sequence[NodeRecord]) -> frozenset[str]:
    """Nodes that have begun, or that need not."""
    return frozenset(node.id for node in nodes if node.state not in _WAITING or node.attempts)


def kept(nodes: Sequence[NodeRecord], changes: NodeChanges) -> tuple[str, ...]:
    """Nodes that are done and would be done otherwise now."""
    done = {node.id for node in nodes if node.state in DONE}
    return tuple(node for node in changes.differing if node in done)


def replan(
    run: Run, old: Plan, changes: NodeChanges, *, differences: Sequence[Difference], kept: Sequence[str], operator: str
) -> None:
    """Make it durable that a run follows its plan instead of the one before, in one commit.

    What waits is blocked, and what joins: whether it may go on by the new needs is found out as for every blocked node
    when a run is resumed.

    Args:
        run: The run, with the new plan; its writer in the journal is this process.
        old: The plan before.
        changes: What becomes of its nodes.
        differences: What is different, to be told.
        kept: What is done and would be done otherwise now, to be told.
        operator: Who wants it.

    Raises:
        HostsHeld: another run holds a host that it needs now; nothing was written.
    """
    plan = run.plan
    new = [node for node in plan.nodes if node.id not in old.by_id]
    tasks = {node.id: plan.steps[node.step].task for node in plan.nodes if node.id in old.by_id}
    run.replace_plan(
        PlanReplaced(
            record=LaterPlan(number=run.number, at=datetime.now(UTC), operator=operator),
            plan=plan.to_json(),
            fingerprint=plan.fingerprint,
            nodes=tuple(
                NodeRecord(id=n.id, step=n.step, host=n.host, task=plan.steps[n.step].task, state=NodeState.PENDING)
                for n in new
            ),
            tasks={n: task for n, task in tasks.items() if task != old.steps[old.by_id[n].step].task},
            hosts=tuple(plan.hosts),
        )
    )
    why = Failure(kind="Blocked", message="its plan was changed")
    for node in list(run.nodes.values()):
        if node.state is NodeState.PENDING:
            run.move(node.id, "block", error=why)
        elif node.id in old.gone and node.id not in plan.gone and node.state is NodeState.SKIPPED:
            run.move(node.id, "restore", error=why)
    run.say(
        PlanChanged(run_id=run.id, differences=differences, added=changes.added, removed=changes.removed, kept=kept)
    )
    run.flush()


def refuse_moved_ends(old: Plan, new: Plan, begun: frozenset[str]) -> None:
    """Refuse a plan by which something that has begun would run at the end now, or not at the end any more.

    Whether a rollback reverts it must not change.

    Raises:
        InputError: something would.
    """
    moved = sorted({new.by_id[node].step for node in (old.at_end ^ new.at_end) & old.by_id.keys() & begun})
    if moved:
        raise InputError(
            f"step {moved[0]!r} has begun, and `finally` says of it now what it did not say then",
            hint="put it back as it was, or begin a new run",
        )


def refuse_moved_units(old: Plan, new: Plan, begun: frozenset[str]) -> None:
    """Refuse a plan by which something that has begun would be in another unit now, or its batch at another place.

    Raises:
        InputError: something would.
    """
    common = sorted(node for node in begun if node in new.by_id and node not in new.gone)
    moved = [node for node in common if old.by_id[node].unit != new.by_id[node].unit]
    places = {(old.batch_of.get(node, 0), new.batch_of.get(node, 0)) for node in common}
    before, after = ([place[side] for place in sorted(places)] for side in (0, 1))
    if moved or sorted(set(after)) != after or len(set(before)) != len(before):
        what = f"{moved[0]} would be in another unit" if moved else "batches that have begun would be in another order"
        raise InputError(
            f"part of the run has begun, and {what} now",
            hint="put [rollout], and the variable that it is by, back; or begin a new run",
        )


def refuse_moved_scopes(old: Plan, new: Plan, rollbacks: Sequence[RollbackRecord], renderer: Renderer) -> None:
    """Refuse a plan by which nodes would come out of a scope that was rolled back, or into one.

    Such a scope never goes forward again; and what is in it is told apart from others by its name.

    Raises:
        InputError: some would.
    """
    closed = {record.scope for record in rollbacks}
    if not closed or SCOPE_RUN in closed:
        return
    before, after = Scopes(old, renderer), Scopes(new, renderer)
    common = [node.id for node in old.nodes if node.id not in old.at_end and node.id not in new.at_end]
    moved = [node for node in common if (before.of(node) in closed) is not (after.of(node) in closed)]
    if moved:
        shown = ", ".join(moved[:3]) + (f" and {len(moved) - 3} more" if len(moved) > 3 else "")
        raise InputError(
            f"part of the run was rolled back ({', '.join(sorted(closed))}), and {shown} would be in another part now",
            hint="put rollback_scope, and the variables that it names, back; or begin a new run",
        )
