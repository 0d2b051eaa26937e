"""The plan as data, and as JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import networkx as nx
from pydantic import TypeAdapter

from opsflow.model import LOCALHOST, Host, Need, OnFailure, Playbook, Step
from opsflow.plan.batches import Batches, in_batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One step on one host.

    Attributes:
        id: `STEP@HOST`, with `foreach` `STEP[KEY]@HOST`.
        key, item: With `foreach`: for which item it is; the item's templates are rendered.
        on: On which other host its commands run; empty: on its own.
        unit: What it is rolled out with; empty: it is not rolled.
        idle: Its step's `foreach` yields nothing on this host: it is skipped.
    """

    id: str
    step: str
    host: str
    key: str | None = None
    item: Any = None
    on: str = ""
    unit: str = ""
    idle: bool = False

    @property
    def at(self) -> str:
        """The host on which its commands run."""
        return self.on or self.host

    @property
    def facts(self) -> dict[str, Any]:
        """What its templates see of it beside variables."""
        return {} if self.key is None else {"item": self.item}


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """A barrier: reached when all before it are through. Keeps edges at n + m where they would be n · m."""

    id: str


class Edge(NamedTuple):
    """`before` must be through before `after` starts (indices into nodes, then joins).

    `barrier`: made by `per = "all"`: a failure passes it only on its own host, if the waiting step runs there too.
    """

    before: int
    after: int
    barrier: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFacts:
    """What the engine has to know of a task without loading it. `gate`: it is done once somebody approves."""

    digest: str
    idempotent: bool
    reversible: bool
    has_plan: bool
    gate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Of a playbook and an inventory what is wanted now; as it stands, all.

    Attributes:
        limit: A pattern of hosts.
        tags: Only steps that have one of them.
        skip_tags: No steps that have one of them.
    """

    limit: str = ""
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.limit or self.tags or self.skip_tags)

    def words(self) -> tuple[str, ...]:
        """The options that say it."""
        said = {"--limit": self.limit, "--tags": ",".join(self.tags), "--skip-tags": ",".join(self.skip_tags)}
        return tuple(word for option, value in said.items() if value for word in (option, value))


ALL = Selection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a plan was made from, so that it can be made again. Relative paths begin in the project.

    Attributes:
        playbook: Its file.
        inventory: Its file, or the list of hosts.
        extra: What was given with `-e`.
        on_failure: What was said for every step.
        selection: What of it was wanted.
    """

    playbook: str
    inventory: str
    extra: tuple[str, ...] = ()
    on_failure: OnFailure | None = None
    selection: Selection = ALL


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a run knows. Never changes.

    Attributes:
        playbook: The steps as written, templates not rendered.
        inventory: Where the hosts came from. `inventory_digest`: its SHA-256.
        hosts: The hosts of nodes, and those that their commands run on, with their variables.
        inputs: Input defaults: the weakest variables.
        extra: What the caller gave with `-e`: the strongest variables.
        now: The time that templates see, RFC 3339 in UTC.
        tasks: The tasks in use.
        references: For each step, the steps whose outputs or states its templates mention.
        files: Local files that parameters name, with their SHA-256.
        local_files: For each step, those that its parameters name.
        groups: All groups of the inventory with their hosts, if a template asks for hosts; else nothing.
        nodes, joins, edges: The graph, in playbook order.
        batches: How it is rolled out; None: all hosts at once.
        fingerprint: SHA-256 over all that decides what the run does.
        origin: What it was made from; None: it was made by an opsflow that did not write that down.
        retired: Nodes of the run's earlier plans that are not in its files any more: nothing is begun on them, but what
            was may have to be found out or reverted.
        left_out: Nodes that its files have, and that were not selected.
        needs: For each step what it needs, what is inferred from templates and `flow` too.
    """

    playbook: Playbook
    inventory: str
    inventory_digest: str
    hosts: Mapping[str, Host]
    inputs: Mapping[str, Any]
    extra: Mapping[str, Any]
    now: str
    tasks: Mapping[str, TaskFacts]
    references: Mapping[str, tuple[str, ...]]
    files: Mapping[str, str]
    groups: Mapping[str, tuple[str, ...]]
    nodes: tuple[Node, ...]
    joins: tuple[Join, ...]
    edges: tuple[Edge, ...]
    fingerprint: str = field(default="")
    local_files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    origin: Origin | None = None
    retired: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    needs: Mapping[str, tuple[Need, ...]] = field(default_factory=dict)
    batches: Batches | None = None

    @cached_property
    def steps(self) -> Mapping[str, Step]:
        """Steps by id."""
        return {step.id: step for step in self.playbook.steps}

    @cached_property
    def by_id(self) -> Mapping[str, Node]:
        """Nodes by id."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def at_end(self) -> frozenset[str]:
        """Nodes that run when nothing else is left."""
        return frozenset(node.id for node in self.nodes if self.steps[node.step].at_end)

    @cached_property
    def by_step(self) -> Mapping[str, tuple[Node, ...]]:
        """Nodes of each step, in host order; none that are retired."""
        found: dict[str, list[Node]] = {step: [] for step in self.steps}
        for node in self.nodes:
            if node.id not in self.gone:
                found[node.step].append(node)
        return {step: tuple(nodes) for step, nodes in found.items()}

    def on_host(self, step: str, host: str) -> tuple[Node, ...]:
        """Nodes of a step on a host; none that are retired."""
        return self._on_host.get((step, host), ())

    @cached_property
    def _on_host(self) -> Mapping[tuple[str, str], tuple[Node, ...]]:
        found: dict[tuple[str, str], list[Node]] = {}
        for step, nodes in self.by_step.items():
            for node in nodes:
                found.setdefault((step, node.host), []).append(node)
        return {place: tuple(nodes) for place, nodes in found.items()}

    @cached_property
    def gone(self) -> frozenset[str]:
        """Nodes that are retired."""
        return frozenset(self.retired)

    @cached_property
    def live(self) -> "Plan":
        """The plan without what is retired, and without its graph: what its files say."""
        if not self.retired:
            return self
        nodes = tuple(node for node in self.nodes if node.id not in self.gone)
        steps, hosts = {node.step for node in nodes}, {name for node in nodes for name in (node.host, node.at)}
        playbook = replace(self.playbook, steps=tuple(step for step in self.playbook.steps if step.id in steps))
        tasks = {step.task for step in playbook.steps}
        return replace(
            self,
            playbook=playbook,
            hosts={name: host for name, host in self.hosts.items() if name in hosts},
            tasks={name: facts for name, facts in self.tasks.items() if name in tasks},
            nodes=nodes,
            joins=(),
            edges=(),
            retired=(),
        )

    @cached_property
    def graph(self) -> "nx.DiGraph[str]":
        """The graph over ids of nodes and joins; edges carry `barrier`."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        ids = [n.id for n in self.nodes] + [j.id for j in self.joins]
        graph.add_nodes_from(ids)
        graph.add_edges_from((ids[e.before], ids[e.after], {"barrier": e.barrier}) for e in self.edges)
        return graph

    @cached_property
    def batch_of(self) -> Mapping[str, int]:
        """The batch of each node that is rolled, from 1 on."""
        numbers = self.batches.numbers if self.batches else {}
        return {node.id: numbers[node.unit] for node in self.nodes if node.unit in numbers}

    @cached_property
    def by_batch(self) -> tuple[tuple[str, ...], ...]:
        """The nodes of each batch."""
        found: list[list[str]] = [[] for _ in self.batches.units] if self.batches else []
        for node, number in self.batch_of.items():
            found[number - 1].append(node)
        return tuple(map(tuple, found))

    @cached_property
    def order(self) -> "nx.DiGraph[str]":
        """The graph with the order of batches: what comes later is reverted first."""
        return in_batches(self.graph, self.by_batch) if self.batches else self.graph

    @cached_property
    def turns(self) -> Mapping[str, int]:
        """Where each vertex stands in an order that no need, and no batch, contradicts."""
        return {vertex: place for place, vertex in enumerate(nx.topological_sort(self.order))}

    @cached_property
    def after_local(self) -> frozenset[str]:
        """Nodes after one on the control machine itself, which may make the local files that they name."""
        local = [node.id for node in self.nodes if node.at == LOCALHOST]
        found = self.after(local)
        return found if self.at_end.issuperset(local) else found | self.at_end

    def after(self, nodes: Iterable[str]) -> frozenset[str]:
        """All nodes and joins that come after some of `nodes`."""
        found: set[str] = set()
        stack = list(nodes)
        while stack:
            new = [vertex for vertex in self.graph.successors(stack.pop()) if vertex not in found]
            found.update(new)
            stack += new
        return frozenset(found)

    def task_of(self, node: str) -> TaskFacts:
        """Facts about the task of a node."""
        return self.tasks[self.steps[self.by_id[node].step].task]

    def user_of(self, node: str) -> str:
        """The user as whom a node is worked on, as its step says or else its host; empty: whoever is logged in."""
        found = self.by_id[node]
        said = self.steps[found.step].become
        return self.hosts[found.at].connection.become if said is None else said

    def needs_of(self, node: str) -> tuple[str, ...]:
        """Nodes that must be through before `node`, joins resolved, in plan order."""
        before = tuple(self.graph.predecessors(node))
        if len(before) == 1 and before[0] in self._behind:
            return self._behind[before[0]]
        found: set[str] = set()
        for vertex in before:
            found.update(self._behind.get(vertex, (vertex,)))
        return tuple(sorted(found, key=self._position.__getitem__))

    @cached_property
    def _behind(self) -> Mapping[str, tuple[str, ...]]:
        return {join.id: tuple(self.graph.predecessors(join.id)) for join in self.joins}

    @cached_property
    def _position(self) -> Mapping[str, int]:
        return {node.id: index for index, node in enumerate(self.nodes)}

    def to_json(self) -> dict[str, Any]:
        """JSON-able form for the journal."""
        dumped: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return dumped

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Plan":
        """The plan that `to_json` gave."""
        return _ADAPTER.validate_python(data)


_ADAPTER = TypeAdapter(Plan)
