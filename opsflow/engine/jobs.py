"""From a node to a job: which variables and facts its templates see."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opsflow.engine.run import NodeStatus
from opsflow.model import (
    LOCALHOST,
    PER_ALL,
    PER_HOST,
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
        self._values: dict[tuple[str, str], dict[str, list[str]]] = {}
        self._wants_all = {step.id: _wants_all(step) for step in plan.playbook.steps}

    def prepare(self, node: str, *, place: int = 0) -> Job:
        """Render and look, for the attempt to come; `place`: which of the values that vary it gets, from 0."""
        step = self._plan.steps[self._plan.by_id[node].step]
        return self._job(
            JobKind.PREPARE,
            node,
            self._plan,
            attempt=self._nodes[node].count(Phase.EXECUTE) + 1,
            params=step.params,
            when=step.when,
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
        facts: dict[str, Any] = {"host": node.host, "now": plan.now}
        references = plan.references.get(step.id, ())
        if references:
            all_hosts = self._wants_all[step.id] if plan is self._plan else _wants_all(step)
            facts["outputs"] = {name: self._outputs(step, node, name, all_hosts=all_hosts) for name in references}
            facts["steps"] = {name: self._state(step, node, name) for name in references}
        return facts

    def _outputs(self, step: Step, node: Node, needed: str, *, all_hosts: bool) -> dict[str, Any]:
        one = self._one(step, node, needed)
        outputs = dict(one.outputs) if one and one.state in _HAS_OUTPUTS else {}
        if all_hosts:
            others = [self._nodes[n.id] for n in self._plan.by_step[needed]]
            outputs["by_host"] = {n.host: dict(n.outputs) for n in others if n.state in _HAS_OUTPUTS}
        return outputs

    def _state(self, step: Step, node: Node, needed: str) -> dict[str, Any]:
        one = self._one(step, node, needed)
        nodes = [one] if one else [self._nodes[n.id] for n in self._plan.by_step[needed]]
        states = {n.state for n in nodes}
        return {
            "state": next(iter(states)).value if len(states) == 1 else "mixed",
            "changed": NodeState.SUCCEEDED in states,
        }

    def _one(self, step: Step, node: Node, needed: str) -> NodeStatus | None:
        """The node of the step `needed` that a template means: same host, else same value, else the only one."""
        own = self._nodes.get(f"{needed}@{node.host}")
        if own and own.id not in self._plan.gone:
            return own
        there = [n.id for n in self._plan.by_step[needed][:2]]  # two are one too many
        everyones = self._plan.steps[needed].run_once is True or there[:1] == [f"{needed}@{LOCALHOST}"]
        if not everyones and step.per not in {PER_ALL, PER_HOST} and node.host != LOCALHOST:
            mine = values_of(step, self._plan.hosts[node.host], step.per, self._renderer) or ()
            with_value = self._by_value(needed, step.per)
            there = list({n for value in mine for n in with_value.get(value, ())})
        return self._nodes[there[0]] if len(there) == 1 else None

    def _by_value(self, step_id: str, variable: str) -> Mapping[str, Sequence[str]]:
        """The nodes of a step by each value that a variable has for them."""
        found = self._values.get((step_id, variable))
        if found is None:
            found = self._values[step_id, variable] = {}
            for node in self._plan.by_step[step_id]:
                host = self._plan.hosts[node.host]
                for value in values_of(self._plan.steps[step_id], host, variable, self._renderer) or ():
                    found.setdefault(value, []).append(node.id)
        return found


def _wants_all(step: Step) -> bool:
    """Whether a step's templates ask for the outputs of all hosts."""
    return "by_host" in json.dumps([step.params, step.vars, step.when, step.retry.vary], default=str)
