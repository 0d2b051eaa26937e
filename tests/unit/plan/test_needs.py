"""Which node waits for which: against a definition that is too slow to be wrong."""

from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsflow.model import LOCALHOST

SIX = {f"{z}{i}": {"zone": z, "rack": i} for z, i in product("ab", range(3))}


def step(name, rest="", *, hosts="all"):
    return f'[[step]]\nid = "{name}"\ntask = "command"\nhosts = "{hosts}"\n{rest}\nwith = {{ run = "true" }}\n'


def needs(plan):
    return {n.id: set(plan.needs_of(n.id)) for n in plan.nodes}


def test_all_waits_for_every_host(maker):
    plan = maker.compile(step("one") + step("two"), SIX)
    assert needs(plan)["two@a0"] == {f"one@{h}" for h in SIX}


def test_host_waits_for_its_own(maker):
    plan = maker.compile(step("one") + step("two", 'per = "host"'), SIX)
    assert needs(plan)["two@a0"] == {"one@a0"}


def test_a_variable_waits_for_its_value_on_other_hosts(maker):
    plan = maker.compile(step("one", hosts="a0,b0") + step("two", 'per = "zone"', hosts="all,!a0,!b0"), SIX)
    assert needs(plan)["two@a2"] == {"one@a0"}
    assert needs(plan)["two@b1"] == {"one@b0"}


def test_a_list_belongs_to_each_of_its_values(maker):
    hosts = {"a": {"s": "a"}, "b": {"s": "b"}, "ab": {"s": ["a", "b"]}, "c": {"s": "c"}}
    plan = maker.compile(step("one") + step("two", 'per = "s"'), hosts)
    assert needs(plan)["two@a"] == {"one@a", "one@ab"}
    assert needs(plan)["two@ab"] == {"one@a", "one@b", "one@ab"}
    assert needs(plan)["two@c"] == {"one@c"}


def test_step_variables_come_before_host_variables(maker):
    plan = maker.compile(
        step("one", 'vars = { zone = "x" }', hosts="a0") + step("two", 'per = "zone"\nvars = { zone = "x" }'), SIX
    )
    assert needs(plan)["two@b0"] == {"one@a0"}


def test_one_need_can_set_its_own(maker):
    two = step("two", 'per = "host"\nneeds = ["one", { step = "zero", per = "zone" }]')
    plan = maker.compile(step("zero") + step("one", "needs = []") + two, SIX)
    assert needs(plan)["two@a1"] == {"one@a1", "zero@a0", "zero@a1", "zero@a2"}


def test_run_once_and_localhost_match_everyone(maker):
    for once in (step("one", "run_once = true", hosts="b2"), step("one", hosts="localhost")):
        for per in ("host", "zone", "all"):
            plan = maker.compile(once + step("two", f'per = "{per}"') + step("three", f'per = "{per}"'), SIX)
            assert all(len(needs(plan)[f"two@{h}"]) == 1 for h in SIX)
    for once in (step("two", 'per = "host"\nrun_once = true'), step("two", 'per = "host"', hosts="localhost")):
        plan = maker.compile(step("one") + once, SIX)
        assert needs(plan)[plan.by_step["two"][0].id] == {f"one@{h}" for h in SIX}


def test_one_node_per_value_stands_for_its_siblings(maker):
    plan = maker.compile(step("one", 'run_once = "zone"') + step("two", 'per = "host"'), SIX)
    assert needs(plan)["two@a2"] == {"one@a0"}
    assert needs(plan)["two@b2"] == {"one@b0"}
    plan = maker.compile(step("one") + step("two", 'run_once = "zone"\nper = "host"'), SIX)
    assert needs(plan)["two@b0"] == {"one@b0", "one@b1", "one@b2"}


def test_a_need_that_matches_nothing_is_an_error_that_names_hosts(maker):
    [(line, message, hint)] = maker.problems(
        step("one", hosts="a0,b0") + step("two", 'needs = ["one"]\nper = "host"'), SIX
    )
    assert line == 11
    assert message == "step 'two' needs 'one' on the same host, which matches nothing for a1, a2, b1 and 1 more"
    assert "optional = true" in hint


def test_a_value_that_matches_nothing_is_an_error(maker):
    [(_, message, _)] = maker.problems(step("one", hosts="a0") + step("two", 'per = "zone"', hosts="a1,b1"), SIX)
    assert message == "step 'two' needs 'one' with the same 'zone', which matches nothing for b1"


def test_an_optional_need_may_match_nothing(maker):
    two = step("two", 'needs = [{ step = "one", per = "host", optional = true }]')
    plan = maker.compile(step("one", hosts="a0") + two, SIX)
    assert needs(plan)["two@a0"] == {"one@a0"}
    assert needs(plan)["two@b0"] == set()


def test_a_barrier_costs_the_sum_of_its_sides_not_their_product(maker):
    many = {f"h{i:04}": {"zone": str(i % 7)} for i in range(500)}
    plan = maker.compile(step("one") + step("two"), many)
    assert (len(plan.edges), len(plan.joins)) == (1000, 1)
    assert len(needs(plan)["two@h0000"]) == 500
    plan = maker.compile(step("one") + step("two", 'per = "zone"'), many)
    assert (len(plan.edges), len(plan.joins)) == (1000, 7)
    plan = maker.compile(step("one") + step("two", 'per = "host"'), many)
    assert (len(plan.edges), len(plan.joins)) == (500, 0)


def test_few_nodes_are_joined_directly(maker):
    plan = maker.compile(step("one", hosts="a0,a1") + step("two", hosts="b0,b1"), SIX)
    assert (len(plan.edges), len(plan.joins)) == (4, 0)
    plan = maker.compile(step("one", hosts="a0") + step("two"), SIX)
    assert (len(plan.edges), len(plan.joins)) == (6, 0)


def test_ten_thousand_hosts_and_five_steps_cost_edges_in_proportion(maker):
    many = {f"h{i:05}": {"shard": f"s{i % 400}"} for i in range(10_000)}
    for per, most in (("all", 80_000), ("host", 40_000), ("shard", 80_000)):
        plan = maker.compile("".join(step(f"s{k}", f'per = "{per}"') for k in range(5)), many)
        assert len(plan.nodes) == 50_000
        assert len(plan.edges) <= most
        assert len(plan.joins) <= 1600


def test_only_barriers_are_marked_as_such(maker):
    plan = maker.compile(step("one") + step("two") + step("three", 'per = "host"') + step("four", 'per = "zone"'), SIX)
    vertices = [v.id for v in (*plan.nodes, *plan.joins)]
    barriers = {(vertices[e.before].split("@")[0], vertices[e.after].split("@")[0]) for e in plan.edges if e.barrier}
    assert barriers == {("one", "join 1 before two"), ("join 1 before two", "two")}


# Against the definition

PERS = st.sampled_from([None, "all", "host", "zone", "rack"])
VALUES = st.sampled_from(["x", "y", ["x", "y"], 1, "1", [1], True])


@st.composite
def fleets(draw):
    names = [f"h{i}" for i in range(draw(st.integers(1, 6)))]
    return {name: {"zone": draw(VALUES), "rack": draw(VALUES)} for name in names}


@st.composite
def procedures(draw, names):
    """(id, hosts, run_once, per, [(need, per)]) each."""
    found = []
    for i in range(draw(st.integers(1, 5))):
        hosts = draw(
            st.one_of(
                st.just([*names]), st.just([LOCALHOST]), st.lists(st.sampled_from(names), min_size=1, unique=True)
            )
        )
        once = draw(st.sampled_from([False, False, False, True, "zone", "rack"])) if hosts != [LOCALHOST] else False
        earlier = [s[0] for s in found]
        wanted = draw(st.lists(st.tuples(st.sampled_from(earlier), PERS), max_size=3)) if earlier else []
        found.append((f"s{i}", hosts, once, draw(PERS) or "all", wanted))
    return found


def text_of(procedure):
    text = ""
    for name, hosts, once, per, wanted in procedure:
        listed = [
            f'{{ step = "{n}", optional = true, per = "{p}" }}' if p else f'{{ step = "{n}", optional = true }}'
            for n, p in wanted
        ]
        rest = f'needs = [{", ".join(listed)}]\nper = "{per}"\n'
        if once:
            rest += "run_once = true\n" if once is True else f'run_once = "{once}"\n'
        text += step(name, rest, hosts=",".join(hosts))
    return text


def placed(procedure, fleet):
    """Hosts of each step, in inventory order, by the words of the contract."""
    found = {}
    for name, hosts, once, _, _ in procedure:
        ordered = [h for h in [*fleet, LOCALHOST] if h in hosts]
        if once is True:
            ordered = ordered[:1]
        elif once:
            first = {}
            for h in ordered:
                for v in as_list(fleet[h][once]):
                    first.setdefault(key(v), h)
            ordered = [h for h in ordered if h in first.values()]
        found[name] = ordered
    return found


def as_list(value):
    return value if isinstance(value, list) else [value]


def key(value):
    return (type(value), value)


def must_wait(mine, its, per, fleet, once, its_once):
    """Whether a node on `mine` waits for the needed step's node on `its`."""
    if per == "all" or LOCALHOST in {mine, its} or True in {once, its_once}:
        return True
    if per == "host":
        by = next((o for o in (its_once, once) if isinstance(o, str)), None)
        if by is None:
            return mine == its
        per = by
    return bool({key(v) for v in as_list(fleet[mine][per])} & {key(v) for v in as_list(fleet[its][per])})


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_needs_are_what_the_contract_says(maker, data):
    fleet = data.draw(fleets())
    procedure = data.draw(procedures(list(fleet)))
    plan = maker.compile(text_of(procedure), fleet)
    hosts = placed(procedure, fleet)
    once = {s[0]: s[2] for s in procedure}
    assert {n: [x.host for x in plan.by_step[n]] for n in hosts} == hosts
    for name, _, _, own, wanted in procedure:
        for mine in hosts[name]:
            expected = {
                f"{need}@{its}"
                for need, per in wanted
                for its in hosts[need]
                if must_wait(mine, its, per or own, fleet, once[name], once[need])
            }
            assert set(plan.needs_of(f"{name}@{mine}")) == expected
    position = [n.id for n in plan.nodes].index
    for node in plan.nodes:
        found = plan.needs_of(node.id)
        assert list(found) == sorted(set(found), key=position)


@pytest.mark.parametrize("same", [["x"], "x"])
def test_a_list_of_one_is_its_value(maker, same):
    plan = maker.compile(
        step("one", hosts="a") + step("two", 'per = "s"', hosts="b"), {"a": {"s": "x"}, "b": {"s": same}}
    )
    assert needs(plan)["two@b"] == {"one@a"}
