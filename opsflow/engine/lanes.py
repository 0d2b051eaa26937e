"""Who is next: how many nodes of a step are at work at a time (`at_once`), and when a failed one may try again."""

import heapq
import random
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator

from opsflow.model import Retry
from opsflow.plan import Plan


class Lanes:
    """Counts nodes at work against their step's `at_once`."""

    def __init__(self, plan: Plan) -> None:
        self._limits = {step.id: step.at_once for step in plan.playbook.steps if step.at_once}
        self._used: Counter[str] = Counter()

    def has_room(self, step: str) -> bool:
        """Whether another node of the step may begin."""
        limit = self._limits.get(step)
        return limit is None or self._used[step] < limit

    def take(self, step: str) -> None:
        """A node of the step begins."""
        self._used[step] += 1

    def give(self, step: str) -> None:
        """A node of the step has ended."""
        self._used[step] -= 1


class Queue:
    """Nodes that wait for their turn: first come, first served, but a full lane holds up none of another step.

    Args:
        lanes: Count those that were taken.
        step_of: The step of a node.
    """

    def __init__(self, lanes: Lanes, step_of: Callable[[str], str]) -> None:
        self._lanes = lanes
        self._step_of = step_of
        self._waiting: deque[str] = deque()
        self._held: defaultdict[str, deque[str]] = defaultdict(deque)  # by step: came earlier, and its lane was full

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting) or any(self._held.values())

    def add(self, node: str) -> None:
        """Let a node wait behind all others."""
        self._waiting.append(node)

    def add_first(self, node: str) -> None:
        """Let a node wait before all others of its step."""
        self._held[self._step_of(node)].appendleft(node)

    def take(self, wanted: Callable[[str], bool]) -> str | None:
        """The next node that is wanted and finds room in its lane, counted there; None: nobody does.

        Nodes that are not wanted any more wait no longer.
        """
        for step, held in self._held.items():
            while held and self._lanes.has_room(step):
                if wanted(node := held.popleft()):
                    self._lanes.take(step)
                    return node
        while self._waiting:
            node = self._waiting.popleft()
            step = self._step_of(node)
            if not self._lanes.has_room(step):
                self._held[step].append(node)
            elif wanted(node):
                self._lanes.take(step)
                return node
        return None


class Timers:
    """Nodes that wait for a moment."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._waiting: set[str] = set()

    def __contains__(self, node: str) -> bool:
        """Whether a node waits."""
        return node in self._waiting

    def add(self, node: str, delay: float) -> None:
        """Let a node wait `delay` seconds."""
        self._waiting.add(node)
        heapq.heappush(self._heap, (time.monotonic() + delay, node))

    def drop(self, node: str) -> None:
        """A node waits no more, if it did."""
        self._waiting.discard(node)

    def due(self) -> Iterator[str]:
        """Nodes whose moment has come; they wait no more."""
        while self.remaining() == 0.0:
            node = heapq.heappop(self._heap)[1]
            self._waiting.discard(node)
            yield node

    def remaining(self) -> float | None:
        """Seconds until the next moment; None: nobody waits."""
        while self._heap and self._heap[0][1] not in self._waiting:
            heapq.heappop(self._heap)
        return max(self._heap[0][0] - time.monotonic(), 0.0) if self._heap else None


def retry_delay(retry: Retry, failures: int) -> float:
    """Seconds to wait after the n-th failure: exponential, bounded, less up to half of it by chance.

    The jitter ("equal jitter", Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015) keeps hosts that
    failed together from trying together.
    """
    full = min(retry.delay * retry.backoff ** (failures - 1), retry.max_delay)
    return full * (1 - random.random() / 2)  # noqa: S311 - jitter
