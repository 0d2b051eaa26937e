"""What attempts printed, read forwards or backwards, a page in each transaction."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from opsflow.journal.database import Database
from opsflow.journal.ids import attempt_id
from opsflow.journal.reader import key_of
from opsflow.journal.tables import attempts, nodes, printed
from opsflow.model import Printed

PAGE = 64
"""Rows fetched at a time, 64 KiB each at most."""


def query(connection: Connection, run_id: str, step: str, host: str) -> Select[Any]:
    """What finds the output of a run, or of one step or host of it (empty: all). Raises `UnknownRun`."""
    run = key_of(connection, run_id)
    found = (
        select(printed, nodes.c.id.label("node_id"), attempts.c.finished)
        .join(nodes, (nodes.c.run == printed.c.run) & (nodes.c.n == printed.c.node))
        .join(
            attempts,
            (attempts.c.run == printed.c.run)
            & (attempts.c.node == printed.c.node)
            & (attempts.c.phase == printed.c.phase)
            & (attempts.c.n == printed.c.attempt),
        )
        .where(printed.c.run == run)
        .limit(PAGE)
    )
    if not (step or host):
        return found
    wanted = select(nodes.c.n).where(nodes.c.run == run, *_is(nodes.c.step, step), *_is(nodes.c.host, host))
    places = connection.scalars(wanted).all()
    # One node has an index of its own; of many the run's order is followed, and what is not wanted passed over.
    return found.where(printed.c.node == places[0] if len(places) == 1 else printed.c.node.in_(wanted))


def after(connection: Connection, found: Select[Any], run_id: str, n: int) -> list[Printed]:
    """The first rows behind `n`, in order."""
    rows = connection.execute(found.where(printed.c.n > n).order_by(printed.c.n))
    return [_printed(run_id, row) for row in rows]


def before(connection: Connection, found: Select[Any], run_id: str, n: int | None) -> list[Printed]:
    """The last rows before `n` (None: of all), the newest first."""
    if n is not None:
        found = found.where(printed.c.n < n)
    return [_printed(run_id, row) for row in connection.execute(found.order_by(printed.c.n.desc()))]


def forwards(database: Database, run_id: str, *, after_n: int = 0, step: str = "", host: str = "") -> Iterator[Printed]:
    """All rows behind `after_n`, in order, fetched page by page. Raises `UnknownRun` at once."""
    found = database.read(partial(query, run_id=run_id, step=step, host=host))

    def pages() -> Iterator[Printed]:
        n, full = after_n, True
        while full:
            page = database.read(partial(after, found=found, run_id=run_id, n=n))
            yield from page
            full = len(page) == PAGE
            n = page[-1].n if page else n

    return pages()


def backwards(database: Database, run_id: str, *, step: str = "", host: str = "") -> Iterator[Printed]:
    """All rows, the newest first, fetched page by page. Raises `UnknownRun` at once."""
    found = database.read(partial(query, run_id=run_id, step=step, host=host))

    def pages() -> Iterator[Printed]:
        n: int | None = None
        full = True
        while full:
            page = database.read(partial(before, found=found, run_id=run_id, n=n))
            yield from page
            full = len(page) == PAGE
            n = page[-1].n if page else n

    return pages()


def places(connection: Connection, run_id: str) -> Sequence[tuple[str, str]]:
    """Step and host of each node of a run, in the plan's order."""
    run = key_of(connection, run_id)
    rows = connection.execute(select(nodes.c.step, nodes.c.host).where(nodes.c.run == run).order_by(nodes.c.n))
    return [(row.step, row.host) for row in rows]


def _is(column: Any, value: str) -> list[Any]:
    return [column == value] if value else []


def _printed(run_id: str, row: Row[Any]) -> Printed:
    return Printed(
        n=row.n,
        attempt=attempt_id(run_id, row.node_id, row.phase, row.attempt),
        node=row.node_id,
        phase=row.phase,
        number=row.attempt,
        stream=row.stream,
        at=row.at,
        ended=row.finished,
        text=row.text.decode(errors="replace"),
        cut=row.cut,
    )
