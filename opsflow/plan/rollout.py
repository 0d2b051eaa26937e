"""Rolling out: which nodes are a unit, which units a batch, and what comes before and after all of them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from opsflow.errors import InputError, Problem, TemplateError
from opsflow.model import LOCALHOST, SCOPE_HOST, Host, OnFailure, Rollout, Step
from opsflow.plan.batches import Batches, share
from opsflow.plan.model import Edge, Node
from opsflow.plan.values import plain_text, together, values_of
from opsflow.plan.wording import some
from opsflow.ports import Inventory, Renderer

_APPROVAL = "approve"
_NAMED = 5


class Division:
    """Divides the nodes of a plan into units, and these into batches.

    Args:
        rollout: What the playbook says.
        steps: Steps by id.
        renderer: For templates in variables.

    Attributes:
        problems: All that is wrong.
    """

    def __init__(self, rollout: Rollout, steps: Mapping[str, Step], renderer: Renderer) -> None:
        self._rollout = rollout
        self._steps = steps
        self._renderer = renderer
        self.problems: list[Problem] = []

    def divide(
        self, nodes: Sequence[Node], inventory: Inventory, earlier: Batches | None
    ) -> tuple[list[Node], Batches | None]:
        """The nodes with their units, and the batches; None if nothing is rolled, which is a problem.

        Args:
            nodes: All nodes.
            inventory: Units come in the order of its hosts.
            earlier: Those of an earlier plan of the same rollout: what is in one of them stays there.
        """
        names = self._values(nodes, inventory)
        if not names:
            if not self.problems:
                self._say_nothing_is_rolled()
            return list(nodes), None
        unit_of_name = {name: " + ".join(joined) for name, joined in together(names.values()).items()}
        rolled = [replace(n, unit=unit_of_name[names[n.id][0]]) if n.id in names else n for n in nodes]
        place = {name: position for position, name in enumerate(inventory.hosts)}
        first: dict[str, int] = {}
        for node in rolled:
            if node.unit:
                first[node.unit] = min(first.get(node.unit, len(place)), place.get(node.host, len(place)))
        return rolled, divided(self._rollout, sorted(first, key=first.__getitem__), earlier)

    def _values(self, nodes: Sequence[Node], inventory: Inventory) -> dict[str, tuple[str, ...]]:
        """By node, the names by which it is rolled; none of those that are not."""
        try:
            hosts = {host.name: host for host in inventory.select(self._rollout.hosts or "all")}
        except InputError as error:
            self.problems += [replace(p, position=self._rollout.positions.get("hosts")) for p in error.problems]
            return {}
        found = {}
        for node in nodes:
            step = self._steps[node.step]
            # Once means once per run; and localhost belongs to no unit.
            if node.host in hosts and node.host != LOCALHOST and step.run_once is not True and not step.at_end:
                names = self._names(step, node, hosts[node.host])
                if names:
                    found[node.id] = names
        return found

    def _names(self, step: Step, node: Node, host: Host) -> tuple[str, ...]:
        if self._rollout.by == SCOPE_HOST:
            return (host.name,)
        try:
            found = values_of(step, node, host, self._rollout.by, self._renderer)
        except TemplateError as error:
            position = self._rollout.positions.get("by")
            self.problems.append(
                Problem(message=f"rollout by {self._rollout.by!r}: {error.message}", position=position)
            )
            return ()
        return tuple(map(plain_text, found or ()))

    def _say_nothing_is_rolled(self) -> None:
        by, positions = self._rollout.by, self._rollout.positions
        if by == SCOPE_HOST:
            message, key = (
                f"rollout: no step runs on a host of {self._rollout.hosts!r}: nothing would be rolled",
                "hosts",
            )
        else:
            message, key = f"rollout: no host of the steps has the variable {by!r}: nothing would be rolled", "by"
        self.problems.append(Problem(message=message, position=positions.get(key), hint="change it, or take it out"))


def divided(rollout: Rollout, units: Sequence[str], earlier: Batches | None = None) -> Batches:
    """Units in batches, in their order; what is in one of `earlier` stays there, and the rest comes behind."""
    total = len(units)
    sizes = [share(size, total, up=True) for size in rollout.batches]
    known = earlier.numbers if earlier else {}
    kept = [[u for u in units if known.get(u) == n] for n in range(1, len(earlier.units) + 1)] if earlier else []
    found = [tuple(batch) for batch in kept if batch]
    waiting = [unit for unit in units if unit not in known]
    while waiting:
        size = sizes[min(len(found), len(sizes) - 1)]
        found.append(tuple(waiting[:size]))
        waiting = waiting[size:]
    return Batches(
        by=rollout.by,
        units=tuple(found),
        max_failures=share(rollout.max_failures, total, up=False),
        pause=rollout.pause,
        gates=tuple(f"{_gate_id(n)}@{LOCALHOST}" for n in range(2, len(found) + 1) if rollout.approve),
    )


def gate_steps(rollout: Rollout, batches: Batches) -> list[Step]:
    """The steps that ask before each batch but the first, if somebody has to approve."""
    return [_gate(rollout, n, batches) for n in range(2, len(batches.units) + 1)] if rollout.approve else []


def _gate(rollout: Rollout, number: int, batches: Batches) -> Step:
    units = batches.units[number - 1]
    names = ", ".join(units[:_NAMED]) + (f" and {len(units) - _NAMED} more" if len(units) > _NAMED else "")
    what = "" if "{" in names else f": {names}"  # which would be taken for a template
    return Step(
        id=_gate_id(number),
        task=_APPROVAL,
        hosts=LOCALHOST,
        params={"message": f"go on with batch {number} of {len(batches.units)}{what}"},
        needs=(),
        on_failure=OnFailure.HALT,
        source=rollout.positions.get("pause"),
    )


def before_and_after(
    nodes: Sequence[Node], edges: Iterable[Edge], steps: Mapping[str, Step], batches: Batches
) -> list[Problem]:
    """What is not rolled comes before all that is, or after it: problems where it would be in between."""
    forth: dict[int, list[int]] = {}
    back: dict[int, list[int]] = {}
    for edge in edges:
        forth.setdefault(edge.before, []).append(edge.after)
        back.setdefault(edge.after, []).append(edge.before)
    rolled = [index for index, node in enumerate(nodes) if node.unit]
    found: dict[str, list[int]] = {}
    for index in sorted(_reach(rolled, forth) & _reach(rolled, back)):
        if index < len(nodes) and not nodes[index].unit:
            found.setdefault(nodes[index].step, []).append(index)
    problems = []
    for step, between in found.items():
        hosts = list(dict.fromkeys(nodes[index].host for index in between))
        shown = some(hosts)
        before, after = (_rolled_steps(between[:1], graph, nodes) for graph in (back, forth))
        problems.append(
            Problem(
                message=f"step {step!r} is not rolled on {shown}, and is between {before} and {after}, which are",
                position=steps[step].positions.get("needs") or steps[step].source,
                hint=f"what is not rolled runs once, before or after all batches: change its needs, or let it belong "
                f"to units ({'rollout.hosts' if batches.by == SCOPE_HOST else batches.by}); "
                'to ask somebody between batches, say pause = "approve" in [rollout]',
            )
        )
    return problems


def _rolled_steps(starts: Sequence[int], graph: Mapping[int, list[int]], nodes: Sequence[Node]) -> str:
    reached = [nodes[index] for index in sorted(_reach(starts, graph)) if index < len(nodes)]
    return ", ".join(repr(step) for step in dict.fromkeys(node.step for node in reached if node.unit))


def _reach(starts: Collection[int], graph: Mapping[int, list[int]]) -> set[int]:
    seen: set[int] = set()
    stack = list(starts)
    while stack:
        new = [index for index in graph.get(stack.pop(), ()) if index not in seen]
        seen.update(new)
        stack += new
    return seen


def _gate_id(number: int) -> str:
    return f"batch/{number}"
