"""`--limit` and `--tags`: the graph is contracted, and what was left out is known."""

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsflow.engine.graph import Spread
from opsflow.errors import InputError
from opsflow.plan import ALL, Plan, Selection, contracted

HOSTS = {"a1": {"shard": "a"}, "a2": {"shard": "a"}, "b1": {"shard": "b"}}
GROUPS = {"a": ["a1", "a2"], "b": ["b1"]}


def play(*steps, head=""):
    """A playbook of steps: an id, and more lines."""
    text = head
    for id_, more in steps:
        text += f'[[step]]\nid = "{id_}"\ntask = "command"\n{more}\n'
        text += "" if "hosts" in more else 'hosts = "all"\n'
        text += "" if "with" in more else f'with = {{ run = "echo {id_}" }}\n'
    return text


@pytest.fixture
def contract(maker):
    def make(text, hosts=HOSTS, groups=GROUPS, **selection):
        plan = maker.compile(text, hosts, groups=groups)
        return contracted(plan, maker.inventory(hosts, groups), Selection(**selection))

    return make


@pytest.fixture
def refused(contract):
    def make(*args, **selection):
        with pytest.raises(InputError) as caught:
            contract(*args, **selection)
        return [(p.position.line if p.position else None, p.message, p.hint) for p in caught.value.problems]

    return make


def needs(plan):
    return {node.id: set(plan.needs_of(node.id)) for node in plan.nodes}


TAGGED = play(("one", 'tags = ["x"]'), ("two", 'tags = ["y"]'), ("three", 'tags = ["x", "z"]'))


def test_what_needs_a_step_that_is_left_out_inherits_what_that_needs(contract):
    plan = contract(TAGGED, skip_tags=("y",))
    ones = {"one@a1", "one@a2", "one@b1"}
    assert needs(plan) == {one: set() for one in ones} | dict.fromkeys(["three@a1", "three@a2", "three@b1"], ones)
    assert plan.left_out == ("two@a1", "two@a2", "two@b1")
    assert list(plan.steps) == ["one", "three"]


def test_only_steps_with_one_of_the_tags_stay(contract):
    assert list(contract(TAGGED, tags=("x",)).steps) == ["one", "three"]
    assert list(contract(TAGGED, tags=("y", "z")).steps) == ["two", "three"]
    assert list(contract(TAGGED, tags=("x",), skip_tags=("z",)).steps) == ["one"]


def test_a_limit_leaves_the_nodes_of_its_hosts_and_nothing_else_is_held(contract):
    plan = contract(TAGGED, limit="a,!a2")
    assert [node.id for node in plan.nodes] == ["one@a1", "two@a1", "three@a1"]
    assert list(plan.hosts) == ["a1"]
    assert needs(plan) == {"one@a1": set(), "two@a1": {"one@a1"}, "three@a1": {"two@a1"}}


def test_what_runs_on_the_control_machine_stays_whatever_the_limit_is(contract):
    text = play(("one", ""), ("ask", 'hosts = "localhost"'), ("two", ""))
    plan = contract(text, limit="b1")
    assert needs(plan) == {"one@b1": set(), "ask@localhost": {"one@b1"}, "two@b1": {"ask@localhost"}}


def test_a_need_goes_through_hosts_that_are_left_out(contract):
    """The databases' step stays on its host, and what came between ran elsewhere."""
    text = play(("stop", 'hosts = "a"'), ("backup", 'hosts = "b"'), ("start", 'hosts = "a"'))
    plan = contract(text, limit="a1")
    assert needs(plan) == {"stop@a1": set(), "start@a1": {"stop@a1"}}


def test_nothing_selected_or_everything_is_the_plan_itself(contract):
    whole = contract(TAGGED)
    assert whole.left_out == ()
    assert contract(TAGGED, limit="all") == whole
    assert not ALL


def test_another_selection_is_another_run(contract):
    prints = {contract(TAGGED, **how).fingerprint for how in ({}, {"limit": "a1"}, {"tags": ("x",)})}
    assert len(prints) == 3


def test_a_contracted_plan_survives_its_json(contract):
    plan = contract(TAGGED, limit="a")
    assert Plan.from_json(plan.to_json()) == plan


def test_a_need_that_only_the_limit_unmatches_is_no_error(contract):
    text = play(("one", 'hosts = "a"'), ("two", 'needs = [{ step = "one", per = "shard", optional = true }]'))
    plan = contract(text, limit="b1")
    assert needs(plan) == {"two@b1": set()}


USES = 'with = { run = "use {{ outputs.one.stdout }}" }'


def test_outputs_of_what_is_left_out_are_missed_with_their_place(refused):
    text = play(("one", 'tags = ["x"]'), ("two", f'tags = ["y"]\n{USES}'))
    message = "step 'two': on a1, a2, b1 it mentions step 'one', of which --tags y leaves out one@a1, one@a2, one@b1"
    assert refused(text, tags=("y",)) == [(11, message, "select both, or neither")]


def test_outputs_of_the_same_host_stay_with_it(contract):
    plan = contract(play(("one", ""), ("two", USES)), limit="a1")
    assert [node.id for node in plan.nodes] == ["one@a1", "two@a1"]


def test_outputs_from_another_host_are_not_taken_from_the_one_that_is_left(refused):
    """The databases' step of two shards: without its own, a host of shard b must not get that of shard a."""
    hosts = {"db-a": {"shard": "a"}, "db-b": {"shard": "b"}, "web": {"shard": "b"}}
    text = play(("one", 'hosts = "db-*"'), ("two", f'hosts = "web"\nper = "shard"\n{USES}'))
    ((_, message, _),) = refused(text, hosts, {}, limit="web,db-a")
    assert message == "step 'two': on web it mentions step 'one', of which --limit web,db-a leaves out one@db-b"


def test_what_runs_at_the_end_may_speak_of_what_is_left(contract, refused):
    last = ("last", 'hosts = "localhost"\nfinally = true\nwith = { run = "say {{ steps.one.state }}" }\ntags = ["z"]')
    assert "last@localhost" in contract(play(("one", ""), last), limit="a1").by_id
    ((_, message, _),) = refused(play(("one", ""), ("two", 'tags = ["z"]'), last), tags=("z",))
    assert message == "step 'last': on localhost it mentions step 'one', of which --tags z leaves out one@a1"


def test_a_tag_that_no_step_has(refused):
    assert refused(TAGGED, tags=("w",)) == [(None, "no step has the tag 'w'", "tags are: x, y, z")]


def test_a_limit_that_names_nobody(refused):
    assert [message for _, message, _ in refused(TAGGED, limit="a3")] == ["there is no host or group `a3`"]
    text = play(("one", 'hosts = "a"'), ("ask", 'hosts = "localhost"'))
    assert refused(text, limit="b1") == [
        (None, "--limit b1 leaves no node on any host", "the steps run on a1, a2, localhost")
    ]


def test_a_failure_spreads_through_what_is_left_out(contract):
    """Through a barrier only to the same host's node, where the waiting step runs on that host."""
    plan = contract(play(("one", ""), ("two", 'tags = ["y"]'), ("three", "")), skip_tags=("y",))
    assert Spread(plan).dependants(["one@a1"]) == ["three@a1"]
    text = play(("one", 'hosts = "a"'), ("two", 'hosts = "a"\ntags = ["y"]\nper = "host"'), ("three", 'hosts = "b"'))
    assert Spread(contract(text, skip_tags=("y",))).dependants(["one@a1"]) == ["three@b1"]


# Against a naive reading

STEPS = ("s0", "s1", "s2", "s3", "s4")


@st.composite
def books(draw):
    """A playbook of a few steps that need one another in some way, and the steps and hosts that are wanted."""
    steps = []
    for number, name in enumerate(STEPS):
        before = draw(st.lists(st.sampled_from(STEPS[:number]), unique=True, max_size=3)) if number else []
        per = draw(st.sampled_from(["all", "host", "shard"]))
        needed = ", ".join(f'{{ step = "{one}", per = "{per}", optional = true }}' for one in before)
        hosts = draw(st.sampled_from(["all", "a", "b", "a1", "localhost"]))
        once = draw(st.sampled_from(["", "run_once = true\n"]))
        wanted = "w" if draw(st.booleans()) else "u"
        steps.append((name, f'hosts = "{hosts}"\n{once}needs = [{needed}]\ntags = ["{wanted}"]'))
    steps.append(("last", 'hosts = "all"\nneeds = []\ntags = ["w", "u"]'))
    return play(*steps), draw(st.sampled_from(["", "a", "b1", "a1,b1", "!a2"])), draw(st.sampled_from([(), ("w",)]))


@given(book=books())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_stays_comes_in_the_same_order(maker, book):
    text, limit, tags = book
    whole = maker.compile(text, HOSTS, groups=GROUPS)
    part = contracted(whole, maker.inventory(HOSTS, GROUPS), Selection(limit=limit, tags=tags))
    kept = set(part.by_id)
    assert kept | set(part.left_out) == set(whole.by_id)
    assert not kept & set(part.left_out)
    for node in kept:
        assert nx.descendants(part.graph, node) & kept == nx.descendants(whole.graph, node) & kept
    joins = {join.id for join in part.joins}
    for join in joins:
        after = set(part.graph.successors(join))
        assert after
        assert len({part.by_id[node].step for node in after}) == 1
    if not part.left_out:
        assert part == whole
