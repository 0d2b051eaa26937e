"""What the commands have in common: their options, how they are made, how they end."""

import dataclasses
import getpass
import inspect
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Concatenate, ParamSpec

import typer

from opsflow.cli.ending import ending
from opsflow.errors import ApprovalNeeded, InputError

if TYPE_CHECKING:
    from opsflow.app import Settings
    from opsflow.plan import Selection

P = ParamSpec("P")


class Output(StrEnum):
    """How a command says what it has to say."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"
    QUIET = "quiet"


class Executor(StrEnum):
    """Where nodes are worked on."""

    THREADS = "threads"
    SERIAL = "serial"


class OnFailure(StrEnum):
    """What a failed node does to its run; the names of `opsflow.model.OnFailure`."""

    ROLLBACK = "rollback"
    HALT = "halt"
    CONTINUE = "continue"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The options of every command."""

    journal: Annotated[
        str | None,
        typer.Option(
            envvar="OPSFLOW_JOURNAL",
            metavar="URL",
            help="Database of runs: sqlite:///PATH, mysql://... or postgresql://...; default: .opsflow/journal.db.",
        ),
    ] = None
    plugins: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="One more directory of task plugins. Repeatable.")
    ] = None
    output: Annotated[
        Output, typer.Option("--output", help="text for people; json or jsonl on stdout for programs; quiet.")
    ] = Output.TEXT
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what commands print, and every host.")] = False
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours. NO_COLOR=1 does the same.")] = False
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False

    @property
    def machine(self) -> bool:
        """Whether a program reads the output."""
        return self.output in (Output.JSON, Output.JSONL)

    def settings(
        self,
        playbook: Path | None = None,
        *,
        forks: int | None = None,
        executor: Executor | None = None,
        ask_become_pass: bool = False,
        accept_new_host_keys: bool = False,
    ) -> "Settings":
        """The settings of the playbook's project; without a playbook, of the current directory's."""
        from opsflow import app  # noqa: PLC0415 - start-up time
        from opsflow.tomlfile import project_directory  # noqa: PLC0415 - start-up time

        found = app.settings(
            project_directory(playbook or Path.cwd() / "-"),
            journal=self.journal,
            plugins=[path.absolute() for path in self.plugins or ()],
            forks=forks,
            executor=executor,
            accept_new_host_keys=accept_new_host_keys,
        )
        return dataclasses.replace(found, become_password=_become_password()) if ask_become_pass else found


Playbook = Annotated[Path, typer.Argument(metavar="PLAYBOOK", help="The playbook's file.", show_default=False)]
Run = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="Id of the run, or how it begins; default: the newest.", show_default=False),
]
Inventory = Annotated[
    str,
    typer.Option(
        "--inventory",
        "-i",
        metavar="INV",
        help="Name (in inventories/), path, or list of hosts ('a,b,'); default: what opsflow.toml says.",
        show_default=False,
    ),
]
Extra = Annotated[
    list[str] | None,
    typer.Option("--extra", "-e", metavar="K=V", help="Variable: k=TEXT, k:=TOML value, or @FILE of them. Repeatable."),
]
Forks = Annotated[int | None, typer.Option(min=1, max=1000, metavar="N", help="Nodes at work at a time; default: 20.")]
Where = Annotated[
    Executor | None, typer.Option("--executor", help="Work on nodes in threads (default), or one after the other.")
]
FailurePolicy = Annotated[
    OnFailure | None, typer.Option("--on-failure", help="What a failure does, whatever the playbook says.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
AskBecomePass = Annotated[
    bool,
    typer.Option(
        "--ask-become-pass",
        "-K",
        help="Ask for the password of sudo, for steps with `become` on hosts whose inventory names none.",
    ),
]
AcceptNewHostKeys = Annotated[
    bool,
    typer.Option(
        "--accept-new-host-keys",
        help="Take hosts whose key is not known as they are, and remember it. A changed key is always refused.",
    ),
]
Limit = Annotated[
    str,
    typer.Option(
        "--limit",
        "-l",
        metavar="PATTERN",
        help="Only on these hosts; failed:RUN: those on which that run failed.",
        show_default=False,
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tags", "-t", metavar="TAG,...", help="Only steps that have one of these tags. Repeatable."),
]
SkipTags = Annotated[
    list[str] | None, typer.Option("--skip-tags", metavar="TAG,...", help="No steps that have one. Repeatable.")
]
Force = Annotated[bool, typer.Option("--force", help="Even if a later run changed the same hosts.")]
AcceptChanges = Annotated[
    bool, typer.Option("--accept-changes", help="Go on with what the files say now, if that is not what the plan says.")
]
AcceptPlugins = Annotated[
    bool, typer.Option("--accept-changes", help="Even if plugins are not those that the plan was made with.")
]


def command(group: typer.Typer, name: str | None = None) -> Callable[[Callable[Concatenate[Common, P], int]], None]:
    """Make a function a command.

    Its first parameter gets the common options, which come behind its own in the help. It returns the exit code, or
    raises what `ending` knows how to tell. A parameter `output` of its own takes values beside the output's format.
    """

    def decorate(function: Callable[Concatenate[Common, P], int]) -> None:
        own = list(inspect.signature(function).parameters.values())[1:]
        shared = [
            inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, annotation=field.type, default=field.default)
            for field in dataclasses.fields(Common)
            if field.name not in [parameter.name for parameter in own]
        ]
        names = [parameter.name for parameter in shared]

        @wraps(function)
        def run(*args: P.args, **options: P.kwargs) -> None:
            common = Common(**{name: options.pop(name) for name in names})  # type: ignore[arg-type]
            if "output" in options:
                common = dataclasses.replace(common, output=_format_among(options["output"]))
            code = ending(lambda: function(common, *args, **options), machine=common.machine, debug=common.debug)
            raise typer.Exit(code)

        # Typer reads the options from these two.
        run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *shared]}
        group.command(name)(run)

    return decorate


def _format_among(given: object) -> Output:
    """The output's format among what was given with `--output`; what has a `=` in it, or is a file, is none.

    Raises:
        BadParameter: there is no such format.
    """
    words = [item for item in given if not is_value(item)] if isinstance(given, list) else []
    try:
        return Output(words[-1]) if words else Output.TEXT
    except ValueError:
        names = ", ".join(Output)
        raise typer.BadParameter(f"{words[-1]!r} is neither NAME=VALUE nor one of {names}") from None


def is_value(item: str) -> bool:
    """Whether something given with `--output` is a value and not the output's format."""
    return "=" in item or item.startswith("@")


def _become_password() -> str:
    """What the operator types for sudo, unseen.

    Raises:
        ApprovalNeeded: nobody is at the terminal.
        InputError: it is empty.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ApprovalNeeded(
            "there is nobody at the terminal to ask for the password of sudo",
            hint="name it in the inventory: become_password = \"{{ secret('env:NAME') }}\"",
        )
    try:
        typed = getpass.getpass("password for sudo: ", stream=sys.stderr)
    except EOFError:
        typed = ""
    if not typed:
        raise InputError("no password for sudo was given")
    return typed


def selection(limit: str, tags: list[str] | None, skip_tags: list[str] | None) -> "Selection":
    """What the three options select."""
    from opsflow.plan import Selection  # noqa: PLC0415 - start-up time

    wanted, unwanted = (
        tuple(tag for word in words or () for part in word.split(",") if (tag := part.strip()))
        for words in (tags, skip_tags)
    )
    return Selection(limit=limit, tags=wanted, skip_tags=unwanted)
