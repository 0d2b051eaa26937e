"""Nodes that are to be tried again: how often, when, and what is reverted before."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from opsflow.engine.between import Between
from opsflow.engine.jobs import Jobs
from opsflow.engine.lanes import Lanes, Timers
from opsflow.engine.reverting import cannot_be_undone, say_finished
from opsflow.engine.run import INTERRUPTED, Run
from opsflow.engine.tries import Tries
from opsflow.events import NodeRetrying
from opsflow.model import Failure, NodeState, Phase


class Retrying:
    """Decides whether a node that failed is tried again, and keeps it until then.

    Args:
        run: The run.
        jobs: Makes its jobs.
        lanes: Count nodes at work, in both directions together.
        closed: Whether a node's scope is being rolled back.
        fail: Told of a node that is not tried again, and why it failed.
        undone: Told of a node that is reverted and not tried again, its scope being closed.
        begun: Nodes between two attempts whose reverts an earlier session had begun.

    Attributes:
        tries: Counts them.
        between: Nodes whose failed attempts are being reverted.
    """

    def __init__(
        self,
        run: Run,
        jobs: Jobs,
        lanes: Lanes,
        *,
        closed: Callable[[str], bool],
        fail: Callable[[str, Failure | None], None],
        undone: Callable[[str], None],
        begun: Iterable[str],
    ) -> None:
        self._run = run
        self._closed = closed
        self._fail = fail
        self._undone = undone
        self._timers = Timers()
        self.tries = Tries(run)
        self.between = Between(run, jobs, lanes, closed=closed, done=self._reverted, begun=begun)

    @property
    def waits(self) -> list[float | None]:
        """Seconds until a node may try again, or a revert; None: none waits."""
        return [self._timers.remaining(), self.between.wait]

    def waiting(self, node: str) -> bool:
        """Whether the moment of a node has not come."""
        return node in self._timers

    def due(self) -> Iterator[str]:
        """Nodes whose moment has come; they wait no more."""
        return self._timers.due()

    def drop(self, node: str) -> None:
        """A node is not tried again, if it was to be."""
        self._timers.drop(node)

    def failed(self, node: str, failure: Failure | None) -> None:
        """A try failed. Another one follows, or the node has failed."""
        if self._closed(node) or not self.tries.left(node):
            self._fail(node, failure)
            return
        reverts = self._reverts_first(node)
        if reverts and cannot_be_undone(self._run, node, self._run.nodes[node].to_take_back()):
            self._fail(node, _final(failure))
            return
        delay = self.tries.delay(node)
        n = self.tries.made(node)
        self._run.say(NodeRetrying(run_id=self._run.id, node=node, n=n, delay=delay, error=failure))
        if reverts:
            self.between.add(node)
            return
        if self._run.nodes[node].state is not NodeState.PENDING:
            self._run.move(node, "retry")
        self._timers.add(node, delay)

    def ready(self, node: str) -> bool:
        """Whether a node may begin, which none that is retired may.

        If earlier attempts are to be reverted first, that begins, or it has failed.
        """
        if node in self._run.plan.gone:
            return False
        if not self._reverts_first(node):
            return True
        if cannot_be_undone(self._run, node, self._run.nodes[node].to_take_back()):
            self._fail(node, _final(self._error(node)))
        else:
            self.between.add(node)
        return False

    def _reverts_first(self, node: str) -> bool:
        status = self._run.nodes[node]
        return self._run.plan.steps[status.step].retry.revert_between and bool(status.to_take_back())

    def _reverted(self, node: str, failure: Failure | None) -> None:
        """What a node's attempts changed is reverted, or why not."""
        if self._run.nodes[node].to_take_back():
            self._fail(node, failure)
        elif self._closed(node):
            self._run.move(node, "fail", error=self._error(node))
            self._run.move(node, "revert")
            self._run.move(node, "undo")
            say_finished(self._run, node, Phase.REVERT)
            self._undone(node)
        else:
            self._run.move(node, "retry")
            say_finished(self._run, node, Phase.REVERT, "reverted; another attempt follows")
            self._timers.add(node, self.tries.delay(node))

    def _error(self, node: str) -> Failure | None:
        last = self._run.nodes[node].last(Phase.EXECUTE)
        return last.error if last else None


def _final(failure: Failure | None) -> Failure:
    """Why a node that failed is not tried again."""
    failed = failure or INTERRUPTED
    said = "it is not tried again, as what it did cannot be undone before that (retry.revert_between)"
    return replace(failed, hint=f"{failed.hint}; {said}" if failed.hint else said)
