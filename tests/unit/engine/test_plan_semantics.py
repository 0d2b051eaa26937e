"""Random playbooks: the plan, and what a dry run says of it, against definitions that are too slow to be wrong."""

from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import FakePool, PlayTasks, World, host, make_plan, plan_of, step

from opsflow.engine.executors import SerialExecutor
from opsflow.engine.preview import DryRun
from opsflow.engine.stop import Stop
from opsflow.engine.work import Worker
from opsflow.errors import InputError
from opsflow.model import Need
from opsflow.playbook import TemplateRenderer, load

NAMES = ["h0", "h1", "h2", "h3"]
KEYS = ["a", "b", "c"]
PERS = ["all", "host", "zone", "item"]
RENDERER = TemplateRenderer(directory=".", hosts=lambda _: [])


@st.composite
def books(draw):
    """Hosts, steps and flow: barriers, shards, items, lists that are empty somewhere, nodes that stand for others."""
    hosts = [
        host(
            name,
            zone=draw(st.sampled_from(["x", "y", ["x", "y"]])),
            items=draw(st.lists(st.sampled_from(KEYS), max_size=3, unique=True)),
            ok=draw(st.booleans()),
        )
        for name in NAMES[: draw(st.integers(1, 4))]
    ]
    flow = draw(st.sampled_from(["linear", "graph"]))
    steps = []
    for number in range(draw(st.integers(1, 6))):
        steps.append(draw(drawn_step(f"s{number}", [h.name for h in hosts], steps)))
    return hosts, steps, flow


@st.composite
def drawn_step(draw, name, hosts, earlier):
    few = st.lists(st.sampled_from(hosts), min_size=1, unique=True).map(lambda names: ",".join(sorted(names)))
    foreach = draw(st.sampled_from([None, ("a", "b"), "{{ items }}"]))
    needs = None
    if draw(st.booleans()):
        chosen = draw(st.lists(st.sampled_from(earlier), max_size=3, unique_by=lambda s: s.id)) if earlier else []
        needs = [Need(step=s.id, per=draw(drawn_per(foreach and s.foreach)), optional=True) for s in chosen]
    mentioned = draw(st.one_of(st.just([]), st.lists(st.sampled_from(earlier), max_size=2))) if earlier else []
    on = draw(st.one_of(st.just("all"), few, st.just("localhost") if foreach != "{{ items }}" else st.just("all")))
    local = on == "localhost"
    # What is inferred cannot be optional: where it would match nothing, the playbook is wrong.
    per = "all" if mentioned or needs is None else draw(st.sampled_from(PERS if foreach else PERS[:3]))
    when = draw(st.sampled_from([None, None, "ok", "false"]))
    return step(
        name,
        on,
        needs=needs,
        per=per,
        foreach=foreach,
        run_once=False if local else draw(st.sampled_from([False, False, True, "zone"])),
        params={"v": " ".join(f"{{{{ outputs.{s.id} | length }}}}" for s in mentioned)},
        when="false" if when and local else when,
        skips_all=bool(when) and draw(st.booleans()),
    )


def drawn_per(items):
    return st.sampled_from([None, *PERS] if items else [None, *PERS[:3]])


# The definitions


def nodes_of(steps, hosts):
    """(step, host, key) of all nodes, in order; key None: no items, or none there (idle)."""
    found = {}
    for each in steps:
        there = [h for h in hosts if each.hosts in {"all", h.name} or h.name in each.hosts.split(",")]
        if each.hosts == "localhost":
            there = [SimpleNamespace(name="localhost", vars={})]
        nodes = []
        for h in there:
            items = h.vars.get("items", ()) if isinstance(each.foreach, str) else each.foreach
            keys = [None] if not items else list(items)
            nodes += [(each.id, h, key, each.foreach is not None and not items) for key in keys]
        busy = sorted(nodes, key=lambda n: n[3])
        if each.run_once is True:
            nodes = [n for n in nodes if n[1] is busy[0][1]]
        elif each.run_once:
            first = {}
            for n in busy:
                for value in values(n[1]):
                    first.setdefault(value, n[1])
            nodes = [n for n in nodes if any(first[v] is n[1] for v in values(n[1]))]
        found[each.id] = nodes
    return found


def values(of_host):
    zone = of_host.vars["zone"]
    return zone if isinstance(zone, list) else [zone]


def name_of(node):
    step_id, of_host, key, _ = node
    return f"{step_id}@{of_host.name}" if key is None else f"{step_id}[{key}]@{of_host.name}"


def needs_between(steps, flow):
    """(needing step, needed step, per): stated, else by the flow, and by what templates mention."""
    by_id = {s.id: s for s in steps}
    found = []
    for number, each in enumerate(steps):
        stated = each.needs
        if stated is None:
            stated = [Need(step=steps[number - 1].id)] if number and flow == "linear" else []
        named = {need.step for need in stated}
        inferred = [s for s in by_id if f"outputs.{s} " in each.params["v"] and s not in named]
        all_needs = [*stated, *(Need(step=s) for s in inferred)]
        found += [(each, by_id[need.step], need.per or each.per) for need in all_needs]
    return found


def waits(per, each, node, needed, other):
    """Whether a node waits for another one."""
    if per == "item":
        if each.foreach is None or needed.foreach is None or None in {node[2], other[2]}:
            return True
        return node[2] == other[2]
    if per == "all" or "localhost" in {node[1].name, other[1].name} or True in {each.run_once, needed.run_once}:
        return True
    if per == "zone" or "zone" in {each.run_once, needed.run_once}:
        return bool(set(values(node[1])) & set(values(other[1])))
    return node[1].name == other[1].name


def expected_needs(hosts, steps, flow):
    nodes = nodes_of(steps, hosts)
    found = {name_of(n): set() for of_step in nodes.values() for n in of_step}
    for each, needed, per in needs_between(steps, flow):
        for node in nodes[each.id]:
            found[name_of(node)] |= {name_of(o) for o in nodes[needed.id] if waits(per, each, node, needed, o)}
    return found


def expected_skips(hosts, steps, flow):
    """Those whose condition is false or whose list is empty, and what is decided over: as a failure would spread."""
    nodes = nodes_of(steps, hosts)
    by_id = {s.id: s for s in steps}
    skipped, deciding = set(), []
    for of_step in nodes.values():
        for node in of_step:
            when = by_id[node[0]].when
            false = when == "false" or (when == "ok" and not node[1].vars["ok"])
            if node[3] or false:
                skipped.add(name_of(node))
                if not node[3] and by_id[node[0]].skips_all:
                    deciding.append(node)
    seen = set()
    while deciding:
        node = deciding.pop()
        for each, needed, per in needs_between(steps, flow):
            if needed.id != node[0]:
                continue
            behind = [n for n in nodes[each.id] if waits(per, each, n, needed, node)]
            wall = per == "all" or (per == "item" and None in {each.foreach, needed.foreach})
            own = [n for n in behind if n[1].name == node[1].name]
            for other in own if wall and own else behind:
                if name_of(other) not in seen:
                    seen.add(name_of(other))
                    deciding.append(other)
    return skipped | seen


# The properties


@given(books())
@settings(max_examples=150, deadline=None)
def test_nodes_and_needs_are_those_of_the_definition(book):
    hosts, steps, flow = book
    plan = make_plan(steps, hosts, World(), flow=flow)
    expected = expected_needs(hosts, steps, flow)
    assert [n.id for n in plan.nodes] == list(expected)
    assert {n.id: set(plan.needs_of(n.id)) for n in plan.nodes} == expected


@given(books(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_no_order_that_the_graph_allows_breaks_a_need(book, dice):
    hosts, steps, flow = book
    plan = make_plan(steps, hosts, World(), flow=flow)
    order = list(nx.lexicographical_topological_sort(plan.graph, key=lambda _: dice.random()))
    place = {vertex: n for n, vertex in enumerate(order)}
    for node, needs in expected_needs(hosts, steps, flow).items():
        assert all(place[need] < place[node] for need in needs)


@given(books())
@settings(max_examples=60, deadline=None)
def test_what_is_skipped_is_what_the_definition_skips(book):
    hosts, steps, flow = book
    world = World(in_place=set(expected_needs(hosts, steps, flow)))  # nothing changes, so nothing is unknown
    plan = make_plan(steps, hosts, world, flow=flow)
    worker = Worker(tasks=PlayTasks(world), transports=FakePool(), renderer=RENDERER, secret=str)
    found = DryRun(plan, executor=SerialExecutor(worker), renderer=RENDERER, stop=Stop(), run_id="p").look()
    assert {n.node for n in found if str(n.action) == "skip"} == expected_skips(hosts, steps, flow)
    assert {str(n.action) for n in found} <= {"skip", "unchanged"}


@st.composite
def entries(draw):
    """Steps as (hosts, when), within entries that say where and whether: (hosts, when) each, the outer one first."""
    names = NAMES[: draw(st.integers(1, 4))]
    few = st.lists(st.sampled_from(names), min_size=1, unique=True).map(lambda found: ",".join(sorted(found)))
    when = st.sampled_from([None, "ok", "not ok", "zone == 'x'"])
    steps = draw(st.lists(st.tuples(st.one_of(st.just("all"), few), when), min_size=1, max_size=3))
    around = draw(st.lists(st.tuples(st.one_of(st.none(), few), when), min_size=1, max_size=2))
    hosts = [host(name, zone=draw(st.sampled_from("xy")), ok=draw(st.booleans())) for name in names]
    return hosts, steps, around


def keys(**said):
    return "[[step]]\n" + "".join(f"{key} = {value!r}\n" for key, value in said.items() if value is not None)


def looked_at(text, hosts, directory):
    """By the last part of its step's id, what a dry run says of each node."""
    (directory / "play.toml").write_text(text)
    world = World()
    world.in_place = Everything()
    plan = plan_of(load(directory / "play.toml"), hosts, world)
    worker = Worker(tasks=PlayTasks(world), transports=FakePool(), renderer=RENDERER, secret=str)
    found = DryRun(plan, executor=SerialExecutor(worker), renderer=RENDERER, stop=Stop(), run_id="p").look()
    return {n.node.rpartition("/")[2]: str(n.action) for n in found}


class Everything:
    def __contains__(self, node):
        return True


@given(entries())
@settings(max_examples=60, deadline=None)
def test_an_entrys_hosts_and_condition_are_as_if_each_of_its_steps_said_them(drawn):
    hosts, steps, around = drawn
    flow = 'flow = "graph"\n'
    with TemporaryDirectory() as name:
        directory = Path(name)
        inner = flow + "".join(keys(id=f"s{n}", task="act", hosts=on, when=when) for n, (on, when) in enumerate(steps))
        for depth, (on, when) in enumerate(reversed(around)):
            (directory / f"{depth}.toml").write_text(inner)
            inner = flow + keys(id="in", include=f"{depth}.toml", hosts=on, when=when)
        written = flow
        for number, (on, when) in enumerate(steps):
            there = {h.name for h in hosts} if on == "all" else set(on.split(","))
            there = there.intersection(*(where.split(",") for where, _ in around if where))
            said = " and ".join(f"({one})" for one in (*(w for _, w in around), when) if one)
            if not there:
                with pytest.raises(InputError, match="leaves no host to its step"):
                    looked_at(inner, hosts, directory)
                return
            written += keys(id=f"s{number}", task="act", hosts=",".join(sorted(there)), when=said or None)
        assert looked_at(inner, hosts, directory) == looked_at(written, hosts, directory)
