"""The database of runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from opsflow.model import (
    Asked,
    Change,
    LaterPlan,
    NodeRecord,
    Printed,
    RequestRecord,
    RollbackRecord,
    RunRecord,
    RunState,
)


class Journal(Protocol):
    """The database of runs. One writer, the engine's side; readers elsewhere use short transactions.

    Every method raises `JournalUnavailable` if the database cannot be used.
    """

    def begin(self, run: RunRecord, plan: Mapping[str, Any], nodes: Sequence[NodeRecord], hosts: Sequence[str]) -> None:
        """Write a new run with its plan and its pending nodes, and hold its hosts, in one transaction.

        Raises:
            HostsHeld: an open run holds some of the hosts; nothing was written.
        """

    def resume(self, run_id: str, operator: str, *, hold: bool = True) -> None:
        """Become the writer of a run that has none. Without `hold` it holds no more hosts than before.

        Raises:
            HostsHeld: its writer is alive (same machine: its process lives; elsewhere: its heartbeat is fresh).
        """

    def epoch(self, run_id: str) -> int:
        """How often the run has changed hands, from 1: the later of two writers has the higher number.

        A writer is told its own, also when another one has taken the run over.
        """

    def commit(self, run_id: str, changes: Sequence[Change]) -> None:
        """Apply all changes or none, durably.

        Raises:
            JournalConflict: something was not in the state it was changed from, or this writer lost the run.
        """

    def heartbeat(self, run_id: str) -> Sequence[RequestRecord]:
        """Say that the writer is alive, and hear what others ask it for; cheap if that was done just now.

        What it took up is committed as `RequestApplied`; until then it is heard again.

        Raises:
            JournalConflict: this writer lost the run.
        """

    def ask(self, run_id: str, what: Asked, data: Mapping[str, Any], operator: str) -> int | None:
        """Ask the process that drives a run for something; the request's number. None: nobody drives it."""

    def driven(self, run_id: str) -> bool:
        """Whether a living process drives a run."""

    def requests(self, run_id: str) -> Sequence[RequestRecord]:
        """All that was ever asked of a run, oldest first."""

    def leave(self, run_id: str, *, release_hosts: bool) -> None:
        """Stop being the writer. `release_hosts` when nothing of the run is left open."""

    def abandon(self, run_id: str) -> None:
        """Give up an open run's hold on its hosts, so that another may have them. Raises `HostsHeld` if it is alive."""

    def find(self, prefix: str | None) -> RunRecord:
        """The run whose id begins so; None: the newest. Raises `UnknownRun`."""

    def plan(self, run_id: str, number: int | None = None) -> Mapping[str, Any]:
        """A stored plan; None: the newest. They count from 0."""

    def later_plans(self, run_id: str) -> Sequence[LaterPlan]:
        """The plans that took the place of the first (`PlanReplaced`), in order."""

    def nodes(self, run_id: str) -> Sequence[NodeRecord]:
        """All nodes with their attempts, in the plan's order."""

    def rollbacks(self, run_id: str) -> Sequence[RollbackRecord]:
        """All frozen rollback plans, oldest first."""

    def runs(self, *, limit: int = 50, states: Sequence[RunState] = ()) -> Sequence[RunRecord]:
        """Runs, newest first; only those in `states` unless empty."""

    def later_changes(self, run_id: str, hosts: Sequence[str]) -> Sequence[str]:
        """Ids of later runs that began an attempt on any of the hosts."""

    def printed(self, run_id: str, attempt: str) -> Mapping[str, int]:
        """How many bytes (UTF-8, masked) of each stream of an open attempt were committed; for the run's writer."""

    def output(self, run_id: str, *, after: int = 0, step: str = "", host: str = "") -> Iterable[Printed]:
        """What was printed, in order, beginning behind the piece `after`; read page by page as it is asked for.

        Args:
            run_id: The run.
            after: `Printed.n`.
            step: Only what this step printed; empty: all.
            host: Only what was printed on this host; empty: on all.
        """

    def output_backwards(self, run_id: str, *, step: str = "", host: str = "") -> Iterable[Printed]:
        """The same, the newest first."""

    def places(self, run_id: str) -> Sequence[tuple[str, str]]:
        """Step and host of each node, in the plan's order."""

    def close(self) -> None:
        """Let the database go."""
