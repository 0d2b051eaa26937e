"""task, inventory: what there is. Imports wait until the command runs, so that `--help` stays quick."""
# ruff: noqa: PLC0415

import typer

from opsflow.cli.options import Common, Inventory, command

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


@command(inventory, "list")
def list_hosts(common: Common, inventory: Inventory = "") -> int:
    """List hosts, how they are reached, and their groups."""
    from opsflow import app
    from opsflow.cli.screen import write_data, write_lines
    from opsflow.errors import InputError
    from opsflow.report.catalog import host_lines, inventory_data

    settings = common.settings()
    named = inventory or settings.inventory
    if not named:
        raise InputError("no inventory was named", hint="say -i NAME, -i PATH or -i 'HOST,'")
    found = app.hosts(named, settings)
    if common.machine:
        write_data(inventory_data(found), common)
    else:
        write_lines(host_lines(found))
    return 0
