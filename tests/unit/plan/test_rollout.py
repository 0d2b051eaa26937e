"""`[rollout]`: units, their batches, and what the needs of steps mean in them."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsflow.model import LOCALHOST
from opsflow.plan import Plan, Selection, contracted, selected

SHARDS = {
    "g1": {"shard": "a"}, "g2": {"shard": "b"}, "g3": {"shard": "c"}, "g4": {"shard": "d"},
    "db1": {"shard": ["a", "b"]}, "db2": {"shard": "c"}, "db3": {"shard": "d"}, "lb": {},
}  # fmt: skip
WEBS = {f"w{n}": {} for n in range(1, 9)}


def rollout(by="shard", batches="[1]", rest=""):
    return f'[rollout]\nby = "{by}"\nbatches = {batches}\n{rest}\n'


def step(name, rest="", *, hosts="all"):
    return f'[[step]]\nid = "{name}"\ntask = "command"\nhosts = "{hosts}"\n{rest}\nwith = {{ run = "true" }}\n'


def units(plan):
    return [list(units) for units in plan.batches.units]


def needs(plan):
    return {n.id: set(plan.needs_of(n.id)) for n in plan.nodes}


def by_host(maker, batches, rest="", **more):
    return maker.compile(rollout("host", batches, f'hosts = "w*"\n{rest}') + step("one", hosts="w*"), WEBS, **more)


def test_by_host_each_host_that_the_pattern_names_is_a_unit(maker):
    plan = maker.compile(rollout("host", "[3]", 'hosts = "w1,w2,w5,w7"') + step("one"), WEBS)
    assert units(plan) == [["w1", "w2", "w5"], ["w7"]]
    assert plan.by_id["one@w3"].unit == ""


def test_a_percentage_is_of_all_units_and_rounded_up_and_the_last_size_repeats(maker):
    assert [len(batch) for batch in units(by_host(maker, '[1, "30%"]'))] == [1, 3, 3, 1]
    assert [len(batch) for batch in units(by_host(maker, '["1%", 2]'))] == [1, 2, 2, 2, 1]
    assert [len(batch) for batch in units(by_host(maker, '["100%"]'))] == [8]


def test_units_come_in_the_order_of_the_inventory(maker):
    plan = maker.compile(rollout() + step("one", hosts="db3,db2") + step("two", hosts="g*"), {
        "g3": {"shard": "c"}, "db2": {"shard": "c"}, "g4": {"shard": "d"}, "db3": {"shard": "d"},
    })  # fmt: skip
    assert units(plan) == [["c"], ["d"]]


@pytest.mark.parametrize(("share", "number"), [("0", 0), ("2", 2), ('"25%"', 2), ('"24%"', 1), ('"100%"', 8)])
def test_of_failures_a_percentage_is_rounded_down(maker, share, number):
    assert by_host(maker, "[1]", f"max_failures = {share}").batches.max_failures == number


def test_units_that_a_host_shares_are_one(maker):
    plan = maker.compile(rollout() + step("one", hosts="g*,db*"), SHARDS)
    assert units(plan) == [["a + b"], ["c"], ["d"]]
    assert {plan.by_id[f"one@{host}"].unit for host in ("g1", "g2", "db1")} == {"a + b"}


def test_a_steps_own_variable_says_to_which_unit_its_nodes_belong(maker):
    plan = maker.compile(
        rollout() + step("one", hosts="g*") + step("two", 'vars = { shard = "d" }', hosts="lb"), SHARDS
    )
    assert plan.batch_of["two@lb"] == plan.batch_of["one@g4"]


def test_localhost_what_runs_once_and_what_runs_at_the_end_are_not_rolled(maker):
    steps = step("first", hosts="localhost") + step("once", "run_once = true", hosts="g*")
    plan = maker.compile(
        rollout() + steps + step("one", hosts="g*") + step("last", "finally = true", hosts="g*"), SHARDS
    )
    assert {n.step for n in plan.nodes if n.unit} == {"one"}


def test_all_means_all_of_the_batch(maker):
    plan = maker.compile(rollout(batches="[2]") + step("one", hosts="g*") + step("two", hosts="g*"), SHARDS)
    assert units(plan) == [["a", "b"], ["c", "d"]]
    assert needs(plan)["two@g1"] == {"one@g1", "one@g2"}
    assert needs(plan)["two@g4"] == {"one@g3", "one@g4"}


def test_what_is_not_rolled_comes_before_or_after_all_batches(maker):
    steps = step("open", hosts="lb") + step("one", hosts="g*") + step("close", hosts="lb")
    plan = maker.compile(rollout() + steps, SHARDS)
    assert needs(plan)["one@g3"] == {"open@lb"}
    assert needs(plan)["close@lb"] == {f"one@g{n}" for n in range(1, 5)}


def test_a_step_that_is_rolled_on_some_hosts_only_waits_for_the_others_in_every_batch(maker):
    steps = step("one", hosts="g*,lb") + step("two", hosts="g*")
    plan = maker.compile(rollout() + steps, SHARDS)
    assert needs(plan)["two@g2"] == {"one@g2", "one@lb"}


def test_what_is_not_rolled_and_needs_rolled_steps_that_need_it_is_an_error(maker):
    steps = step("one", hosts="g*") + step("between", hosts="lb") + step("two", hosts="g*")
    ((line, message, hint),) = maker.problems(rollout() + steps, SHARDS)
    assert line == 11
    assert message == "step 'between' is not rolled on lb, and is between 'one' and 'two', which are"
    assert 'pause = "approve"' in hint


def test_also_if_several_steps_that_are_not_rolled_are_between(maker):
    steps = step("one", hosts="g*") + step("x", hosts="lb") + step("y", hosts="localhost") + step("two", hosts="g*")
    assert {message.split("'")[1] for _, message, _ in maker.problems(rollout() + steps, SHARDS)} == {"x", "y"}


def test_a_need_that_matches_nothing_of_its_batch_is_an_error_unless_it_is_optional(maker):
    one = step("one", hosts="g1")
    ((_, message, hint),) = maker.problems(rollout() + one + step("two", hosts="g*"), SHARDS)
    assert message == "step 'two' needs 'one' in the same batch, which matches nothing for g2, g3, g4"
    assert "optional = true" in hint
    two = step("two", 'needs = [{ step = "one", optional = true }]', hosts="g*")
    assert needs(maker.compile(rollout() + one + two, SHARDS))["two@g2"] == set()


def test_a_need_of_something_in_a_later_batch_is_an_error(maker):
    hosts = {"x": {"shard": "a", "rack": 1}, "y": {"shard": "b", "rack": 1}}
    two = step("two", 'per = "rack"', hosts="x")
    ((_, message, _),) = maker.problems(rollout() + step("one", hosts="y") + two, hosts)
    assert message == "two@x is in batch 1 and needs one@y, which is in batch 2"
    one = step("one", hosts="x")
    assert needs(maker.compile(rollout() + one + step("two", 'per = "rack"', hosts="y"), hosts))["two@y"] == {"one@x"}


def test_a_rollout_by_which_nothing_is_rolled_is_an_error(maker):
    ((line, message, _),) = maker.problems(rollout("zone") + step("one", hosts="g*"), SHARDS)
    assert (line, message) == (2, "rollout: no host of the steps has the variable 'zone': nothing would be rolled")
    ((line, message, _),) = maker.problems(rollout("host", rest='hosts = "g1"') + step("one", hosts="db*"), SHARDS)
    assert (line, message) == (4, "rollout: no step runs on a host of 'g1': nothing would be rolled")
    ((line, message, hint),) = maker.problems(rollout("host", rest='hosts = "gg1"') + step("one", hosts="g*"), SHARDS)
    assert (line, "gg1" in message, "g1" in hint) == (4, True, True)


def test_a_value_that_cannot_be_had_is_told_at_the_key(maker):
    hosts = {"x": {"shard": {"no": "value"}}, "y": {"shard": "b"}}
    found = maker.problems(rollout() + step("one", 'rollback_scope = "host"'), hosts)
    assert [(line, "plain value" in message) for line, message, _ in found] == [(2, True)]


def test_what_is_put_back_together_is_a_unit_unless_something_else_is_said(maker):
    said = step("two", 'rollback_scope = "run"', hosts="g*")
    plan = maker.compile(rollout() + step("one", hosts="g*") + said + step("end", hosts="lb"), SHARDS)
    assert {s.id: s.rollback_scope for s in plan.playbook.steps} == {"one": "shard", "two": "run", "end": "shard"}


def test_with_approval_a_gate_stands_before_each_batch_but_the_first(maker):
    plan = by_host(maker, "[1, 4]", 'pause = "approve"')
    assert plan.batches.gates == (f"batch/2@{LOCALHOST}", f"batch/3@{LOCALHOST}")
    assert plan.steps["batch/3"].params == {"message": "go on with batch 3 of 3: w6, w7, w8"}
    assert plan.task_of(plan.batches.gates[0]).gate


def test_names_that_look_like_templates_are_not_in_the_question(maker):
    hosts = {"x": {"shard": "a"}, "y": {"shard": "{% raw %}{{ now }}{% endraw %}"}}
    plan = maker.compile(rollout(rest='pause = "approve"') + step("one"), hosts)
    assert plan.steps["batch/2"].params == {"message": "go on with batch 2 of 2"}


def test_the_batches_survive_the_journal(maker):
    plan = by_host(maker, "[1, 4]", 'pause = "5s"')
    found = Plan.from_json(plan.to_json())
    assert (found, found.batch_of, found.batches.pause) == (plan, plan.batch_of, 5.0)


def test_later_batches_come_after_earlier_ones_in_the_order_of_reverts(maker):
    plan = maker.compile(rollout(batches="[2]") + step("one", hosts="g*") + step("two", hosts="g*"), SHARDS)
    assert max(plan.turns[node] for node in plan.by_batch[0]) < min(plan.turns[node] for node in plan.by_batch[1])


def test_units_that_are_in_a_batch_stay_there_and_new_ones_come_behind(maker):
    old = by_host(maker, '[1, "30%"]')
    hosts = {"w0": {}, **{name: {} for name in reversed(WEBS)}, "w9": {}}
    text = rollout("host", '[1, "30%"]', 'hosts = "w*"') + step("one", hosts="w*")
    now = maker.compile(text, hosts, earlier=old)
    assert now.batches.numbers.items() >= old.batches.numbers.items()
    assert units(now)[len(units(old)) :] == [["w0", "w9"]]


def test_other_sizes_divide_anew(maker):
    old = by_host(maker, "[1]")
    text = rollout("host", "[1, 7]", 'hosts = "w*"') + step("one", hosts="w*")
    assert [len(batch) for batch in units(maker.compile(text, WEBS, earlier=old))] == [1, 7]


def test_which_batch_a_unit_is_in_decides_what_the_run_does(maker):
    plan, other = by_host(maker, "[1]"), by_host(maker, "[2]")
    assert plan.fingerprint == by_host(maker, "[1]").fingerprint
    assert plan.fingerprint != other.fingerprint
    turned = {name: {} for name in reversed(WEBS)}
    text = rollout("host", "[1]", 'hosts = "w*"\n') + step("one", hosts="w*")
    assert maker.compile(text, turned).fingerprint != plan.fingerprint


def test_without_a_rollout_plans_are_as_they_were(maker):
    plan = maker.compile(step("one") + step("two"), WEBS)
    assert (plan.batches, plan.batch_of, plan.by_batch) == (None, {}, ())
    assert plan.order is plan.graph
    old = replace(plan, nodes=plan.nodes).to_json()
    del old["batches"], old["playbook"]["rollout"]
    for node in old["nodes"]:
        del node["unit"]
    assert Plan.from_json(old) == plan


values = st.one_of(st.none(), st.sampled_from("abcd"), st.lists(st.sampled_from("abcd"), min_size=1, max_size=2))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    shards=st.lists(values, min_size=1, max_size=7),
    sizes=st.lists(st.one_of(st.integers(1, 3), st.sampled_from(["10%", "50%"])), min_size=1, max_size=2),
    pers=st.lists(st.sampled_from(["all", "host"]), min_size=2, max_size=2),
)
def test_every_need_is_as_a_naive_reading_of_the_rules_has_it(maker, shards, sizes, pers):
    hosts = {f"h{n}": {"shard": shard} if shard else {} for n, shard in enumerate(shards)}
    if not any(shards):
        return
    text = "[rollout]\nby = 'shard'\nbatches = " + repr(sizes) + "\n"
    text += step("s0") + "".join(step(f"s{n}", f'per = "{per}"') for n, per in enumerate(pers, 1))
    if not all(shards) and pers == ["all", "all"]:
        assert all("is not rolled" in message for _, message, _ in maker.problems(text, hosts))
        return
    plan = maker.compile(text, hosts)
    batch = {h: plan.batch_of.get(f"s0@{h}", 0) for h in hosts}
    for h, shard in zip(hosts, shards, strict=True):
        assert bool(batch[h]) == bool(shard)
        assert all(
            batch[h] == batch[o] for o, other in zip(hosts, shards, strict=True) if set(shard or ()) & set(other or ())
        )
    for n, per in enumerate(pers, 1):
        for h in hosts:
            all_of_it = {o for o in hosts if batch[o] in {0, batch[h]} or not batch[h]}
            wanted = {h} if per == "host" else all_of_it
            assert needs(plan)[f"s{n}@{h}"] == {f"s{n - 1}@{o}" for o in wanted}


def part(maker, plan, hosts, **selection):
    return contracted(plan, maker.inventory(hosts), Selection(**selection))


def test_of_a_selection_only_what_stays_is_rolled_in_the_order_that_it_had(maker):
    whole = by_host(maker, "[1, 3]", 'max_failures = "50%"\npause = "approve"')
    plan = part(maker, whole, WEBS, limit="w1,w6,w7,w8")
    assert units(plan) == [["w1"], ["w6", "w7"], ["w8"]]
    assert plan.batches.max_failures == 2
    assert plan.batches.gates == ("batch/2@localhost", "batch/3@localhost")
    assert plan.steps["batch/2"].params == {"message": "go on with batch 2 of 3: w6, w7"}
    assert set(plan.left_out) == {f"one@w{n}" for n in range(2, 6)}
    alone = part(maker, whole, WEBS, limit="w8")
    assert (units(alone), alone.batches.gates, set(alone.steps)) == ([["w8"]], (), {"one"})


def test_tags_take_no_approval_between_batches_away(maker):
    text = rollout(rest='pause = "approve"') + step("one", 'tags = ["x"]', hosts="g*") + step("two", hosts="g*")
    plan = part(maker, maker.compile(text, SHARDS), SHARDS, tags=("x",))
    assert set(plan.steps) == {"one", "batch/2", "batch/3", "batch/4"}
    assert len(plan.batches.gates) == 3


def test_where_nothing_that_is_rolled_is_selected_there_are_no_batches(maker):
    text = rollout() + step("one", hosts="g*") + step("close", 'tags = ["x"]', hosts="lb")
    plan = part(maker, maker.compile(text, SHARDS), SHARDS, tags=("x",))
    assert (plan.batches, [n.id for n in plan.nodes]) == (None, ["close@lb"])


def test_an_item_can_say_to_which_unit_a_node_belongs(maker):
    drain = step("drain", 'foreach = ["a", "b"]\nper = "shard"\nvars = { shard = "{{ item }}" }', hosts="lb")
    stop = step("stop", 'per = "shard"', hosts="g1,g2")
    plan = maker.compile(rollout() + drain + stop, SHARDS)
    assert units(plan) == [["a"], ["b"]]
    assert {n.id: plan.batch_of[n.id] for n in plan.nodes} == {
        "drain[a]@lb": 1, "drain[b]@lb": 2, "stop@g1": 1, "stop@g2": 2,
    }  # fmt: skip
    assert needs(plan)["stop@g2"] == {"drain[b]@lb"}


def test_what_is_done_elsewhere_is_rolled_with_the_host_for_which_it_is(maker):
    text = rollout("host", "[1]", 'hosts = "g1,g2"') + step("drain", 'on = "lb"', hosts="g1,g2")
    plan = maker.compile(text, SHARDS)
    assert [(n.at, plan.batch_of[n.id]) for n in plan.nodes] == [("lb", 1), ("lb", 2)]


def test_a_part_of_the_fleet_is_divided_anew_so_that_the_canary_is_as_small_as_it_is_to_be(maker):
    text = (
        rollout("host", '[1, "50%"]', 'hosts = "w*"\npause = "approve"')
        + step("one", hosts="w*")
        + step("two", hosts="w*")
    )
    plan = selected(
        lambda earlier: maker.compile(text, WEBS, earlier=earlier),
        maker.inventory(WEBS),
        Selection(limit="w2,w3,w4,w7"),
    )
    assert units(plan) == [["w2"], ["w3", "w4"], ["w7"]]
    assert plan.steps["batch/2"].params == {"message": "go on with batch 2 of 3: w3, w4"}
    assert needs(plan)["two@w2"] == {"one@w2"}
    assert needs(plan)["two@w3"] == {"one@w3", "one@w4"}
    assert len(plan.left_out) == 8


def test_unless_a_need_leads_from_one_of_its_batches_back_to_an_earlier_one(maker):
    hosts = {"x": {"shard": "x", "rack": 1}, "y": {"shard": "y", "rack": 1}, "z": {"shard": "z", "rack": 1}}
    two = step("two", 'per = "rack"', hosts="x,y")
    text = rollout(batches="[1, 2]") + step("one", hosts="x") + two
    make = lambda earlier: maker.compile(text, {n: hosts[n] for n in "xyz"}, earlier=earlier)  # noqa: E731
    assert units(selected(make, maker.inventory(hosts), Selection(limit="y"))) == [["y"]]
