"""Walking the plan's graph: what becomes ready, how far a failure spreads, what may be reverted."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator

from opsflow.plan import Plan


class Frontier:
    """In-degree counting: a vertex is reached when all before it are through. O(edges) for a whole run.

    Args:
        plan: The graph.
        passes: Says of a node that was reached whether it is through already (joins always are).
    """

    def __init__(self, plan: Plan, passes: Callable[[str], bool]) -> None:
        self._graph = plan.graph
        self._nodes = plan.by_id
        self._passes = passes
        self._open = {vertex: degree for vertex, degree in self._graph.in_degree if degree}

    def start(self) -> Iterator[str]:
        """Nodes that are reached at the beginning and not through."""
        yield from self._walk(vertex for vertex, degree in list(self._graph.in_degree) if not degree)

    def settle(self, node: str) -> Iterator[str]:
        """`node` is through: nodes that are reached now and not through. Exhaust the iterator."""
        yield from self._walk(self._released(node))

    def reached(self, node: str) -> bool:
        """Whether all before a node are through."""
        return node not in self._open

    def _walk(self, vertices: Iterable[str]) -> Iterator[str]:
        stack = list(vertices)[::-1]
        while stack:
            vertex = stack.pop()
            if vertex in self._nodes and not self._passes(vertex):
                yield vertex
            else:
                stack.extend(reversed(list(self._released(vertex))))

    def _released(self, vertex: str) -> Iterator[str]:
        for after in self._graph.successors(vertex):
            self._open[after] -= 1
            if not self._open[after]:
                del self._open[after]
                yield after


class Spread:
    """Along which needs a failure, or a revert, spreads.

    Through a barrier (`per = "all"`) it reaches only the same host's node if the waiting step runs on that host too.
    """

    def __init__(self, plan: Plan) -> None:
        self._graph = plan.graph
        self._nodes = plan.by_id
        self._there: defaultdict[tuple[str, str], list[str]] = defaultdict(list)  # nodes by step and host
        for node in plan.nodes:
            self._there[node.step, node.host].append(node.id)

    def of(self, vertex: str) -> Iterator[str]:
        """What hangs directly on a vertex; joins stand for all behind them."""
        node = self._nodes.get(vertex)
        for after, edge in self._graph[vertex].items():
            if node is None or not edge["barrier"]:
                yield after
                continue
            first = self._nodes.get(after) or self._nodes[next(iter(self._graph.successors(after)))]
            # One that is not behind this barrier is of another plan.
            behind = self._graph[vertex if after in self._nodes else after]
            own = [there for there in self._there.get((first.step, node.host), ()) if there in behind]
            if not own or after in own:
                yield after
            elif after not in self._nodes:
                yield from own

    def dependants(self, starts: Iterable[str]) -> list[str]:
        """All nodes that hang on any of `starts`, transitively, the starts left out unless they hang on another."""
        seen: set[str] = set()
        queue = deque(starts)
        found = []
        while queue:
            for after in self.of(queue.popleft()):
                if after not in seen:
                    seen.add(after)
                    queue.append(after)
                    if after in self._nodes:
                        found.append(after)
        return found


class ReverseOrder:
    """Says which of a growing set of nodes have nothing of the set after them. Cost: the edges that change.

    After a node are also later batches. A vertex is clear if neither it nor anything after it waits to be reverted.
    """

    def __init__(self, plan: Plan) -> None:
        self._graph = plan.order
        self._waiting: set[str] = set()
        self._after: dict[str, int] = {}  # vertex → successors that are not clear

    def add(self, node: str) -> None:
        """`node` waits to be reverted."""
        was_clear = self._clear(node)
        self._waiting.add(node)
        if was_clear:
            self._propagate(node, 1)

    def free(self, node: str) -> bool:
        """Whether nothing after a waiting node waits."""
        return not self._after.get(node)

    def remove(self, node: str) -> list[str]:
        """`node` waits no more: the waiting nodes that became free by it."""
        self._waiting.discard(node)
        return self._propagate(node, -1) if self._clear(node) else []

    def _clear(self, vertex: str) -> bool:
        return vertex not in self._waiting and not self._after.get(vertex)

    def _propagate(self, vertex: str, step: int) -> list[str]:
        freed = []
        stack = [vertex]
        while stack:
            for before in self._graph.predecessors(stack.pop()):
                was_clear = self._clear(before)
                self._after[before] = self._after.get(before, 0) + step
                if before in self._waiting and not self._after[before]:
                    freed.append(before)
                if was_clear != self._clear(before):
                    stack.append(before)
        return freed
