"""What is asked for."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from opsflow.app.settings import Settings
from opsflow.errors import InputError
from opsflow.model import AttemptState, NodeRecord, NodeState, OnFailure, Phase
from opsflow.plan import ALL, Selection

if TYPE_CHECKING:
    from opsflow.app.saved import SavedPlan

_FAILED = frozenset({NodeState.FAILED, NodeState.UNKNOWN, NodeState.REVERT_FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to run, and where.

    Attributes:
        playbook: Its file.
        inventory: Name, path or list.
        extra: What was given with `-e`.
        on_failure: Overrides every step's.
        abandon: Id of an open run whose hold on its hosts is given up first.
        selection: What of it is wanted; its limit may be `failed:RUN`, the hosts on which that run failed.
        saved: The plan to run; then the others but `abandon` are as it was made.
    """

    playbook: Path
    inventory: str
    extra: tuple[str, ...] = ()
    on_failure: OnFailure | None = None
    abandon: str | None = None
    selection: Selection = ALL
    saved: "SavedPlan | None" = None


def selected(selection: Selection, settings: Settings) -> Selection:
    """The selection, of `failed:RUN` the hosts by name.

    Raises:
        UnknownRun: there is no such run.
        InputError: it did not fail on any host.
    """
    prefix, _, name = selection.limit.partition(":")
    if prefix != "failed" or not name:
        return selection
    from opsflow.app import wiring  # noqa: PLC0415 - only this needs the journal, which takes its time to import

    with wiring.journal(settings) as journal:
        run = journal.find(name).id
        hosts = dict.fromkeys(node.host for node in journal.nodes(run) if _failed(node))
    if not hosts:
        raise InputError(f"--limit {selection.limit}: run {run} did not fail on any host", hint=f"opsflow show {run}")
    return replace(selection, limit=",".join(hosts))


def _failed(node: NodeRecord) -> bool:
    """Whether a node failed, in the end or before it was put back."""
    tries = [attempt.state for attempt in node.attempts if attempt.phase is Phase.EXECUTE]
    return node.state in _FAILED or tries[-1:] not in ([], [AttemptState.SUCCEEDED])
