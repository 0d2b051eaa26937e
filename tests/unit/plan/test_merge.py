"""What becomes of a run's plan and of its nodes when its files say something else."""

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsflow.errors import InputError
from opsflow.plan import Plan, differences, merged, node_changes

HOSTS = {"a": {}, "b": {}, "c": {}}


def play(*steps, head=""):
    """A playbook of steps: an id, and more lines."""
    text = head
    for id_, more in steps:
        text += f'[[step]]\nid = "{id_}"\ntask = "command"\n{more}\n'
        text += "" if "hosts" in more else 'hosts = "all"\n'
        text += "" if "with" in more else f'with = {{ run = "echo {id_}" }}\n'
    return text


def linear(*ids):
    return play(*((id_, "") for id_ in ids))


def on(plan, *steps):
    """The nodes of some steps."""
    return [node.id for step in steps for node in plan.by_step[step]]


def paths(plan):
    """Which nodes come before which."""
    return {(a, b) for a in plan.by_id for b in nx.descendants(plan.graph, a) if b in plan.by_id}


@pytest.fixture
def merge(maker):
    def make(old, new, begun, hosts=HOSTS, later=HOSTS):
        """The old plan, the new one, and what they come to if all nodes of some steps have begun."""
        first, second = maker.compile(old, hosts), maker.compile(new, later)
        return first, second, merged(first, second, on(first, *begun))

    return make


def test_a_step_that_joins_waits_for_what_is_before_it_and_is_waited_for(merge):
    _, new, plan = merge(linear("one", "three"), linear("one", "two", "three"), ["one"])
    assert paths(plan) == paths(new)
    assert plan.retired == ()


def test_a_step_that_goes_stays_as_retired_and_nothing_waits_for_it(merge):
    old, new, plan = merge(linear("one", "two", "three"), linear("one", "three"), ["one"])
    assert plan.retired == tuple(on(old, "two"))
    assert plan.steps["two"] == old.steps["two"]
    assert plan.by_step["two"] == ()
    assert all(plan.graph.degree(node) == 0 for node in plan.retired)
    assert paths(plan) == paths(new)


def test_what_a_step_that_goes_has_done_stays_in_its_place_for_the_way_back(merge):
    old, new, plan = merge(linear("one", "two", "three"), linear("one", "three", "four"), ["one", "two", "three"])
    # What comes after `three` now comes after all that `three` came after.
    assert paths(plan) == paths(new) | paths(old) | {(a, b) for a in on(new, "three") for b in on(new, "four")} | {
        (a, b) for a in plan.retired for b in on(new, "four")
    }


def test_hosts_that_go_and_come(merge):
    later = {"a": {}, "b": {}, "d": {"new": 1}}
    _, _, plan = merge(linear("one", "two"), linear("one", "two"), ["one"], later=later)
    assert set(plan.retired) == {"one@c", "two@c"}
    assert set(plan.hosts) == {"a", "b", "c", "d"}
    assert set(plan.needs_of("two@a")) == {"one@a", "one@b", "one@d"}
    assert {node.id for node in plan.by_step["two"]} == {"two@a", "two@b", "two@d"}


def test_a_need_that_is_new_holds_for_what_has_not_begun(merge):
    graph = 'flow = "graph"\n'
    _, new, plan = merge(
        play(("one", ""), ("two", ""), ("three", ""), head=graph),
        play(("one", ""), ("two", 'needs = ["one"]'), ("three", 'needs = ["one"]'), head=graph),
        ["two"],
    )
    assert set(plan.needs_of("three@a")) == set(on(new, "one"))


def test_an_order_that_is_turned_round_under_what_has_begun_is_refused(merge):
    with pytest.raises(InputError, match=r"order of these steps has been turned round.*: (one, two|two, one)") as error:
        merge(linear("one", "two", "three"), linear("two", "one", "three"), ["one", "two"])
    assert "put their order back" in error.value.hint


def test_an_order_that_is_turned_round_before_it_begins_is_the_new_one(merge):
    _, new, plan = merge(linear("one", "two", "three"), linear("one", "three", "two"), ["one"])
    assert paths(plan) == paths(new)


def test_it_differs_in_nothing_from_what_its_files_say(merge):
    _, new, plan = merge(linear("one", "two"), linear("one", "three"), ["one", "two"], later={"a": {}, "b": {}})
    assert plan.fingerprint == new.fingerprint
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert differences(again, new) == ()
    changed = Plan.from_json(plan.to_json() | {"fingerprint": "of another version"})
    assert differences(changed, new) == ()


def test_what_was_retired_can_come_again(merge, maker):
    old, new, plan = merge(linear("one", "two"), linear("one"), ["one"])
    again = merged(plan, old, on(old, "one"))
    assert again.retired == ()
    assert paths(again) == paths(old)
    assert node_changes(plan, old).added == tuple(on(old, "two"))
    assert node_changes(plan, new) == node_changes(new, new)


STEPS = st.lists(
    st.tuples(
        st.sampled_from("uvwxyz"),
        st.sets(st.integers(0, 4), max_size=2),
        st.sampled_from(["all", "host"]),
        st.sampled_from(["all", "a", "b,c"]),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda step: step[0],
)


def _random(steps):
    found = []
    for index, (name, needs, per, hosts) in enumerate(steps):
        before = sorted({steps[n][0] for n in needs if n < index})
        needed = ", ".join(f'{{ step = "{b}", optional = true }}' for b in before)
        found.append((name, f'hosts = "{hosts}"\nper = "{per}"\nneeds = [{needed}]'))
    return play(*found, head='flow = "graph"\n')


@given(first=STEPS, second=STEPS, third=STEPS, data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_has_begun_keeps_its_order_and_what_has_not_follows_the_new_one(maker, first, second, third, data):
    plan = maker.compile(_random(first), HOSTS)
    begun: set[str] = set()
    for steps in (second, third):
        # What begins does so after all that it needs.
        for node in nx.topological_sort(plan.graph):
            if (
                node in plan.by_id
                and node not in plan.gone
                and begun.issuperset(plan.needs_of(node))
                and data.draw(st.booleans())
            ):
                begun.add(node)
        new = maker.compile(_random(steps), HOSTS)
        try:
            found = merged(plan, new, begun)
        except InputError:
            both = nx.DiGraph([*((a, b) for b in begun for a in plan.needs_of(b)), *paths(new)])
            assert not nx.is_directed_acyclic_graph(both)
            return
        assert nx.is_directed_acyclic_graph(found.graph)
        assert set(found.by_id) == set(plan.by_id) | set(new.by_id)
        assert len(found.edges) <= len(plan.edges) + len(new.edges)
        after = paths(found)
        assert {(a, b) for b in begun for a in plan.needs_of(b)} <= after
        assert paths(new) <= after
        for node in new.by_id:
            if node not in begun:
                assert set(found.needs_of(node)) == set(new.needs_of(node))
        plan = found


# Definitions


ONE = '[vars]\nx = "{{ y }}"\ny = 1\nz = 1\n' + play(("one", 'with = { run = "echo {{ x }}" }'), ("two", ""))


@pytest.mark.parametrize(
    ("old", "new", "differ"),
    [
        ('"echo {{ x }}"', '"echo  {{ x }}"', ["one"]),
        ("y = 1", "y = 2", ["one"]),
        ("z = 1", "z = 2", []),
        ('id = "two"', 'id = "two"\nneeds = []', []),
        ('id = "two"', 'id = "two"\ntimeout = "1m"', ["two"]),
    ],
)
def test_a_node_differs_if_what_it_is_made_of_does(maker, old, new, differ):
    before, after = maker.compile(ONE, HOSTS), maker.compile(ONE.replace(old, new), HOSTS)
    found = node_changes(before, after)
    assert found.differing == tuple(on(after, *differ))
    assert (found.added, found.removed) == ((), ())


def test_a_variable_of_a_host_that_a_step_means(maker):
    text = play(("one", 'with = { run = "echo {{ v }}" }'), ("two", ""))
    hosts = {"a": {"v": 1}, "b": {"v": 1}}
    found = node_changes(maker.compile(text, hosts), maker.compile(text, hosts | {"b": {"v": 2}}))
    assert found.differing == ("one@b",)


def test_a_local_file_that_a_step_names(maker, tmp_path):
    text = play(("one", 'with = { run = "true" }')) + (
        '[[step]]\nid = "deploy"\ntask = "deploy_app"\nhosts = "a"\nwith = { artifact = "x.tar", path = "/srv" }\n'
    )
    (tmp_path / "x.tar").write_text("1")
    before = maker.compile(text, HOSTS)
    (tmp_path / "x.tar").write_text("2")
    assert node_changes(before, maker.compile(text, HOSTS)).differing == ("deploy@a",)
