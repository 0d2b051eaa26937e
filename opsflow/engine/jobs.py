"""From a node to a job: which variables and facts its templates see."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opsflow.engine.run import NodeStatus
from opsflow.model import (
    LOCALHOST,
    PER_ALL,
    PER_HOST,
    PER_ITEM,
    AttemptRecord,
    Job,
    JobKind,
    NodeState,
    Phase,
    Preview,
    Step,
    Turn,
)
from opsflow.plan import Node, Plan, node_variables, values_of, varied
from opsflow.ports import Renderer

_HAS_OUTPUTS = frozenset({NodeState.SUCCEEDED, NodeState.UNCHANGED})


class Jobs:
    """Makes the jobs of one run.

    Args:
        plan: Its plan.
        nodes: Where its nodes stand.
        run_id: Its id.
        renderer: For the values by which nodes belong together.
        epoch: Number of the run's owner; 0: a dry run.
        printed: Says how much of an attempt's output is journaled.
        plan_of: Says which plan an attempt follows, if the run had several.
    """

    def __init__(
        self,
        plan: Plan,
        nodes: Mapping[str, NodeStatus],
        run_id: str,
        renderer: Renderer,
        *,
        epoch: int = 0,
        printed: Callable[[str], Mapping[str, int]] = lambda _: {},
        plan_of: Callable[[AttemptRecord], Plan] | None = None,
    ) -> None:
        self._printed = printed
        self._epoch = epoch
        self._plan = plan
        self._nodes = nodes
        self._run_id = run_id
        self._renderer = renderer
        self._plan_of = plan_of or (lambda _: plan)
        self._values: dict[tuple[str, str], dict[str, list[Node]]] = {}
        self._wants_all = {step.id: _wants_all(plan, step) for step in plan.playbook.steps}

    def prepare(self, node: str, *, place: int = 0) -> Job:
        """Render and look, for the attempt to come; `place`: which of the values that vary it gets, from 0."""
        step = self._plan.steps[self._plan.by_id[node].step]
        return self._job(
            JobKind.PREPARE,
            node,
            self._plan,
            attempt=self._nodes[node].count(Phase.EXECUTE) + 1,
            params=step.params,
            when="false" if self._plan.by_id[node].idle else step.when,
            vary=varied(step, self._plan.extra),
            place=place,
            timeout=step.timeout,
            files={} if node in self._plan.after_local else self._plan.files,
        )

    def settle(self, attempt: AttemptRecord) -> Job:
        """Look what became of an attempt whose end nobody saw."""
        return self._of_attempt(JobKind.SETTLE, attempt)

    def execute(self, attempt: AttemptRecord, *, replay: bool = False) -> Job:
        """Act; with `replay` once more, for an attempt whose end nobody saw."""
        timeout = self._step(attempt).timeout
        return self._of_attempt(JobKind.EXECUTE, attempt, timeout=timeout, record=attempt, replay=replay)

    def revert(self, attempt: AttemptRecord, undone: AttemptRecord) -> Job:
        """Undo the attempt `undone`."""
        timeout = self._step(undone).revert_timeout
        # The context of a revert speaks of the attempt that it undoes.
        return self._of_attempt(JobKind.REVERT, undone, timeout=timeout, outputs=undone.outputs, record=attempt)

    def cancel(self, attempt: AttemptRecord, undone: AttemptRecord | None) -> Job:
        """End what still runs of an attempt; `undone`: for a revert what it undoes."""
        return self._of_attempt(JobKind.CANCEL, undone or attempt, record=attempt, replay=True)

    def _step(self, attempt: AttemptRecord) -> Step:
        plan = self._plan_of(attempt)
        return plan.steps[plan.by_id[attempt.node].step]

    def _of_attempt(
        self,
        kind: JobKind,
        attempt: AttemptRecord,
        *,
        timeout: float | None = None,
        outputs: Mapping[str, Any] | None = None,
        record: AttemptRecord | None = None,
        replay: bool = False,
    ) -> Job:
        return self._job(
            kind,
            attempt.node,
            self._plan_of(attempt),
            attempt=attempt.n,
            params=attempt.params,
            preview=Preview.from_json(attempt.preview),
            timeout=timeout,
            outputs=outputs,
            turn=attempt.turn,
            record=record.id if record and self._epoch else "",
            replay=replay,
            printed=self._printed(record.id) if record and replay else {},
            machine=record.machine if record else "",
        )

    def _job(
        self,
        kind: JobKind,
        node_id: str,
        plan: Plan,
        *,
        attempt: int,
        params: Mapping[str, Any],
        turn: Turn | None = None,
        **more: Any,
    ) -> Job:
        node = plan.by_id[node_id]
        step = plan.steps[node.step]
        return Job(
            kind=kind,
            run_id=self._run_id,
            node=node_id,
            step=step.id,
            host=node.host,
            task=step.task,
            on=node.on,
            attempt=attempt,
            params=params,
            variables=node_variables(plan.playbook, step, plan.hosts[node.host], inputs=plan.inputs, extra=plan.extra),
            facts=self._facts(plan, step, node) | dict(turn.values if turn else {}),
            turn=turn,
            directory=self._plan.playbook.directory,
            become=plan.user_of(node_id),
            epoch=self._epoch,
            **more,
        )

    def _facts(self, plan: Plan, step: Step, node: Node) -> dict[str, Any]:
        facts: dict[str, Any] = {"host": node.host, "now": plan.now, **node.facts}
        references = plan.references.get(step.id, ())
        if references:
            all_nodes = self._wants_all[step.id] if plan is self._plan else _wants_all(plan, step)
            facts["outputs"] = {name: self._outputs(step, node, name, all_nodes=all_nodes) for name in references}
            facts["steps"] = {name: self._state(step, node, name) for name in references}
        return facts

    def _outputs(self, step: Step, node: Node, needed: str, *, all_nodes: bool) -> dict[str, Any]:
        meant = self._meant(step, node, needed)
        outputs = dict(self._through(meant[0]) or {}) if len(meant) == 1 else {}
        if all_nodes:
            everywhere = self._plan.by_step[needed]
            outputs["by_host"] = self._by_host(everywhere)
            outputs["by_item"] = self._by_item(self._plan.on_host(needed, node.host) or everywhere)
        return outputs

    def _through(self, node: Node) -> Mapping[str, Any] | None:
        """What a node has put out; None: it has not come to it."""
        status = self._nodes[node.id]
        return status.outputs if status.state in _HAS_OUTPUTS else None

    def _by_host(self, nodes: Sequence[Node]) -> dict[str, Any]:
        """Outputs by host; of a step with `foreach` then by key."""
        found: dict[str, Any] = {}
        for node in nodes:
            if (outputs := self._through(node)) is None:
                continue
            if node.key is None:
                found[node.host] = dict(outputs)
            else:
                found.setdefault(node.host, {})[node.key] = dict(outputs)
        return found

    def _by_item(self, nodes: Sequence[Node]) -> dict[str, Any]:
        """Outputs by key, as far as it is one node's."""
        count = Counter(node.key for node in nodes)
        alone = [(node.key, self._through(node)) for node in nodes if node.key is not None and count[node.key] == 1]
        return {key: dict(outputs) for key, outputs in alone if outputs is not None}

    def _state(self, step: Step, node: Node, needed: str) -> dict[str, Any]:
        meant = self._meant(step, node, needed)
        if len(meant) != 1:
            meant = self._plan.on_host(needed, node.host) or self._plan.by_step[needed]
        states = {self._nodes[n.id].state for n in meant}
        return {
            "state": next(iter(states)).value if len(states) == 1 else "mixed",
            "changed": NodeState.SUCCEEDED in states,
        }

    def _meant(self, step: Step, node: Node, needed: str) -> Sequence[Node]:
        """Those that a template may mean: on the same host, else with the same value, else the only one.

        Between two steps with `foreach` only those for the same item.
        """
        nodes, own = self._plan.by_step[needed], self._plan.on_host(needed, node.host)
        if own:
            return _for_item(node, own)
        if self._plan.steps[needed].run_once is True or (nodes and nodes[0].host == LOCALHOST):
            return _for_item(node, nodes)
        if step.per == PER_ITEM or (step.per not in {PER_ALL, PER_HOST} and node.host != LOCALHOST):
            host = self._plan.hosts[node.host]
            mine = values_of(step, node, host, step.per, self._renderer) or ()
            with_value = self._by_value(needed, step.per)
            nodes = tuple({n.id: n for value in mine for n in with_value.get(value, ())}.values())
        return nodes

    def _by_value(self, step_id: str, variable: str) -> Mapping[str, Sequence[Node]]:
        """The nodes of a step by each value that a variable has for them."""
        found = self._values.get((step_id, variable))
        if found is None:
            found = self._values[step_id, variable] = {}
            for node in self._plan.by_step[step_id]:
                host = self._plan.hosts[node.host]
                for value in values_of(self._plan.steps[step_id], node, host, variable, self._renderer) or ():
                    found.setdefault(value, []).append(node)
        return found


def _for_item(node: Node, others: Sequence[Node]) -> Sequence[Node]:
    return [other for other in others if node.key is None or other.key in {None, node.key}]


def _wants_all(plan: Plan, step: Step) -> bool:
    """Whether a step's templates ask for the outputs of all nodes of another."""
    of_all = [plan.playbook.vars, [[part.vars, part.given, part.when] for part in plan.playbook.parts]]
    templates = json.dumps([step.params, step.vars, step.when, step.retry.vary, of_all], default=str)
    return "by_host" in templates or "by_item" in templates
