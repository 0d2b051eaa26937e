"""validate, plan, apply, resume, rollback: the commands about playbooks and their runs.

What they need is imported when they run, so that `--help` and completion stay quick.
"""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opsflow.cli.options import (
    AcceptChanges,
    AcceptNewHostKeys,
    AcceptPlugins,
    AskBecomePass,
    Common,
    Extra,
    FailurePolicy,
    Force,
    Forks,
    Inventory,
    Limit,
    OnFailure,
    Output,
    Playbook,
    Run,
    SkipTags,
    Tags,
    Where,
    Yes,
    command,
    selection,
)

if TYPE_CHECKING:
    from opsflow.app import Request
    from opsflow.plan import Selection

group = typer.Typer()


@command(group)
def validate(
    common: Common,
    playbook: Playbook,
    inventory: Inventory = "",
    limit: Limit = "",
    tags: Tags = None,
    skip_tags: SkipTags = None,
    extra: Extra = None,
) -> int:
    """Find every mistake in the files; connect to nothing.

    Without an inventory only what the playbook itself says is checked.
    """
    from opsflow import app
    from opsflow.cli.screen import write_data, write_lines, write_notices
    from opsflow.report.data import problem_data

    settings = common.settings(playbook)
    wanted = selection(limit, tags, skip_tags)
    notices = app.validate(_request(playbook, inventory or settings.inventory, extra, wanted), settings)
    write_notices(notices, common)
    if common.machine:
        write_data({"problems": [], "notices": [problem_data(notice) for notice in notices]}, common)
    elif common.output is Output.TEXT:
        write_lines([f"{playbook}: no problems found"])
    return 0


@command(group)
def plan(
    common: Common,
    playbook: Playbook,
    inventory: Inventory = "",
    limit: Limit = "",
    tags: Tags = None,
    skip_tags: SkipTags = None,
    extra: Extra = None,
    forks: Forks = None,
    executor: Where = None,
    ask_become_pass: AskBecomePass = False,
    accept_new_host_keys: AcceptNewHostKeys = False,
    on_failure: FailurePolicy = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save the plan there, for `apply --plan FILE`.", show_default=False),
    ] = None,
) -> int:
    """Show what `apply` would do; read-only on the hosts.

    Exit code 1 if something would fail; then no plan is saved.
    """
    from opsflow import app
    from opsflow.cli.session import Session

    session = Session(
        common,
        common.settings(
            playbook,
            forks=forks,
            executor=executor,
            ask_become_pass=ask_become_pass,
            accept_new_host_keys=accept_new_host_keys,
        ),
    )
    request = _request(playbook, inventory, extra, selection(limit, tags, skip_tags), on_failure=on_failure)
    return session.drive(lambda: app.preview(request, session.settings, session.listeners, out=out, stop=session.stop))


@command(group)
def apply(
    common: Common,
    playbook: Annotated[
        Path | None, typer.Argument(metavar="PLAYBOOK", help="The playbook's file.", show_default=False)
    ] = None,
    inventory: Inventory = "",
    limit: Limit = "",
    tags: Tags = None,
    skip_tags: SkipTags = None,
    extra: Extra = None,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan, like `opsflow plan`.")] = False,
    on_failure: FailurePolicy = None,
    abandon: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Give up this open run's hold on its hosts first.", show_default=False),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Run what `plan --out FILE` saved, if nothing is different now.", show_default=False
        ),
    ] = None,
    forks: Forks = None,
    executor: Where = None,
    ask_become_pass: AskBecomePass = False,
    accept_new_host_keys: AcceptNewHostKeys = False,
) -> int:
    """Plan, show, ask, run; a failure puts back what was changed.

    Ctrl-C once stops after what is running; twice leaves it to itself. Both can be resumed.

    Exit codes: 0 done, 1 failed and resumable, 2 wrong input, 3 failed and rolled back, 4 needs a person, 5 hosts are
    held by another run, 6 no journal, 7 somebody has to approve or to be asked, 130 interrupted and resumable.
    """
    from opsflow import app
    from opsflow.cli.session import Session

    wanted = selection(limit, tags, skip_tags)
    request = _request(playbook, inventory, extra, wanted, on_failure=on_failure, abandon=abandon, plan=plan)
    session = Session(
        common,
        common.settings(
            request.saved.anchor if request.saved else request.playbook,
            forks=forks,
            executor=executor,
            ask_become_pass=ask_become_pass,
            accept_new_host_keys=accept_new_host_keys,
        ),
    )
    if dry_run:
        return session.drive(lambda: app.preview(request, session.settings, session.listeners, stop=session.stop))
    confirm = None if yes else session.confirm
    return session.drive(
        lambda: app.apply(
            request,
            session.settings,
            session.listeners,
            confirm=confirm,
            stop=session.stop,
            approver=session.approver,
        )
    )


@command(group)
def resume(
    common: Common,
    run: Run = None,
    force: Force = False,
    accept_changes: AcceptChanges = False,
    forks: Forks = None,
    executor: Where = None,
    ask_become_pass: AskBecomePass = False,
    accept_new_host_keys: AcceptNewHostKeys = False,
) -> int:
    """Go on with a run that was interrupted, halted, or failed.

    What has begun on the hosts is found out first, and followed to its end: nothing is done twice.
    """
    from opsflow import app
    from opsflow.cli.session import Session

    session = Session(
        common,
        common.settings(
            forks=forks,
            executor=executor,
            ask_become_pass=ask_become_pass,
            accept_new_host_keys=accept_new_host_keys,
        ),
    )
    return session.drive(
        lambda: app.resume(
            run,
            session.settings,
            session.listeners,
            force=force,
            accept_changes=accept_changes,
            stop=session.stop,
            approver=session.approver,
        )
    )


@command(group)
def rollback(
    common: Common,
    run: Run = None,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be reverted.")] = False,
    force: Force = False,
    accept_changes: AcceptPlugins = False,
    forks: Forks = None,
    executor: Where = None,
    ask_become_pass: AskBecomePass = False,
    accept_new_host_keys: AcceptNewHostKeys = False,
) -> int:
    """Put back what a run changed, or finish a rollback.

    Also of a run that succeeded. What the run did not change is left alone.
    """
    from opsflow import app
    from opsflow.cli.session import Session

    session = Session(
        common,
        common.settings(
            forks=forks,
            executor=executor,
            ask_become_pass=ask_become_pass,
            accept_new_host_keys=accept_new_host_keys,
        ),
    )
    confirm = None if yes or dry_run else session.confirm
    return session.drive(
        lambda: app.rollback(
            run,
            session.settings,
            session.listeners,
            dry_run=dry_run,
            force=force,
            accept_changes=accept_changes,
            confirm=confirm,
            stop=session.stop,
        )
    )


def _request(
    playbook: Path | None,
    inventory: str,
    extra: list[str] | None,
    wanted: "Selection",
    *,
    on_failure: OnFailure | None = None,
    abandon: str | None = None,
    plan: Path | None = None,
) -> "Request":
    """What is asked for. Raises `InputError` if a saved plan is, and something that it says itself."""
    from opsflow import app, model
    from opsflow.errors import InputError

    if plan and (playbook or inventory or extra or on_failure or wanted):
        raise InputError(
            f"{plan} says what is run, on which hosts and with which variables",
            hint="leave out PLAYBOOK, -i, -l, -t, -e and --on-failure, or leave out --plan",
        )
    saved = app.saved_plan(plan) if plan else None
    if playbook is None and saved is None:
        raise InputError("no playbook was named", hint="opsflow apply PLAYBOOK -i INVENTORY, or --plan FILE")
    return app.Request(
        playbook=playbook or Path(saved.plan.playbook.path if saved else ""),
        inventory=inventory,
        extra=tuple(extra or ()),
        on_failure=model.OnFailure(on_failure) if on_failure else None,
        selection=wanted,
        abandon=abandon,
        saved=saved,
    )
