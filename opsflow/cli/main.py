"""The program `opsflow`."""

import gc
import resource
import warnings
from contextlib import suppress
from typing import Annotated

import typer

from opsflow import __version__
from opsflow.cli import catalog, graph, history, interfere, journal, logs, run, schema

_GARBAGE = 50_000
"""Objects more than were freed, after which the collector looks; Python's own 700 take a fifth of a run's time."""


_FILES = 65_536
"""Enough for 10,000 hosts. Usual is 1,024: a run on a thousand hosts would fail in its middle."""


def main() -> int:
    """Run the command line's command; its exit code."""
    # What a command builds lives as long as the command: looking through it for garbage again and again finds none.
    gc.set_threshold(_GARBAGE)
    _allow_files(_FILES)
    # What Python thinks of a template's code (`{{ 1[0] }}`) is told with its place once it is worked out.
    warnings.filterwarnings("ignore", category=SyntaxWarning, module="<template>")
    try:
        _program()()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    finally:
        gc.freeze()  # all goes with the process: to look through it for garbage once more takes a tenth of a second
    return 0


def _allow_files(wanted: int) -> None:
    """Let this process have more files open, as far as it may; every connection is a few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        with suppress(OSError, ValueError):  # macOS has a limit beyond the one that it tells
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _program() -> typer.Typer:
    # No rich markup: the libraries for it take longer to import than the rest of the start.
    program = typer.Typer(name="opsflow", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
    program.callback()(_options)
    program.add_typer(run.group)
    program.add_typer(graph.group)
    program.add_typer(interfere.group)
    program.add_typer(history.group)
    program.add_typer(logs.group)
    program.add_typer(journal.group)
    program.add_typer(journal.journal, name="journal")
    program.add_typer(catalog.task, name="task")
    program.add_typer(catalog.inventory, name="inventory")
    program.add_typer(schema.group)
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
