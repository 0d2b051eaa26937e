"""How often nodes have been tried, and what the next try is given."""

from collections import Counter

from opsflow.engine.lanes import retry_delay
from opsflow.engine.run import Run
from opsflow.model import AttemptState, Outcome, Phase, Retry

_ENDED = frozenset({AttemptState.FAILED, AttemptState.UNREACHABLE})


class Tries:
    """Counts over the whole run: attempts, as the journal has them, and looks of this session that failed.

    Tries come in rounds of as many as the step allows: a node that has used its last one and yet is to go on, because
    the operator resumed the run, begins another round.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._looks: Counter[str] = Counter()
        self._places: dict[str, int] = {}  # what the next try gets, where a look had one after the last attempt
        self._lengths: dict[str, int] = {}
        self._before = {node.id: self._in_earlier_rounds(node.id) for node in run.nodes.values() if node.attempts}

    def look_failed(self, outcome: Outcome) -> None:
        """A look was a try, though no attempt came of it."""
        node, turn = outcome.job.node, outcome.job.turn
        self._looks[node] += 1
        if turn:
            self._places[node], self._lengths[node] = turn.place + 1, turn.of

    def begun(self, node: str) -> None:
        """An attempt begins."""
        self._places.pop(node, None)

    def made(self, node: str) -> int:
        """Tries of this round."""
        return self._run.nodes[node].count(Phase.EXECUTE) + self._looks[node] - self._before.get(node, 0)

    def left(self, node: str) -> bool:
        """Whether the node may be tried again."""
        return node not in self._run.plan.gone and self.made(node) < self._allowed(node)

    def place(self, node: str) -> int:
        """Which of the values that vary comes next, from 0."""
        last = self._run.nodes[node].last(Phase.EXECUTE)
        begin = 0
        if last and last.turn and last.state is not AttemptState.SUCCEEDED:
            begin = last.turn.place + 1
        return self._places.get(node, begin)

    def delay(self, node: str) -> float:
        """Seconds to wait before the next try."""
        return retry_delay(self._retry(node), max(self.made(node), 1))

    def _retry(self, node: str) -> Retry:
        return self._run.plan.steps[self._run.nodes[node].step].retry

    def _allowed(self, node: str) -> int:
        last = self._run.nodes[node].last(Phase.EXECUTE)
        known = self._lengths.get(node, last.turn.of if last and last.turn else 1)
        return self._retry(node).attempts or known

    def _in_earlier_rounds(self, node: str) -> int:
        states = [a.state for a in self._run.nodes[node].attempts.values() if a.phase is Phase.EXECUTE]
        # What succeeded and yet is to run again belongs to another end of the run.
        begin = max((n for n, state in enumerate(states, 1) if state is AttemptState.SUCCEEDED), default=0)
        ended = sum(state in _ENDED for state in states[begin:])
        return begin + ended - ended % self._allowed(node)
