"""The dry run: the plan hook of every node, in graph order; nothing is changed and nothing is journaled."""

from collections import deque
from collections.abc import Iterable

from opsflow.engine.graph import Frontier, Spread
from opsflow.engine.jobs import Jobs
from opsflow.engine.run import NodeStatus
from opsflow.engine.stop import Stop
from opsflow.events import NodePlanned
from opsflow.model import Action, Failure, NodeState, Outcome, Verdict, said_with
from opsflow.plan import Plan
from opsflow.ports import Executor, Renderer

_ACTIONS = {
    Verdict.SKIPPED: Action.SKIP,
    Verdict.PREPARED: Action.CHANGE,
    Verdict.UNCHANGED: Action.UNCHANGED,
}
_UNTIL_RUN = "depends on what earlier steps will change"


class DryRun:
    """Looks at all nodes of a plan.

    Args:
        plan: What to look at.
        executor: Where hooks are called.
        renderer: For templates.
        stop: The operator's wish to stop.
        run_id: What tasks see as the run's id.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        executor: Executor,
        renderer: Renderer,
        stop: Stop,
        run_id: str,
    ) -> None:
        self._plan = plan
        self._run_id = run_id
        self._nodes = {n.id: NodeStatus(id=n.id, step=n.step, host=n.host) for n in plan.nodes}
        self._executor = executor
        self._stop = stop
        self._jobs = Jobs(plan, self._nodes, run_id, renderer)
        self._changing: set[str] = set()  # nodes that will change, or may, or fail: their outputs are not there yet
        self._changing_steps: set[str] = set()
        self._tainted: set[str] = set()  # vertices after them
        self._ready: deque[str] = deque()
        self._last: deque[str] = deque()  # what runs at the end
        self._at_end = False
        self._flying = 0
        self._frontier = Frontier(plan, lambda _: False)
        self._spread = Spread(plan)
        self._skipped: dict[str, str] = {}  # with a node that decides over them
        self.planned: dict[str, NodePlanned] = {}

    def look(self) -> tuple[NodePlanned, ...]:
        """Look at everything; what was found, in plan order. Incomplete if the operator stopped it."""
        self._reach(self._frontier.start())
        while (self._ready or self._flying or self._last) and not self._stop.requested:
            if not self._ready and not self._flying:
                self._come_to_the_end()
            while self._ready and self._executor.free > 0:
                self._begin(self._ready.popleft())
            if self._flying:
                for message in self._executor.messages(0.25):
                    if isinstance(message, Outcome):
                        self._flying -= 1
                        self._take(message)
        return tuple(self.planned[n.id] for n in self._plan.nodes if n.id in self.planned)

    def _reach(self, nodes: Iterable[str]) -> None:
        for node in nodes:
            waits = node in self._plan.at_end and not self._at_end
            (self._last if waits else self._ready).append(node)

    def _come_to_the_end(self) -> None:
        """All else has been looked at; what of it changes comes before all that runs at the end."""
        self._at_end = True
        if self._changing:
            self._tainted |= self._plan.at_end
        self._ready, self._last = self._last, deque()

    def _begin(self, node: str) -> None:
        if node in self._skipped:
            self._nodes[node].state = NodeState.SKIPPED
            self._report(node, Action.SKIP, f"skipped with {self._skipped[node]}")
            return
        if self._hangs_on_change(node):
            # Its parameters hang on outputs that are not there yet.
            gate = self._plan.task_of(node).gate
            self._report(node, Action.UNKNOWN, f"waits for approval; its question {_UNTIL_RUN}" if gate else _UNTIL_RUN)
            return
        self._executor.submit(self._jobs.prepare(node))
        self._flying += 1

    def _hangs_on_change(self, node: str) -> bool:
        references = self._changing_steps.intersection(self._plan.references.get(self._nodes[node].step, ()))
        if references and node in self._plan.at_end:
            return True
        return bool(references) and any(
            needed in self._changing and self._nodes[needed].step in references for needed in self._plan.needs_of(node)
        )

    def _take(self, outcome: Outcome) -> None:
        node = outcome.job.node
        action = _ACTIONS.get(outcome.verdict, Action.FAIL)
        preview = outcome.preview
        idle = "skipped: its list of items is empty" if self._plan.by_id[node].idle else ""
        summary = said_with(preview.summary, outcome.job.turn) if preview else idle or _why(outcome.failure)
        status = self._nodes[node]
        status.state = NodeState.SKIPPED if action is Action.SKIP else NodeState.UNCHANGED
        status.outputs = outcome.outputs or {}
        if action is Action.SKIP and self._plan.steps[status.step].skips_all and not idle:
            self._skipped |= dict.fromkeys(self._spread.dependants([node]), node)
        # That a host does not answer is known, whatever earlier steps will do.
        doubtful = action is Action.UNCHANGED or outcome.verdict is Verdict.FAILED
        if node in self._tainted and doubtful:
            self._report(node, Action.UNKNOWN, f"{_UNTIL_RUN}; now: {summary}")
            return
        if action is Action.CHANGE and self._plan.task_of(node).gate:
            self._report(node, Action.UNKNOWN, f"waits for approval: {summary}")
            return
        reversible = self._plan.task_of(node).reversible and (preview is None or preview.reversible)
        self._report(
            node,
            action,
            summary,
            diff=preview.diff if preview else "",
            reversible=reversible,
            why=preview.why if preview else "",
        )

    def _report(
        self, node: str, action: Action, summary: str, *, diff: str = "", reversible: bool | None = None, why: str = ""
    ) -> None:
        plan = self._plan
        changing = action in {Action.CHANGE, Action.UNKNOWN}
        if changing or action is Action.FAIL:
            self._changing.add(node)
            self._changing_steps.add(self._nodes[node].step)
        # A gate changes nothing; but who approves, and when, are outputs that are not there yet.
        gate = plan.task_of(node).gate and action is Action.UNKNOWN
        if (changing and not gate) or node in self._tainted:
            self._taint(plan.graph.successors(node))
        self.planned[node] = NodePlanned(
            run_id=self._run_id,
            node=node,
            step=self._nodes[node].step,
            host=self._nodes[node].host,
            action=action,
            reversible=plan.task_of(node).reversible if reversible is None else reversible,
            summary=summary if not why or why in summary else f"{summary} ({why})",
            diff=diff,
            needs=plan.needs_of(node),
            at_end=node in plan.at_end,
            gate=gate,
            on=plan.by_id[node].on,
            batch=plan.batch_of.get(node),
        )
        self._reach(self._frontier.settle(node))

    def _taint(self, vertices: Iterable[str]) -> None:
        stack = list(vertices)
        while stack:
            vertex = stack.pop()
            if vertex not in self._tainted:
                self._tainted.add(vertex)
                if vertex not in self._nodes:
                    stack.extend(self._plan.graph.successors(vertex))


def _why(failure: Failure | None) -> str:
    return failure.message if failure else "skipped: its condition is false"
