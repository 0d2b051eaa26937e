"""logs: what the steps of a run printed. Imports wait until the command runs, so that `--help` stays quick."""
# ruff: noqa: PLC0415

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from opsflow.cli.ending import INTERRUPTED
from opsflow.cli.options import Common, Output, Run, command

if TYPE_CHECKING:
    from opsflow.report.loglines import Line

group = typer.Typer()


@command(group)
def logs(
    common: Common,
    run: Run = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run ends or is suspended, whoever drives it.")
    ] = False,
    host: Annotated[str, typer.Option("--host", metavar="H", help="Only this host's.", show_default=False)] = "",
    step: Annotated[str, typer.Option("--step", metavar="S", help="Only this step's.", show_default=False)] = "",
    last: Annotated[
        int | None, typer.Option("--last", "-n", min=0, metavar="N", help="Only the last N lines.", show_default=False)
    ] = None,
) -> int:
    """Show what the steps of a run printed."""
    from opsflow.app import Logs
    from opsflow.report.stream import LastingStream
    from opsflow.report.text import clean

    wanted = Logs(run=run, step=step, host=host, last=last, follow=follow)
    out = LastingStream(sys.stdout)
    try:
        for text in _shown(wanted.read(common.settings()), common):
            out.write(text)
            out.flush()
            if out.lost:
                return 0
    except KeyboardInterrupt:  # that is how one stops following
        return INTERRUPTED
    if wanted.hint and not common.machine:
        LastingStream(sys.stderr).line(clean(wanted.hint))
    return 0


def _shown(pages: Iterable[Sequence["Line"]], common: Common) -> Iterator[str]:
    """The text of each page."""
    from opsflow.report.loglines import line_data, line_text
    from opsflow.report.text import Paint

    paint = Paint.of(sys.stdout, allowed=not common.no_color)
    before = "[\n"
    for page in pages:
        text = ""
        for line in page:
            if common.output is Output.JSON:
                text += before + json.dumps(line_data(line))
                before = ",\n"
            elif common.output is Output.JSONL:
                text += json.dumps(line_data(line)) + "\n"
            else:
                text += "".join(f"{part}\n" for part in line_text(line, paint))
        yield text
    if common.output is Output.JSON:
        yield "[]\n" if before == "[\n" else "\n]\n"
