"""The plans of a run: the first, and those that took its place. None is ever changed or removed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from opsflow.journal import lease, rows
from opsflow.journal.columns import pack, unpack
from opsflow.journal.reader import key_of
from opsflow.journal.tables import later_plans, nodes, plans, runs
from opsflow.model import LOCALHOST, LaterPlan, PlanReplaced

_PART = 1 << 20
"""Bytes of a packed plan per row: well below every database's longest packet."""

_TASK = (
    update(nodes)
    .where(nodes.c.run == bindparam("b_run"), nodes.c.n == bindparam("b_n"))
    .values(task=bindparam("b_task"))
)


def write(connection: Connection, run: int, plan: Mapping[str, Any]) -> None:
    """Write a new run's plan."""
    connection.execute(insert(plans), [{"run": run, "part": n, "data": part} for n, part in enumerate(_parts(plan))])


def read(connection: Connection, run_id: str, number: int | None = None) -> Any:
    """A plan of a run; None: the newest."""
    run = key_of(connection, run_id)
    if number is None:
        number = connection.scalar(select(func.max(later_plans.c.number)).where(later_plans.c.run == run))
    query = select(plans.c.data).where(plans.c.run == run).order_by(plans.c.part)
    if number:
        query = select(later_plans.c.data).where(later_plans.c.run == run, later_plans.c.number == number)
        query = query.order_by(later_plans.c.part)
    return unpack(b"".join(connection.scalars(query)))


def later(connection: Connection, run_id: str) -> list[LaterPlan]:
    """The plans that took the place of the first, in order."""
    columns = (later_plans.c.number, later_plans.c.at, later_plans.c.operator)
    query = select(*columns).where(later_plans.c.run == key_of(connection, run_id), later_plans.c.part == 0)
    return [
        LaterPlan(number=row.number, at=row.at, operator=row.operator)
        for row in connection.execute(query.order_by(later_plans.c.number))
    ]


def joined(numbers: rows.Numbers, change: PlanReplaced | None) -> rows.Numbers:
    """The names of a run with those of the nodes that join it."""
    if change is None:
        return numbers
    new = {node.id: n for n, node in enumerate(change.nodes, len(numbers.places))}
    return replace(numbers, places={**numbers.places, **new})


def replace_plan(connection: Connection, numbers: rows.Numbers, change: PlanReplaced) -> None:
    """Let a plan take the place of the newest, and hold its hosts. An integrity error: one of them is held."""
    run = numbers.run
    record = {"run": run, "number": change.record.number, "at": change.record.at, "operator": change.record.operator}
    connection.execute(
        insert(later_plans), [record | {"part": n, "data": part} for n, part in enumerate(_parts(change.plan))]
    )
    if change.nodes:
        connection.execute(insert(nodes), rows.new_nodes(run, change.nodes, first=numbers.node(change.nodes[0].id)))
    if change.tasks:
        tasks = sorted((numbers.node(node), task) for node, task in change.tasks.items())
        connection.execute(_TASK, [{"b_run": run, "b_n": n, "b_task": task} for n, task in tasks])
    hosts = [host for host in change.hosts if host != LOCALHOST]
    values = {"hosts": pack(hosts), "fingerprint": change.fingerprint}
    connection.execute(update(runs).where(runs.c.key == run).values(**values))
    lease.hold(connection, run, hosts)


def _parts(plan: Mapping[str, Any]) -> list[bytes]:
    data = pack(plan)
    return [data[start : start + _PART] for start in range(0, len(data), _PART)]
