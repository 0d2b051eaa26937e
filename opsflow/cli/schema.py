"""schema: what editors have to know of the files. Imports wait until the command runs."""
# ruff: noqa: PLC0415

import json
from enum import StrEnum
from typing import Annotated

import typer

from opsflow.cli.options import Common, command

group = typer.Typer()


class Kind(StrEnum):
    """Of which file."""

    PLAYBOOK = "playbook"
    INVENTORY = "inventory"


@command(group)
def schema(
    common: Common, kind: Annotated[Kind, typer.Argument(metavar="playbook|inventory", show_default=False)]
) -> int:
    """Print the JSON Schema of playbooks or inventories, for editors.

    That of playbooks knows the parameters of all tasks, those of the project's plugins too.
    """
    from opsflow import app
    from opsflow.cli.screen import write_lines

    settings = common.settings()
    found = app.playbook_schema(settings) if kind is Kind.PLAYBOOK else app.inventory_schema()
    write_lines([json.dumps(found, indent=2)])
    return 0
