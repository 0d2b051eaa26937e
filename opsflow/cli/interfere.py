"""pause, cancel, approve, mark: what an operator says to a run from elsewhere. Imports wait until the command runs."""
# ruff: noqa: PLC0415

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from opsflow.cli.options import AskBecomePass, Common, Output, command, is_value

if TYPE_CHECKING:
    from opsflow.app import Answer

group = typer.Typer()

OneRun = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, or how it begins.", show_default=False)]

Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="For those who ask later; kept.", show_default=False)]


class Verdict(StrEnum):
    """What an operator may say of a node; the names of `opsflow.model.Mark`."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    REVERTED = "reverted"


@command(group)
def pause(common: Common, run: OneRun, why: Why = "") -> int:
    """Let a running run begin nothing more, and suspend it.

    What is at work comes to its end, a rollback that is under way stops too, and nothing is put back. The run keeps its
    hosts; `opsflow resume` goes on.
    """
    from opsflow import app

    return _told(app.pause(run, common.settings(), why=why), common)


@command(group)
def cancel(
    common: Common,
    run: OneRun,
    kill: Annotated[
        bool, typer.Option("--kill", help="Also end what runs on the hosts, and try it anew later.")
    ] = False,
    ask_become_pass: AskBecomePass = False,
) -> int:
    """Ask a running run to stop, as Ctrl-C does.

    What is at work is waited for. With --kill it is ended on its hosts instead, also if nobody drives the run any more.
    No rollback is started; `opsflow resume` goes on, and begins anew what was ended. Exit code 4: a host does not
    answer, and its command may still run.
    """
    from opsflow import app

    return _told(app.cancel(run, common.settings(ask_become_pass=ask_become_pass), kill=kill), common)


@command(group)
def approve(
    common: Common,
    run: OneRun,
    step: Annotated[
        str | None,
        typer.Argument(metavar="STEP", help="Which step, if more than one waits.", show_default=False),
    ] = None,
    reject: Annotated[
        bool, typer.Option("--reject", help="Refuse: the step fails, and its `on_failure` follows.")
    ] = False,
    why: Why = "",
) -> int:
    """Open the gate at which a run waits, or refuse it.

    Who said it, when and why is kept. If a process drives the run it goes on at once; otherwise `opsflow resume` does.
    """
    from opsflow import app

    return _told(app.approve(run, step, common.settings(), reject=reject, why=why), common)


@command(group)
def mark(
    common: Common,
    run: OneRun,
    node: Annotated[str, typer.Argument(metavar="NODE", help="Id of the node, STEP@HOST.", show_default=False)],
    verdict: Annotated[
        Verdict,
        typer.Argument(metavar="VERDICT", help="What is true of it.", show_default=False),
    ],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="How you know; kept.", show_default=False)],
    output: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="K=V",
            help="An output of the node for later steps: k=TEXT or k:=TOML. Repeatable. "
            "Without `=`: how this command says what it has to say (text, json, jsonl, quiet).",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Say what became of a node: unknown, or mended by hand.

    A node that is unknown can be marked in every way; one that failed succeeded, skipped or reverted; one whose revert
    failed reverted. Then `opsflow resume` or `opsflow rollback` goes on from there.
    """
    from opsflow import app

    given = [item for item in output or () if is_value(item)]
    answer = app.mark(run, node, app.Mark(verdict), common.settings(), why=why, outputs=given)
    return _told(answer, common)


def _told(answer: "Answer", common: Common) -> int:
    from opsflow.cli.screen import write_data, write_lines
    from opsflow.report.text import clean

    if common.machine:
        write_data({**answer.data, "message": answer.message, "next": answer.hint}, common)
    elif common.output is Output.TEXT:
        write_lines(clean(line) for line in answer.message.splitlines())
        write_lines([f"next: {clean(answer.hint)}"], sys.stderr)
    return answer.exit_code
