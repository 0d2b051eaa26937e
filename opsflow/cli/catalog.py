"""task, inventory: what there is. Imports wait until the command runs, so that `--help` stays quick."""
# ruff: noqa: PLC0415

from typing import TYPE_CHECKING, Annotated

import typer

from opsflow.cli.options import Common, Inventory, command

if TYPE_CHECKING:
    from opsflow.app import Settings

task = typer.Typer(help="The tasks that playbooks can use.", no_args_is_help=True)
inventory = typer.Typer(help="The hosts that playbooks can run on.", no_args_is_help=True)


@task.callback()
def _task() -> None:
    """The tasks that playbooks can use."""


@inventory.callback()
def _inventory() -> None:
    """The hosts that playbooks can run on."""


@command(task, "list")
def list_tasks(common: Common) -> int:
    """List the tasks, built in and of plugins."""
    from opsflow import app
    from opsflow.cli.screen import write_data, write_lines
    from opsflow.report.catalog import task_data, task_lines

    found = app.tasks(common.settings())
    if common.machine:
        write_data([task_data(each) for each in found], common)
    else:
        write_lines(task_lines(found))
    return 0


@command(task, "doc")
def show_task(
    common: Common,
    name: Annotated[str, typer.Argument(metavar="TASK", help="Its name in playbooks.", show_default=False)],
) -> int:
    """Show what a task does, its parameters and its outputs."""
    import sys

    from opsflow import app
    from opsflow.cli.screen import write_data, write_lines
    from opsflow.report.catalog import task_data
    from opsflow.report.taskpage import task_page
    from opsflow.report.text import Paint

    found = app.task(name, common.settings())
    if common.machine:
        write_data(task_data(found), common)
    else:
        write_lines(task_page(found, Paint.of(sys.stdout, allowed=not common.no_color)))
    return 0


@command(inventory, "list")
def list_hosts(common: Common, inventory: Inventory = "") -> int:
    """List hosts, how they are reached, and their groups."""
    from opsflow import app
    from opsflow.cli.screen import write_data, write_lines, write_notices
    from opsflow.report.catalog import host_lines, inventory_data

    found = app.hosts(*_named(common, inventory))
    write_notices(found.notices, common)
    if common.machine:
        write_data(inventory_data(found), common)
    else:
        write_lines(host_lines(found))
    return 0


@command(inventory, "show")
def show_host(
    common: Common,
    host: Annotated[str, typer.Argument(metavar="HOST", help="Its name in the inventory.", show_default=False)],
    inventory: Inventory = "",
    explain: Annotated[bool, typer.Option("--explain", help="With the place that each value comes from.")] = False,
) -> int:
    """Show how a host is reached, its groups, its variables.

    Templates are shown as they are.
    """
    import sys

    from opsflow import app
    from opsflow.cli.screen import write_data, write_lines
    from opsflow.report.catalog import host_explanation_data, host_explanation_lines
    from opsflow.report.text import Paint

    named, settings = _named(common, inventory)
    found = app.host(named, host, settings)
    if common.machine:
        write_data(host_explanation_data(found), common)
    else:
        paint = Paint.of(sys.stdout, allowed=not common.no_color)
        write_lines(host_explanation_lines(found, paint, explain=explain))
    return 0


@command(inventory, "graph")
def graph(common: Common, inventory: Inventory = "") -> int:
    """Show the groups within groups, and the hosts in them, as a tree."""
    import sys

    from opsflow import app
    from opsflow.cli.screen import write_data, write_lines
    from opsflow.report.catalog import group_data, group_lines
    from opsflow.report.text import Paint

    found = app.members(*_named(common, inventory))
    if common.machine:
        write_data(group_data(found), common)
    else:
        write_lines(group_lines(found, Paint.of(sys.stdout, allowed=not common.no_color)))
    return 0


def _named(common: Common, inventory: str) -> "tuple[str, Settings]":
    """The inventory that is meant, and the settings. Raises `InputError`: none is."""
    from opsflow.errors import InputError

    settings = common.settings()
    if not (inventory or settings.inventory):
        raise InputError("no inventory was named", hint="say -i NAME, -i PATH or -i 'HOST,'")
    return inventory or settings.inventory, settings
