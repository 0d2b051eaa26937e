"""The walks over the graph, against definitions that are too slow to be wrong."""

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st
from world import World, host, make_plan, step

from opsflow.engine.graph import Frontier, ReverseOrder, Spread
from opsflow.model import Need

HOSTS = ["h0", "h1", "h2", "h3"]


@st.composite
def plans(draw):
    """Random procedures over random fleets; barriers, values, single hosts, joins and direct edges among them."""
    names = HOSTS[: draw(st.integers(1, 4))]
    hosts = [host(name, zone=draw(st.sampled_from(["x", "y", ["x", "y"]]))) for name in names]
    steps = []
    for i in range(draw(st.integers(1, 6))):
        earlier = [s.id for s in steps]
        needs = []
        if earlier:
            chosen = draw(st.lists(st.sampled_from(earlier), max_size=3, unique=True))
            needs = [Need(step=s, per=draw(st.sampled_from(["all", "host", "zone"])), optional=True) for s in chosen]
        on = draw(st.one_of(st.just("all"), st.lists(st.sampled_from(names), min_size=1, unique=True).map(",".join)))
        steps.append(step(f"s{i}", on, needs=needs))
    return make_plan(steps, hosts, World(), flow="graph")


def needs(plan):
    """Node → nodes that must be through, from the definition of joins."""
    nodes, found = set(plan.by_id), {}
    for node in nodes:
        found[node] = set()
        for before in plan.graph.predecessors(node):
            found[node] |= {before} if before in nodes else set(plan.graph.predecessors(before))
    return found


# Frontier


@given(plans(), st.randoms(use_true_random=False), st.data())
@settings(max_examples=200, deadline=None)
def test_a_node_is_reached_when_all_it_needs_are_through_and_once(plan, dice, data):
    wanted = needs(plan)
    through = set(data.draw(st.lists(st.sampled_from(sorted(wanted)), unique=True)))  # when it is reached already
    done, open_, seen = set(), [], []

    def arrive(nodes):
        for node in nodes:
            assert node not in seen
            seen.append(node)
            open_.append(node)

    def spread_through():
        """What passes by itself, once it is reached."""
        while more := {n for n in through - done if wanted[n] <= done}:
            done.update(more)

    frontier = Frontier(plan, lambda node: node in through)
    arrive(frontier.start())
    spread_through()
    while True:
        for node in wanted:
            assert frontier.reached(node) == (wanted[node] <= done), node
        assert set(open_) == {n for n in wanted if wanted[n] <= done and n not in done}
        if not open_:
            break
        node = open_.pop(dice.randrange(len(open_)))
        done.add(node)
        arrive(frontier.settle(node))
        spread_through()
    assert done == set(wanted)
    assert set(seen) == set(wanted) - through


def test_nodes_are_reached_in_the_plans_order():
    plan = make_plan([step("a"), step("b", per="host")], [host(n) for n in HOSTS], World())
    frontier = Frontier(plan, lambda _: False)
    assert list(frontier.start()) == [f"a@{n}" for n in HOSTS]
    assert list(frontier.settle("a@h2")) == ["b@h2"]


def test_a_walk_costs_the_edges():
    plan = make_plan([step(f"s{i}") for i in range(5)], [host(f"h{i}") for i in range(300)], World())
    asked = []
    frontier = Frontier(plan, lambda node: bool(asked.append(node)))
    waiting = list(frontier.start())
    while waiting:
        waiting += frontier.settle(waiting.pop())
    assert len(asked) == len(plan.nodes)


# Spread


def naive_spread(plan, starts):
    """By the words: a failed node blocks what needs it; through a barrier only its own host's, if there is one."""
    hosts_of = {s: {n.host for n in nodes} for s, nodes in plan.by_step.items()}
    pairs = set()  # (before, after, whether the failure passes)
    graph, nodes = plan.graph, plan.by_id
    for before in nodes:
        for after, edge in graph[before].items():
            ends = [(after, edge)] if after in nodes else [(x, e) for x, e in graph[after].items()]
            for end, kind in ends:
                stopped = kind["barrier"] and nodes[before].host in hosts_of[nodes[end].step]
                if not stopped or nodes[before].host == nodes[end].host:
                    pairs.add((before, end))
    found, waiting = set(), list(starts)
    while waiting:
        here = waiting.pop()
        for before, after in pairs:
            if before == here and after not in found:
                found.add(after)
                waiting.append(after)
    return found


@given(plans(), st.data())
@settings(max_examples=200, deadline=None)
def test_a_failure_spreads_as_the_contract_says(plan, data):
    starts = data.draw(st.lists(st.sampled_from(sorted(plan.by_id)), min_size=1, max_size=3, unique=True))
    found = Spread(plan).dependants(starts)
    assert len(found) == len(set(found))
    assert set(found) == naive_spread(plan, starts)


@given(plans(), st.data())
@settings(max_examples=100, deadline=None)
def test_a_failure_reaches_nothing_that_does_not_come_after(plan, data):
    start = data.draw(st.sampled_from(sorted(plan.by_id)))
    assert set(Spread(plan).dependants([start])) <= nx.descendants(plan.graph, start)


def test_a_barrier_of_the_same_hosts_stops_a_failure_at_its_host():
    plan = make_plan([step("a"), step("b"), step("c")], [host(n) for n in HOSTS], World())
    assert Spread(plan).dependants(["a@h1"]) == ["b@h1", "c@h1"]


def test_a_barrier_to_other_hosts_lets_a_failure_through_to_all():
    plan = make_plan([step("a", "h0,h1"), step("b", "h2,h3")], [host(n) for n in HOSTS], World())
    assert set(Spread(plan).dependants(["a@h0"])) == {"b@h2", "b@h3"}


def test_a_step_that_runs_once_is_blocked_by_any_host():
    plan = make_plan([step("a"), step("b", run_once=True)], [host(n) for n in HOSTS], World())
    assert Spread(plan).dependants(["a@h2"]) == ["b@h0"]


# ReverseOrder


@given(plans(), st.randoms(use_true_random=False), st.data())
@settings(max_examples=200, deadline=None)
def test_a_node_is_free_when_nothing_after_it_waits(plan, dice, data):
    nodes = sorted(plan.by_id)
    todo = data.draw(st.lists(st.sampled_from(nodes), unique=True))
    order, waiting, removed = ReverseOrder(plan), set(), []

    def free(node):
        return not nx.descendants(plan.graph, node) & waiting

    while todo or waiting:
        if todo and (not waiting or dice.random() < 0.6):
            node = todo.pop()
            waiting.add(node)
            order.add(node)
        else:
            before = {n for n in waiting if free(n)}
            # Mostly the free ones go; a node that is given up goes whether it is free or not.
            node = dice.choice(sorted(before) if dice.random() < 0.8 else sorted(waiting))
            waiting.discard(node)
            removed.append(node)
            freed = order.remove(node)
            assert len(freed) == len(set(freed))
            assert set(freed) == {n for n in waiting if free(n)} - before
        for each in waiting:
            assert order.free(each) == free(each), each


def test_reverse_order_is_the_reverse_of_a_topological_order():
    plan = make_plan([step("a"), step("b", per="host"), step("c")], [host(n) for n in HOSTS], World())
    order = ReverseOrder(plan)
    for node in plan.by_id:
        order.add(node)
    seen, ready = [], [n for n in plan.by_id if order.free(n)]
    assert {n[0] for n in ready} == {"c"}
    while ready:
        seen.append(ready.pop())
        ready += order.remove(seen[-1])
    assert len(seen) == len(plan.nodes)
    place = {node: i for i, node in enumerate(seen)}
    assert all(place[after] < place[before] for after, wanted in needs(plan).items() for before in wanted)
