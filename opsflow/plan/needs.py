"""From `needs` between steps to edges between nodes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from opsflow.errors import Problem
from opsflow.model import LOCALHOST, PER_ALL, PER_HOST, PER_ITEM, Need, Step
from opsflow.plan.batches import Batches
from opsflow.plan.model import Edge, Join, Node
from opsflow.plan.wording import some

Values = Callable[[Step, Node, str], tuple[str, ...] | None]
"""The values of a variable for a node of a step; None: it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bundle:
    """Some nodes of a needed step that some nodes of the needing step wait for, all for all."""

    before: Sequence[int]
    after: Sequence[int]


def per_of(step: Step, need: Need, needed: Step) -> str:
    """By what a need is matched: `all`, `host`, `item` or a variable's name."""
    per = need.per or step.per
    if per == PER_ITEM and None in (step.foreach, needed.foreach):
        return PER_ALL
    if per == PER_HOST:
        # One node per value stands for its siblings on other hosts.
        per = next((s.run_once for s in (needed, step) if isinstance(s.run_once, str)), per)
    return per


def connect(
    step: str,
    before: Sequence[int],
    after: Sequence[int],
    *,
    barrier: bool,
    nodes: int,
    joins: list[Join],
    edges: list[Edge],
) -> None:
    """Let all of `after`, nodes of `step`, wait for all of `before`: adds edges, with a join where it saves some.

    Args:
        step: Whose nodes wait.
        before: Indices of nodes.
        after: The same.
        barrier: See `Edge`.
        nodes: How many nodes there are: indices of joins follow theirs.
        joins: Those that there are.
        edges: The same.
    """
    if len(before) * len(after) <= len(before) + len(after):
        edges += [Edge(b, a, barrier) for b in before for a in after]
        return
    index = nodes + len(joins)
    joins.append(Join(id=f"join {len(joins) + 1} before {step}"))
    edges.extend(Edge(b, index, barrier) for b in before)
    edges.extend(Edge(index, a, barrier) for a in after)


class EdgeBuilder:
    """Collects the edges of a plan, joins included, and the problems met.

    Args:
        steps: Steps by id.
        nodes: All nodes in plan order.
        values: Looks up the values by which nodes belong together.
        batches: How they are rolled out; None: all at once.
    """

    def __init__(
        self, steps: Iterable[Step], nodes: Sequence[Node], values: Values, batches: Batches | None = None
    ) -> None:
        self._nodes = nodes
        self._values = values
        numbers = batches.numbers if batches else {}
        self._batch = [numbers.get(node.unit, 0) for node in nodes]  # 0: not rolled
        self._of_step: dict[str, list[int]] = {step.id: [] for step in steps}
        for index, node in enumerate(nodes):
            self._of_step[node.step].append(index)
        self.edges: list[Edge] = []
        self.joins: list[Join] = []
        self.problems: list[Problem] = []

    def add(self, step: Step, need: Need, needed: Step) -> None:
        """Add what `step` needs of `needed`."""
        per = per_of(step, need, needed)
        for bundle in self._bundles(step, need, needed, per):
            self._refuse_turned(step, bundle)
            connect(
                step.id,
                bundle.before,
                bundle.after,
                barrier=per == PER_ALL,
                nodes=len(self._nodes),
                joins=self.joins,
                edges=self.edges,
            )

    def _bundles(self, step: Step, need: Need, needed: Step, per: str) -> list[_Bundle]:
        before, after = self._of_step[needed.id], self._of_step[step.id]
        if per == PER_ALL:
            return self._in_batches(step, need, needed)
        by_value: dict[str, list[int]] = {}
        everyone: list[int] = []
        for index in before:
            keys = self._keys(needed, index, per)
            for key in keys or ():
                by_value.setdefault(key, []).append(index)
            if keys is None:
                everyone.append(index)
        bundles, unmatched = [], []
        for keys, waiting in self._grouped(step, after, per).items():
            if keys is None:
                found = before
            elif len(keys) == 1 and not everyone:
                found = by_value.get(keys[0], [])
            else:
                found = sorted({i for k in keys for i in by_value.get(k, ())} | set(everyone))
            if found:
                bundles.append(_Bundle(before=found, after=waiting))
            else:
                unmatched.extend(waiting)
        if unmatched and before and not need.optional:
            self._report_unmatched(step, needed, per, unmatched)
        return bundles

    def _in_batches(self, step: Step, need: Need, needed: Step) -> list[_Bundle]:
        """All of the same batch; what is not rolled comes before, or after, that of all batches."""
        before, after = (_by(self._batch, self._of_step[one.id]) for one in (needed, step))
        always, last = before.pop(0, []), after.pop(0, [])
        rolled = [index for indices in before.values() for index in indices]
        bundles = [_Bundle(before=before[number], after=after[number]) for number in after if number in before]
        unmatched = [index for number in after if number not in before for index in after[number]]
        if rolled and not always and unmatched and not need.optional:
            self._report_unmatched(step, needed, PER_ALL, unmatched)
        every = [index for indices in (*after.values(), last) for index in indices]
        bundles += [_Bundle(before=always, after=sorted(every)), _Bundle(before=sorted(rolled), after=last)]
        return [bundle for bundle in bundles if bundle.before and bundle.after]

    def _grouped(self, step: Step, indices: Sequence[int], per: str) -> dict[tuple[str, ...] | None, list[int]]:
        groups: dict[tuple[str, ...] | None, list[int]] = {}
        for index in indices:
            groups.setdefault(self._keys(step, index, per), []).append(index)
        return groups

    def _keys(self, step: Step, index: int, per: str) -> tuple[str, ...] | None:
        """By what the node is matched; None: it matches everyone."""
        node = self._nodes[index]
        if per == PER_ITEM:
            return None if node.key is None else (node.key,)
        if node.host == LOCALHOST or step.run_once is True:
            return None
        if per == PER_HOST:
            return (node.host,)
        return self._values(step, node, per)

    def _report_unmatched(self, step: Step, needed: Step, per: str, unmatched: Sequence[int]) -> None:
        nodes = [self._nodes[i] for i in unmatched]
        names = [node.id if per == PER_ITEM else node.host for node in nodes]
        names = list(dict.fromkeys(names))
        shown = some(names)
        same = {
            PER_ALL: "in the same batch",
            PER_HOST: "on the same host",
            PER_ITEM: "for the same item",
        }.get(per, f"with the same {per!r}")
        self.problems.append(
            Problem(
                message=f"step {step.id!r} needs {needed.id!r} {same}, which matches nothing for {shown}",
                position=step.positions.get("needs") or step.source,
                hint=f'give these hosts a match, or say {{ step = "{needed.id}", optional = true }}',
            )
        )

    def _refuse_turned(self, step: Step, bundle: _Bundle) -> None:
        """Nothing waits for a later batch."""
        last = max(bundle.before, key=self._batch.__getitem__)
        first = min((a for a in bundle.after if self._batch[a]), key=self._batch.__getitem__, default=last)
        if self._batch[first] < self._batch[last]:
            self.problems.append(
                Problem(
                    message=f"{self._nodes[first].id} is in batch {self._batch[first]} and needs "
                    f"{self._nodes[last].id}, which is in batch {self._batch[last]}",
                    position=step.positions.get("needs") or step.source,
                    hint="give them one value of what the rollout is by, or change the need's per",
                )
            )


def _by(keys: Sequence[int], indices: Iterable[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for index in indices:
        found.setdefault(keys[index], []).append(index)
    return found
