"""journal, unlock: the database of runs, and what dead runs hold. Imports wait until the command runs."""
# ruff: noqa: PLC0415

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from opsflow.cli.options import Common, Output, Yes, command

if TYPE_CHECKING:
    from collections.abc import Iterator

journal = typer.Typer(help="The database of runs.", no_args_is_help=True)
group = typer.Typer()


@journal.callback()
def _journal() -> None:
    """The database of runs."""


@command(journal)
def upgrade(common: Common) -> int:
    """Bring the database to what this opsflow needs.

    A SQLite file is copied first; it is upgraded by whichever command opens it, too. A database on a server is upgraded
    only by this command: from then on all who use it need this version of opsflow.
    """
    from opsflow import app
    from opsflow.cli.screen import write_data, write_lines
    from opsflow.report.housekeeping import upgrade_line

    shown, done = app.upgrade_journal(common.settings())
    if common.machine:
        copy = str(done.copy) if done.copy else None
        write_data({"journal": shown, "from": done.before, "to": done.after, "copy": copy}, common)
    elif common.output is Output.TEXT:
        write_lines([upgrade_line(shown, done)])
    return 0


@command(journal)
def export(
    common: Common,
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Ids of runs, or how they begin; default: all.", show_default=False),
    ] = None,
) -> int:
    """Write all there is of runs to stdout, as JSON lines.

    Each is an object with `kind` (run, plan, node, rollback, request, output) and `run`; with --output json they are
    one array. Secrets are references in it, and masked in what was printed.
    """
    from opsflow import app
    from opsflow.report.stream import LastingStream

    out = LastingStream(sys.stdout)
    for text in _exported(app.export(runs or (), common.settings()), array=common.output is Output.JSON):
        out.write(text)
        if out.lost:
            return 0
    out.flush()
    return 0


@command(journal)
def prune(
    common: Common,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Since their end, such as 90d.", show_default=False)
    ],
    keep: Annotated[int, typer.Option(min=0, metavar="N", help="The newest N runs stay in any case.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    vacuum: Annotated[
        bool, typer.Option("--vacuum", help="Also make a SQLite file smaller; nobody can write to it meanwhile.")
    ] = False,
    yes: Yes = False,
) -> int:
    """Remove old runs with all that they printed.

    What is open stays, and so do runs that changed hosts of a run before them that stays: its rollback asks for them.
    A run that is removed cannot be rolled back or shown any more; `opsflow journal export` keeps it elsewhere.
    """
    from opsflow import app
    from opsflow.cli.screen import Screen, write_data, write_lines
    from opsflow.report.housekeeping import old_data, old_lines
    from opsflow.report.text import plural

    confirm = None if yes or dry_run else Screen(common).confirm
    age = _age(older_than)
    found = app.prune(age, common.settings(), keep=keep, dry_run=dry_run, vacuum=vacuum, confirm=confirm)
    if common.machine:
        write_data(old_data(found.old, found.removed, found.free), common)
    elif common.output is Output.TEXT:
        what = "would be removed" if dry_run else "nothing was removed" if found.exit_code else "removed"
        count = plural(len(found.old.removable), "run")
        write_lines([*old_lines(found.old), what if found.exit_code else f"{count} {what}"])
        if found.free and not dry_run:
            size = f"{found.free / (1 << 20):,.1f} MiB"
            write_lines([f"{size} of the file are free for what comes; --vacuum gives them back"], sys.stderr)
    return found.exit_code


@command(group)
def unlock(
    common: Common,
    which: Annotated[
        str | None,
        typer.Argument(metavar="HOST|RUN", help="A host that is held, or a run that holds some.", show_default=False),
    ] = None,
    yes: Yes = False,
) -> int:
    """Show which runs hold hosts; free what a dead one holds.

    A run is dead if nobody drives it any more. It is named, and you are asked, at a terminal also without HOST or RUN
    if it is the only one. What it left half done stays as it is, and what still runs of it goes on: `opsflow resume` or
    `opsflow rollback` are the better way to end it. Exit code 5: somebody drives that run.
    """
    from opsflow import app
    from opsflow.cli.screen import Screen, write_data, write_lines
    from opsflow.report.housekeeping import holder_data, holder_lines
    from opsflow.report.text import Paint, plural

    confirm = None if yes else Screen(common).confirm
    done = app.unlock(which, common.settings(), confirm=confirm)
    if common.machine:
        freed = list(done.freed.hosts) if done.freed else []
        write_data({"holders": [holder_data(holder) for holder in done.holders], "freed": freed}, common)
    elif common.output is Output.TEXT:
        if done.freed:
            write_lines([f"{plural(len(done.freed.hosts), 'host')} of run {done.freed.run.id} freed"])
        elif done.exit_code:
            write_lines(["nothing was changed"], sys.stderr)
        else:
            write_lines(holder_lines(done.holders, Paint.of(sys.stdout, allowed=not common.no_color)))
        if done.holders and not done.freed and not done.exit_code:
            write_lines(["next: opsflow unlock HOST, or opsflow unlock RUN"], sys.stderr)
    return done.exit_code


def _age(text: str) -> float:
    """Seconds. Raises `InputError`."""
    from opsflow.errors import InputError
    from opsflow.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise InputError(f"--older-than {text}: {error}") from error


def _exported(records: "Iterator[dict[str, object]]", *, array: bool) -> "Iterator[str]":
    """The text of each record."""
    before = "[\n"
    for record in records:
        text = json.dumps(record)
        yield before + text if array else f"{text}\n"
        before = ",\n"
    if array:
        yield "[]\n" if before == "[\n" else "\n]\n"
