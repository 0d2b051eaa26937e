"""The program `opsflow`."""

import gc
from typing import Annotated

import typer

from opsflow import __version__
from opsflow.cli import catalog, history, run

_GARBAGE = 50_000
"""Objects more than were freed, after which the collector looks; Python's own 700 take a fifth of a run's time."""


def main() -> int:
    """Run the command line's command; its exit code."""
    # What a command builds lives as long as the command: looking through it for garbage again and again finds none.
    gc.set_threshold(_GARBAGE)
    try:
        _program()()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _program() -> typer.Typer:
    # No rich markup: the libraries for it take longer to import than the rest of the start.
    program = typer.Typer(name="opsflow", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
    program.callback()(_options)
    program.add_typer(run.group)
    program.add_typer(history.group)
    program.add_typer(catalog.task, name="task")
    program.add_typer(catalog.inventory, name="inventory")
    return program


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"opsflow {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Run a maintenance procedure as a transaction over hosts: previewed, journaled, rolled back, resumable.

    Begin with `opsflow plan PLAYBOOK -i INVENTORY`; it changes nothing.
    """
