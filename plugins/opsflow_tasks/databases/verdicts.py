"""An operator's word on the history: how far a script came that was left half done, and that an edit is right.

It is knowledge, not a change: a revert does not take it back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from opsflow import Context
from opsflow_tasks.databases.history import APPLIED, APPLYING, UNDOING, History, Row, fresh
from opsflow_tasks.databases.scripts import Script, ScriptError

Mark = Literal["applied", "absent"] | Annotated[int, Field(ge=0)]
"""What is there of a script: all, nothing, or the effect of so many of its statements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What is to become of the history.

    Attributes:
        changed: Rows that are other than they were.
        added: Rows of versions that it did not have, with their undo texts.
        gone: Rows that are no more.
    """

    changed: tuple[Row, ...] = ()
    added: tuple[tuple[Row, str | None], ...] = ()
    gone: tuple[Row, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.gone)

    @property
    def told(self) -> str:
        """What they say, in a few words."""
        rows = (*self.changed, *(row for row, _ in self.added))
        words = [f"{row.name} as {row.state if row.state == APPLIED else f'{row.position} statements'}" for row in rows]
        words += [f"{row.name} as absent" for row in self.gone]
        return f"record {', '.join(words)}" if words else ""

    def on(self, history: History) -> History:
        """The history once they are in it."""
        for row in self.gone:
            history = replace(history, rows=tuple(r for r in history.rows if r.version != row.version))
        return history.having(*self.changed, *(row for row, _ in self.added))


def verdicts(
    ctx: Context, history: History, scripts: Sequence[Script], marks: Mapping[int, Mark], *, repair: bool
) -> Verdicts:
    """What the operator's word changes; nothing once it is in the history.

    Args:
        ctx: Of whom: a script that is half applied is gone on with by this node.
        history: As it is.
        scripts: All there are.
        marks: By version. What is applied already, and what this run itself has begun, is left alone.
        repair: Whether applied scripts may be other than when they were applied: edited, or no more there.

    Raises:
        ScriptError: a mark is of no script, or says more than can be.
    """
    known = {script.version: script for script in scripts}
    changed, added, gone = [], [], []
    for version, mark in marks.items():
        row = history.row(version)
        if version not in known:
            raise ScriptError(f"mark: there is no script of version {version}")
        if row is None and mark == "applied":
            added.append((_applied(ctx, known[version]), known[version].undo))
        elif row is None or row.state == APPLIED or row.run_id == ctx.run_id:
            continue  # said already; what this run has done since is not what the operator saw
        elif mark == "absent":
            gone.append(row)
        else:
            changed.append(_marked(ctx, row, mark))
    if repair:
        marked = {row.version: row for row in changed}
        settled = [row for row in (marked.get(row.version, row) for row in history.rows) if row.state == APPLIED]
        gone += [row for row in settled if row.version not in known]
        edited = [row for row in settled if row.version in known and row.checksum != known[row.version].checksum]
        marked |= {row.version: replace(row, checksum=known[row.version].checksum) for row in edited}
        changed = list(marked.values())
    return Verdicts(changed=tuple(changed), added=tuple(added), gone=tuple(gone))


def _applied(ctx: Context, script: Script) -> Row:
    """The row of a script that somebody else has applied: this run does not undo it."""
    row = fresh(script, ctx.run_id, f"{ctx.node} (mark)", 0, f"{ctx.now():%Y-%m-%dT%H:%M:%SZ}")
    return replace(row, state=APPLIED, position=row.statements)


def _marked(ctx: Context, row: Row, mark: Mark) -> Row:
    if mark == "applied":
        return replace(row, state=APPLIED, position=row.statements, pending=0, undone=0)
    assert isinstance(mark, int)
    if row.state == UNDOING or mark > row.statements:
        what = "is being undone" if row.state == UNDOING else f"has {row.statements} statements"
        raise ScriptError(f'mark: {row.name} {what}: say "applied" or "absent", not {mark}')
    # From here on it is this node's, which goes on with it.
    return replace(row, state=APPLYING, position=mark, pending=0, run_id=ctx.run_id, node=ctx.node, attempt=ctx.attempt)
