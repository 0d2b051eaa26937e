"""runs, show: what the journal knows. Imports wait until the command runs, so that `--help` stays quick."""
# ruff: noqa: PLC0415

import sys
from typing import Annotated

import typer

from opsflow.cli.options import Common, Run, command

group = typer.Typer()


@command(group)
def runs(
    common: Common,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="How many, the newest first.")] = 50,
) -> int:
    """List the runs in the journal."""
    from opsflow import app
    from opsflow.cli.screen import write_data, write_lines
    from opsflow.report.data import run_data
    from opsflow.report.history import runs_lines
    from opsflow.report.text import Paint

    found = app.runs(common.settings(), limit=limit)
    if common.machine:
        write_data([run_data(run) for run in found], common)
    else:
        write_lines(runs_lines(found, Paint.of(sys.stdout, allowed=not common.no_color)))
    return 0


@command(group)
def show(common: Common, run: Run = None) -> int:
    """Show one run: its nodes, attempts and failures."""
    from opsflow import app
    from opsflow.cli.screen import write_data, write_lines
    from opsflow.cli.session import run_document
    from opsflow.report.history import show_lines
    from opsflow.report.text import Paint

    found = app.show(run, common.settings())
    if common.machine:
        write_data(run_document(found), common)
    else:
        paint = Paint.of(sys.stdout, allowed=not common.no_color)
        lines = show_lines(
            found.run,
            found.nodes,
            found.rollbacks,
            paint,
            requests=found.requests,
            at_end=found.at_end,
            accepted=found.accepted,
            left_out=found.left_out,
            batches=found.batches,
            driven=found.driven,
            verbose=common.verbose,
            debug=common.debug,
        )
        write_lines(lines)
    return 0
