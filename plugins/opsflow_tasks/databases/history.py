"""What a database says of its migrations, and how that compares with the scripts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from opsflow import Context
from opsflow_tasks.databases.scripts import Script

APPLYING = "applying"
APPLIED = "applied"
UNDOING = "undoing"
COLUMNS = (
    "version", "name", "checksum", "state", "statements", "position", "pending", "undone",
    "applied_at", "run_id", "node", "attempt",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the history table.

    Attributes:
        version, name, checksum: Of the script, as it was applied.
        state: `applying`, `applied` or `undoing`.
        statements: How many it has.
        position: How many of them took effect.
        pending: Number of the statement that was begun and not seen to end; 0: none. Counts the undo's if `undoing`.
        undone: How many statements of the undo are through.
        applied_at: When, RFC 3339.
        run_id, node, attempt: Who began it.
    """

    version: int
    name: str
    checksum: str
    state: str
    statements: int
    position: int
    pending: int
    undone: int
    applied_at: str
    run_id: str
    node: str
    attempt: int

    @property
    def progress(self) -> str:
        """How far it is."""
        return f"{self.state}, {self.position} of {self.statements} statements"

    def by(self, ctx: Context, attempt: int | None = None) -> bool:
        """Whether this run and node began it, in that attempt if one is given."""
        return (self.run_id, self.node) == (ctx.run_id, ctx.node) and attempt in {None, self.attempt}


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The table.

    Attributes:
        exists: Whether there is one.
        rows: By version.
        busy: Whether somebody holds the lock, and may be about to change what is read here.
        restoring: `RUN NODE` whose restore was begun and not seen to end; empty: none.
    """

    exists: bool
    rows: tuple[Row, ...]
    busy: bool = False
    restoring: str = ""

    @property
    def version(self) -> int:
        """The newest applied version, 0 if there is none."""
        return max((row.version for row in self.rows if row.state == APPLIED), default=0)

    @property
    def newest(self) -> int:
        """The newest version begun."""
        return max((row.version for row in self.rows), default=0)

    @property
    def open(self) -> Row | None:
        """A script that is neither wholly applied nor wholly undone."""
        return next((row for row in self.rows if row.state != APPLIED), None)

    def row(self, version: int) -> Row | None:
        """The row of a version."""
        return next((row for row in self.rows if row.version == version), None)

    def having(self, *rows: Row) -> "History":
        """The same with these rows, in place of those of their versions."""
        kept = {row.version: row for row in (*self.rows, *rows)}
        return replace(self, exists=True, rows=tuple(kept[version] for version in sorted(kept)))

    def outputs(self, ctx: Context) -> dict[str, object]:
        """What a migration gives to later steps."""
        return {"version": self.version, "applied": [row.version for row in self.rows if row.by(ctx)]}

    def drift(self, scripts: Sequence[Script]) -> str:
        """How the scripts contradict the history; empty if they don't."""
        known = {script.version: script for script in scripts}
        for row in self.rows:
            script = known.get(row.version)
            if row.state != APPLIED and (script is None or script.checksum != row.checksum):
                what = "edited" if script else "removed"
                return (
                    f"{row.name} was left half done by run {row.run_id} ({row.progress}), and its script was {what}"
                    f" since: put the old text back; or finish that run's rollback, or take back by hand what is there"
                    f' of it and say mark = {{ {row.version} = "absent" }}, with which the new text is applied'
                )
            if script is None:
                return (
                    f"{row.name}.sql is missing: it was applied on {row.applied_at} by run {row.run_id}; put it"
                    " back, or let it be forgotten by repair = true"
                )
            if script.checksum != row.checksum:
                return (
                    f"{script.file} was edited after it was applied on {row.applied_at} by run {row.run_id}; put"
                    " the old text back, or let the new one count by repair = true"
                )
        done = {row.version for row in self.rows}
        for script in scripts:
            if script.version < self.version and script.version not in done:
                return (
                    f"{script.file} is out of order: version {self.version} is applied already; give it a higher number"
                )
        return ""


def fresh(script: Script, run_id: str, node: str, attempt: int, now: str) -> Row:
    """The row of a script of which nothing is applied yet."""
    return Row(
        version=script.version,
        name=script.name,
        checksum=script.checksum,
        state=APPLYING,
        statements=len(script.statements),
        position=0,
        pending=0,
        undone=0,
        applied_at=now,
        run_id=run_id,
        node=node,
        attempt=attempt,
    )


def parse(text: str) -> History:
    """Read what `history.sh` printed.

    Raises:
        ValueError: it is not that.
    """
    head, *lines = text.splitlines() or [""]
    mark = [line for line in lines if line.startswith("mark ")]
    rows = [_row(line.split(",")) for line in lines if not line.startswith("mark ")]
    restoring = bytes.fromhex(mark[0].removeprefix("mark ")).decode() if mark else ""
    return History(
        exists="history" in head,
        busy="busy" in head,
        rows=tuple(sorted(rows, key=lambda r: r.version)),
        restoring=restoring,
    )


def _row(cells: Sequence[str]) -> Row:
    version, name, checksum, state, statements, position, pending, undone, applied_at, run_id, node, attempt = cells
    return Row(
        version=int(version),
        name=_decoded(name),
        checksum=_decoded(checksum),
        state=_decoded(state),
        statements=int(statements),
        position=int(position),
        pending=int(pending),
        undone=int(undone),
        applied_at=_decoded(applied_at),
        run_id=_decoded(run_id),
        node=_decoded(node),
        attempt=int(attempt),
    )


def _decoded(cell: str) -> str:
    return bytes.fromhex(cell).decode()
