"""What operators do with the database of runs as a whole: see who holds what, take it out, remove what is old."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Self

from sqlalchemy import Connection, func, select, text

from opsflow.journal import holds, lease, planning, printout, pruning, reader, requests, sqlite, upgrade
from opsflow.journal.database import Database
from opsflow.journal.tables import nodes, runs
from opsflow.model import Holder, Old, RunRecord

_NODES = 100
"""Nodes that are read at a time: each may have outputs of 256 KiB."""


class Housekeeping:
    """The database of runs, open. Every piece of work is in short transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str) -> Self:
        """Open a journal, like `SqlJournal.open`."""
        return cls(upgrade.opened(url))

    def close(self) -> None:
        """Let the database go."""
        self._database.close()

    @property
    def shown(self) -> str:
        """The journal's URL, for messages."""
        return self._database.shown

    def holders(self) -> list[Holder]:
        """The runs that hold hosts."""
        return self._database.read(holds.holders)

    def abandon(self, run_id: str) -> None:
        """Give up a run's hold on its hosts. Raises `HostsHeld` if somebody drives it."""
        self._database.write(lambda c: lease.abandon(c, reader.key_of(c, run_id)))

    # Removing

    def old(self, age: float, *, keep: int = 0) -> Old:
        """What ended more than `age` seconds ago; `keep`: so many of the newest runs stay in any case."""
        return self._database.read(partial(pruning.old, age=age, keep=keep))

    def remove(self, run: RunRecord, operator: str) -> None:
        """Remove a run with all that belongs to it. After a death in the middle it is there, perhaps without output.

        Raises:
            HostsHeld: somebody drives it.
            JournalConflict: somebody has gone on with it since it was looked for.
            UnknownRun: it is not there any more.
        """
        token = lease.new_token()
        self._database.write(partial(pruning.take, run=run, token=token, operator=operator))
        while self._database.write(partial(pruning.remove_output, run_id=run.id)):
            pass
        self._database.write(partial(pruning.remove, run_id=run.id, token=token))

    def free(self) -> int | None:
        """Bytes of a SQLite file that hold nothing; None: it is none."""
        if not self._is_file:
            return None

        def work(connection: Connection) -> int:
            pages, size = (connection.scalar(text(f"PRAGMA {name}")) for name in ("freelist_count", "page_size"))
            return int(pages or 0) * int(size or 0)

        return self._database.read(work)

    def vacuum(self) -> None:
        """Give back what `free` tells; nobody else can write meanwhile. Nothing happens if it is no SQLite file."""
        if self._is_file:
            self._database.outside("VACUUM")

    @property
    def _is_file(self) -> bool:
        url = self._database.engine.url
        return url.get_backend_name() == "sqlite" and sqlite.is_file(url)

    # Taking out

    def find(self, prefix: str | None) -> RunRecord:
        """One run; `SqlJournal.find`."""
        return self._database.read(partial(reader.find, prefix=prefix))

    def runs(self) -> list[str]:
        """The ids of all runs, oldest first."""
        return self._database.read(lambda c: list(c.scalars(select(runs.c.id).order_by(runs.c.key))))

    def records(self, run_id: str) -> Iterator[tuple[str, Any]]:
        """Everything of a run, read bit by bit: kind and record each.

        Kinds are `run`, `plan` (a mapping with its `number` and itself), `node` with its attempts, `rollback`,
        `request` and `output`. Raises `UnknownRun`.
        """
        read = self._database.read
        yield "run", read(partial(reader.find, prefix=run_id))
        later = read(partial(planning.later, run_id=run_id))
        for number in (0, *(plan.number for plan in later)):
            yield "plan", {"number": number, "plan": read(partial(planning.read, run_id=run_id, number=number))}
        last = read(lambda c: c.scalar(select(func.max(nodes.c.n)).where(nodes.c.run == reader.key_of(c, run_id))))
        for first in range(0, 0 if last is None else last + 1, _NODES):
            part = (first, first + _NODES)
            yield from (("node", node) for node in read(partial(reader.nodes_of, run_id=run_id, part=part)))
        yield from (("rollback", rollback) for rollback in read(partial(reader.rollbacks_of, run_id=run_id)))
        yield from (("request", request) for request in read(partial(requests.of_run, run_id=run_id)))
        yield from (("output", piece) for piece in printout.forwards(self._database, run_id))
