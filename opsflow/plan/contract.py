"""`--limit`, `--tags`: the plan without the nodes that are not wanted now. What needs them inherits what they need."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import networkx as nx

from opsflow.errors import InputError, Problem
from opsflow.model import LOCALHOST, Step
from opsflow.plan.check import step_problem
from opsflow.plan.fingerprint import sealed
from opsflow.plan.model import Edge, Join, Node, Plan, Selection
from opsflow.plan.needs import connect
from opsflow.plan.rollout import divided, gate_steps
from opsflow.plan.wording import some
from opsflow.ports import Inventory
from opsflow.tomlfile import did_you_mean


def selected(
    make: Callable[[Plan | None], Plan], inventory: Inventory, selection: Selection, earlier: Plan | None = None
) -> Plan:
    """The plan of what is selected; its batches have the sizes that the playbook says, unless a need is against it.

    Args:
        make: Makes the whole plan, given one of whose batches it keeps what is in them.
        inventory: Of its hosts.
        selection: What of it.
        earlier: The plan that a run follows.

    Raises:
        InputError: what `make` and `contracted` raise.
    """
    part = contracted(make(earlier), inventory, selection)
    if part.batches and part.left_out and part.playbook.rollout:
        units = [unit for batch in part.batches.units for unit in batch]
        wanted = replace(part, batches=divided(part.playbook.rollout, units))
        with suppress(InputError):  # a need that leads from one of these batches back to another
            again = contracted(make(wanted), inventory, selection)
            if nx.is_directed_acyclic_graph(again.order):
                return again
    return part


def contracted(plan: Plan, inventory: Inventory, selection: Selection) -> Plan:
    """The plan of what is selected; `left_out` has the rest.

    Nodes on the control machine stay whatever the limit is: approvals and notices are the procedure's, not a host's.

    Raises:
        InputError: nothing is left, there is no such host or tag, or what stays needs outputs of what is left out.
    """
    if not selection:
        return plan
    asking = set(plan.batches.gates) if plan.batches else set()
    steps = _tagged(plan.playbook.steps, selection) | {plan.by_id[gate].step for gate in asking}
    hosts = {LOCALHOST, *(host.name for host in inventory.select(selection.limit))} if selection.limit else plan.hosts
    kept = [node for node in plan.nodes if node.step in steps and node.host in hosts]
    said = " ".join(selection.words())
    if all(node.host == LOCALHOST for node in kept) and any(node.host != LOCALHOST for node in plan.nodes):
        where = f"the steps run on {some(plan.hosts)}"
        raise InputError([Problem(message=f"{said} leaves no node on any host", hint=where)])
    if problems := _lost_outputs(plan, {node.id for node in kept}, said):
        raise InputError(problems)
    return sealed(_without(plan, kept)) if len(kept) < len(plan.nodes) else plan


def _tagged(steps: Sequence[Step], selection: Selection) -> frozenset[str]:
    """Ids of the steps that the tags let through."""
    known = sorted({tag for step in steps for tag in step.tags})
    problems = [
        Problem(message=f"no step has the tag {tag!r}", hint=did_you_mean(tag, known) or f"tags are: {some(known)}")
        for tag in (*selection.tags, *selection.skip_tags)
        if tag not in known
    ]
    if problems:
        raise InputError(problems)
    wanted, unwanted = set(selection.tags), set(selection.skip_tags)
    return frozenset(
        step.id for step in steps if (not wanted or wanted & set(step.tags)) and not unwanted & set(step.tags)
    )


def _lost_outputs(plan: Plan, kept: Collection[str], said: str) -> list[Problem]:
    """What the templates of nodes that stay mention of nodes that do not."""
    lost: dict[tuple[str, str], dict[str, str]] = {}  # by step and mentioned step: nodes that are missed, by host
    left_out = {node.id: node for node in plan.nodes if node.id not in kept}
    behind: dict[int, dict[str, str]] = {}  # of what is needed, by identity: for each step one that is left out
    for node in plan.nodes:
        references = plan.references.get(node.step, ()) if node.id in kept else ()
        if not references:
            continue
        needs = plan.needs_of(node.id)
        if id(needs) not in behind:
            behind[id(needs)] = {left_out[need].step: need for need in reversed(needs) if need in left_out}
        for name in references:
            if own := plan.on_host(name, node.host):
                mentioned = own[0].id if own[0].id in left_out else ""
            elif plan.steps[node.step].at_end:  # it speaks of all of them, and may speak of those that there are
                mentioned = "" if any(n.id in kept for n in plan.by_step[name]) else plan.by_step[name][0].id
            else:
                mentioned = behind[id(needs)].get(name, "")
            if mentioned:
                lost.setdefault((node.step, name), {})[node.host] = mentioned
    problems = []
    for (step, name), missed in lost.items():
        which = some(dict.fromkeys(missed.values()))
        message = f"on {some(missed)} it mentions step {name!r}, of which {said} leaves out {which}"
        problems.append(step_problem(plan.steps[step], "with", message, "select both, or neither"))
    return problems


def _without(plan: Plan, kept: Sequence[Node]) -> Plan:
    rollout, asking = plan.playbook.rollout, plan.batches.gates if plan.batches else ()
    batches = plan.batches.of({node.unit for node in kept}, rollout.max_failures) if plan.batches and rollout else None
    kept = [node for node in kept if node.id not in asking or (batches and node.id in batches.gates)]
    ids, hosts = {node.id for node in kept}, {name for node in kept for name in (node.host, node.at)}
    gates = {step.id: step for step in (gate_steps(rollout, batches) if batches and rollout else ())}
    steps = tuple(
        gates.get(step.id, step)
        for step in plan.playbook.steps
        if any(node.id in ids for node in plan.by_step[step.id])
    )
    named = {step.id for step in steps}
    tasks = {step.task for step in steps}
    local_files = {step: paths for step, paths in plan.local_files.items() if step in named}
    files = {path for paths in local_files.values() for path in paths}
    joins, edges = _inherited(plan, kept)
    return replace(
        plan,
        playbook=replace(plan.playbook, steps=steps),
        hosts={name: host for name, host in plan.hosts.items() if name in hosts},
        tasks={name: facts for name, facts in plan.tasks.items() if name in tasks},
        references={
            step: tuple(name for name in found if name in named)
            for step, found in plan.references.items()
            if step in named
        },
        files={path: digest for path, digest in plan.files.items() if path in files},
        local_files=local_files,
        nodes=tuple(kept),
        joins=joins,
        edges=edges,
        left_out=tuple(node.id for node in plan.nodes if node.id not in ids and node.id not in asking),
        batches=batches,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Behind:
    """The nodes that stay and come before a vertex, none of them between: through no barrier, or only through one."""

    plain: frozenset[int]
    walled: frozenset[int]


def _inherited(plan: Plan, kept: Sequence[Node]) -> tuple[tuple[Join, ...], tuple[Edge, ...]]:
    """The graph over what stays. Costs the edges: what many wait for is found once, and compared by identity."""
    place = {node.id: index for index, node in enumerate(kept)}
    behind: dict[str, _Behind] = {}
    made: dict[frozenset[tuple[int, bool]], _Behind] = {}
    waiting: dict[tuple[str, int], list[int]] = {}
    for vertex in nx.lexicographical_topological_sort(plan.graph, key=_order(plan).__getitem__):
        before = [(behind[b], bool(edge["barrier"])) for b, _, edge in plan.graph.in_edges(vertex, data=True)]
        key = frozenset((id(found), barrier) for found, barrier in before)
        if key not in made:
            made[key] = _together(before)
        behind[vertex] = made[key]
        if vertex in place:
            waiting.setdefault((plan.by_id[vertex].step, id(made[key])), []).append(place[vertex])
            behind[vertex] = _Behind(plain=frozenset([place[vertex]]), walled=frozenset())
    joins: list[Join] = []
    edges: list[Edge] = []
    found = {id(one): one for one in made.values()}
    before_node = {index: found[one] for (_, one), after in waiting.items() for index in after}
    for (step, one), after in waiting.items():
        known = _implied(found[one], before_node)
        for needed, barrier in ((found[one].plain, False), (found[one].walled, True)):
            connect(step, sorted(needed - known), after, barrier=barrier, nodes=len(kept), joins=joins, edges=edges)
    return tuple(joins), tuple(edges)


def _implied(behind: _Behind, before_node: Mapping[int, _Behind]) -> set[int]:
    """What the nearest ones wait for themselves, and need not be waited for again."""
    nearest = {id(found): found for node in behind.plain | behind.walled if (found := before_node[node])}
    return set().union(*(found.plain | found.walled for found in nearest.values()))


def _together(before: Iterable[tuple[_Behind, bool]]) -> _Behind:
    plain: set[int] = set()
    walled: set[int] = set()
    for found, barrier in before:
        walled |= found.walled
        (walled if barrier else plain).update(found.plain)
    return _Behind(plain=frozenset(plain), walled=frozenset(walled - plain))


def _order(plan: Plan) -> Mapping[str, int]:
    """The plan's order, so that the same plan gives the same graph."""
    return {vertex: index for index, vertex in enumerate(plan.graph)}
