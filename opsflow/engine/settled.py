"""What hosts may forget: attempts whose outcome is durable, until a job brings word of them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from opsflow.model import AttemptFinished, AttemptState, Change, Job
from opsflow.plan import Plan

_KNOWN = frozenset({AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.UNREACHABLE})


class Settled:
    """The settled attempts of one run, by host and user.

    Args:
        run_id: Id of the run.
        plan: Its plan.
    """

    def __init__(self, run_id: str, plan: Plan) -> None:
        self._run_id = run_id
        self._plan = plan
        self._untold: defaultdict[tuple[str, str], list[str]] = defaultdict(list)

    def committed(self, changes: Iterable[Change]) -> None:
        """These changes are durable."""
        for change in changes:
            if isinstance(change, AttemptFinished) and change.state in _KNOWN:
                name, _, _ = change.id.removeprefix(f"{self._run_id}/").rsplit("/", 2)
                node = self._plan.by_id[name]
                self._untold[node.at, self._plan.user_of(name)].append(change.id)

    def told(self, job: Job) -> Job:
        """The job with word of all that its host may forget."""
        settled = self._untold.pop((job.at, job.become), None)
        return replace(job, settled=tuple(settled)) if settled else job
