"""How what an attempt applied is undone, and what a person has to do where that is not possible.

The rule for MySQL's half applied scripts (SQLite has none: a script is one transaction):

- Statement k of n was reached and the undo script has n statements too: then statement i is taken to be undone by
  statement n - i + 1, and the last k of the undo are run. Otherwise a person has to undo it.
- A statement whose end nobody saw may have had its effect or not: a person has to look.
"""

# ruff: noqa: S608 - SQL for a person to read, of a checked name and numbers

from collections.abc import Sequence
from dataclasses import dataclass

from opsflow_tasks.databases.dialects import Dialect
from opsflow_tasks.databases.history import UNDOING, Row
from opsflow_tasks.databases.scripts import statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """How one row is undone: by `statements[offset:]`. `trouble` says why it can't be."""

    row: Row
    statements: tuple[str, ...] = ()
    offset: int = 0
    trouble: str = ""


def undo_of(row: Row, text: str | None, dialect: Dialect) -> Undo:
    """How a row is undone.

    Args:
        row: What was applied, wholly or in part.
        text: Its undo script as stored.
        dialect: Its language.

    Raises:
        ScriptError: somebody changed the text in the table, and it is no script any more.
    """
    undoing = row.state == UNDOING
    if row.pending:
        script = f"the undo of {row.name}" if undoing else row.name
        return Undo(row=row, trouble=f"statement {row.pending} of {script} was begun and nobody saw its end")
    if row.position == 0:
        return Undo(row=row)
    if text is None:
        return Undo(row=row, trouble=f"{row.name} has no undo script")
    found = statements(text, dialect, f"the undo of {row.name}")
    if undoing or row.position == row.statements:
        return Undo(row=row, statements=found, offset=row.undone)
    trouble = (
        ""
        if len(found) == row.statements
        else (
            f"only {row.position} of {row.statements} statements of {row.name} were applied, and its undo script"
            f" has {len(found)}: which of them belong to these cannot be told"
        )
    )
    return Undo(row=row, statements=found, offset=row.statements - row.position, trouble=trouble)


def finishing(undo: Undo, place: str, table: str, run_id: str, *, atomic: bool) -> str:
    """What a person can do about an undo script that failed at a statement; empty if it never came to one."""
    if not place:
        return ""
    row, total = undo.row, len(undo.statements)
    begun = ""
    if row.position < row.statements:
        begun = f"{row.name} had come to statement {row.position} of {row.statements}: so much of its undo is run\n"
    rest = f"statements {1 if atomic else place} to {total}"
    return (
        f"{begun}mend what it failed at, then: opsflow rollback {run_id}\nor do by hand what {rest} of that undo were"
        f" to do, then: DELETE FROM {table} WHERE version = {row.version}; and opsflow rollback {run_id}"
    )


def by_hand(undos: Sequence[Undo], table: str, run_id: str) -> str:
    """The exact steps for a person, newest version first."""
    steps: list[str] = []
    for undo in undos:
        row = undo.row
        if not undo.trouble:
            steps.append(f"{row.name}: nothing, its undo script is run once the others are done")
        elif row.pending:
            column = "undone" if row.state == UNDOING else "position"
            steps.append(
                f"{row.name}: look whether statement {row.pending} took effect, then: UPDATE {table} SET pending = 0,"
                f" {column} = {row.pending - 1} (or {row.pending}, if it did) WHERE version = {row.version};"
            )
        else:
            steps.append(
                f"{row.name}: undo its first {row.position} of {row.statements} statements by hand, then:"
                f" DELETE FROM {table} WHERE version = {row.version};"
            )
    steps.append(f"then: opsflow rollback {run_id}")
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
