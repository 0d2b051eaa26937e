"""graph: the order of a playbook's steps as a picture. Imports wait until the command runs."""
# ruff: noqa: PLC0415

import sys
from enum import StrEnum
from typing import Annotated

import typer

from opsflow.cli.options import Common, Extra, Inventory, Limit, Playbook, SkipTags, Tags, command, selection

group = typer.Typer()


class Format(StrEnum):
    """What the picture is drawn with."""

    TREE = "tree"
    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


@command(group)
def graph(
    common: Common,
    playbook: Playbook,
    inventory: Inventory = "",
    limit: Limit = "",
    tags: Tags = None,
    skip_tags: SkipTags = None,
    extra: Extra = None,
    format: Annotated[  # noqa: A002 - the option's name
        Format, typer.Option("--format", help="tree for terminals; mermaid, dot (Graphviz) or svg for pages.")
    ] = Format.TREE,
) -> int:
    """Draw which step waits for which; connects to nothing.

    With an inventory the hosts are counted.
    """
    from opsflow import app
    from opsflow.cli.screen import write_data, write_lines
    from opsflow.report import drawing
    from opsflow.report.text import Paint

    settings = common.settings(playbook)
    request = app.Request(
        playbook=playbook,
        inventory=inventory or settings.inventory,
        extra=tuple(extra or ()),
        selection=selection(limit, tags, skip_tags),
    )
    found = app.picture(request, settings)
    if common.machine:
        write_data(drawing.picture_data(found), common)
    elif format is Format.TREE:
        write_lines(drawing.tree_lines(found, Paint.of(sys.stdout, allowed=not common.no_color)))
    else:
        draw = {Format.MERMAID: drawing.mermaid_lines, Format.DOT: drawing.dot_lines, Format.SVG: drawing.svg_lines}
        write_lines(draw[format](found))
    return 0
