"""`foreach`: which nodes a step has, what their templates see, and what they wait for."""

import pytest

from opsflow.plan import Plan, Selection, contracted, differences, node_changes

TWO = {"a1": {}, "b1": {}}


def step(name, rest="", *, hosts="all", run="true"):
    return f'[[step]]\nid = "{name}"\ntask = "command"\nhosts = "{hosts}"\n{rest}\nwith = {{ run = "{run}" }}\n'


def ids(plan):
    return [node.id for node in plan.nodes]


# Nodes


def test_a_node_per_item_and_host(maker):
    plan = maker.compile(step("one", 'foreach = ["x", "y"]'), TWO)
    assert ids(plan) == ["one[x]@a1", "one[y]@a1", "one[x]@b1", "one[y]@b1"]
    assert [(n.step, n.host, n.key, n.item) for n in plan.nodes][1] == ("one", "a1", "y", "y")


def test_a_number_and_a_table_have_keys_too(maker):
    plan = maker.compile(step("one", 'foreach = [80, { key = "tls", port = 443 }]', hosts="a1"), TWO)
    assert [(n.key, n.item) for n in plan.nodes] == [("80", 80), ("tls", {"key": "tls", "port": 443})]


def test_a_template_yields_each_host_its_own_list(maker):
    hosts = {"a1": {"ports": [1, 2]}, "b1": {"ports": [2]}}
    plan = maker.compile(step("one", "foreach = '{{ ports }}'"), hosts)
    assert ids(plan) == ["one[1]@a1", "one[2]@a1", "one[2]@b1"]


def test_items_may_hold_templates_and_are_rendered_once(maker):
    text = step("one", "foreach = [{ key = '{{ host }}-x', raw = '{{ v }}' }]", hosts="a1")
    plan = maker.compile(text, {"a1": {"v": "{{ '{{' }} no }}"}})
    assert plan.nodes[0].id == "one[a1-x]@a1"
    assert plan.nodes[0].item["raw"] == "{{ no }}"


def test_where_the_list_is_empty_there_is_one_node_that_is_skipped(maker):
    """So what waits for the step still waits for what the step waits for."""
    hosts = {"a1": {"ports": []}, "b1": {"ports": [2]}}
    text = step("zero") + step("one", "foreach = '{{ ports }}'\nper = 'host'") + step("two", "per = 'host'")
    plan = maker.compile(text, hosts)
    assert ids(plan)[2:4] == ["one@a1", "one[2]@b1"]
    assert [n.idle for n in plan.nodes if n.step == "one"] == [True, False]
    assert plan.needs_of("two@a1") == ("one@a1",)
    assert plan.needs_of("one@a1") == ("zero@a1",)


def test_the_plan_that_is_stored_has_the_items(maker):
    plan = maker.compile(step("one", 'foreach = [{ key = "k", v = [1, 2.5, true] }]'), TWO)
    assert Plan.from_json(plan.to_json()).nodes == plan.nodes


def test_run_once_is_on_one_host_for_all_items(maker):
    plan = maker.compile(step("one", 'foreach = ["x", "y"]\nrun_once = true'), TWO)
    assert ids(plan) == ["one[x]@a1", "one[y]@a1"]


def test_run_once_takes_the_first_host_that_has_items(maker):
    hosts = {"a1": {"l": []}, "b1": {"l": ["x"]}}
    assert ids(maker.compile(step("one", "foreach = '{{ l }}'\nrun_once = true"), hosts)) == ["one[x]@b1"]
    hosts = {name: {**v, "s": "s"} for name, v in hosts.items()}
    assert ids(maker.compile(step("one", "foreach = '{{ l }}'\nrun_once = 's'"), hosts)) == ["one[x]@b1"]


def test_run_once_per_value_of_the_item(maker):
    """A migration once per database, however many hosts name it."""
    hosts = {"a1": {"dbs": ["x", "y"]}, "b1": {"dbs": ["y", "z"]}}
    plan = maker.compile(step("one", "foreach = '{{ dbs }}'\nrun_once = 'item'"), hosts)
    assert ids(plan) == ["one[x]@a1", "one[y]@a1", "one[z]@b1"]
    plan = maker.compile(step("one", "foreach = '{{ dbs }}'\nrun_once = 'db'\nvars = { db = '{{ item }}' }"), hosts)
    assert ids(plan) == ["one[x]@a1", "one[y]@a1", "one[z]@b1"]


# Templates


def test_parameters_see_the_item_and_are_checked_for_each(maker):
    text = step("one", 'foreach = ["x", { key = "y", what = 5 }]', run="{{ item.what }}")
    found = maker.problems(text, {"a1": {}})
    assert [line for line, _, _ in found] == [6, 6]
    assert any("'what'" in message for _, message, _ in found)
    assert any("`run`" in message or "run" in message for _, message, _ in found)


def test_the_condition_and_the_variables_of_the_step_see_the_item(maker):
    text = step("one", "foreach = ['x', 'y']\nwhen = \"v == 'x!'\"\nvars = { v = '{{ item }}!' }", run="{{ v }}")
    assert len(maker.compile(text, {"a1": {}}).nodes) == 2


def test_without_foreach_there_is_no_item(maker):
    [(line, message, _)] = maker.problems(step("one", run="{{ item }}"), {"a1": {}})
    assert line == 6
    assert "'item' is not defined" in message


# Needs


def test_per_item_matches_keys_on_whichever_host(maker):
    text = step("one", 'foreach = ["x", "y"]') + step("two", 'foreach = ["y", "x"]\nper = "item"', hosts="localhost")
    plan = maker.compile(text, TWO)
    assert plan.needs_of("two[y]@localhost") == ("one[y]@a1", "one[y]@b1")
    assert plan.needs_of("two[x]@localhost") == ("one[x]@a1", "one[x]@b1")


def test_per_item_for_one_need(maker):
    text = step("one", 'foreach = ["x"]') + step("zero", "needs = []")
    text += step("two", 'foreach = ["x"]\nneeds = [{ step = "one", per = "item" }, "zero"]', hosts="a1")
    assert maker.compile(text, TWO).needs_of("two[x]@a1") == ("one[x]@a1", "one[x]@b1", "zero@a1", "zero@b1")


def test_an_item_that_the_needed_step_has_not_is_told(maker):
    text = step("one", 'foreach = ["x"]') + step("two", 'foreach = ["x", "y"]\nper = "item"', hosts="a1")
    [(_, message, hint)] = maker.problems(text, TWO)
    assert "step 'two' needs 'one' for the same item, which matches nothing for two[y]@a1" in message
    assert "optional" in hint


def test_a_default_of_per_item_is_for_steps_that_have_items(maker):
    text = '[defaults]\nper = "item"\n' + step("one", 'foreach = ["x"]') + step("two") + step("three")
    plan = maker.compile(text, TWO)
    assert plan.needs_of("two@b1") == ("one[x]@a1", "one[x]@b1")
    assert plan.needs_of("three@b1") == ("two@a1", "two@b1")


@pytest.mark.parametrize(
    "rest", ['per = "item"', 'needs = [{ step = "one", per = "item" }]', 'rollback_scope = "item"']
)
def test_items_that_a_step_has_not_cannot_be_matched(maker, rest):
    found = maker.problems(step("one", 'foreach = ["x"]') + step("two", rest), TWO)
    assert [line for line, _, _ in found] == [11]
    assert "no `foreach`" in found[0][1]


def test_values_of_nodes_see_the_item(maker):
    text = step("one", 'foreach = ["a", "b"]\nvars = { shard = "{{ item }}" }')
    text += step("two", 'per = "shard"')
    plan = maker.compile(text, {"h1": {"shard": "a"}, "h2": {"shard": "b"}})
    assert plan.needs_of("two@h1") == ("one[a]@h1", "one[a]@h2")
    assert plan.needs_of("two@h2") == ("one[b]@h1", "one[b]@h2")


# What is wrong


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ('["x", "x"]', "two items of `foreach` have the key 'x'"),
        ('["1", 1]', "two items of `foreach` have the key '1'"),
        ('["x", { name = "y" }]', "item 2 of `foreach` has no key: {'name': 'y'}"),
        ("[true]", "item 1 of `foreach` has no key: True"),
        ("[[]]", "item 1 of `foreach` has no key: []"),
        ('[""]', "item 1 of `foreach` has no key: ''"),
        ('["a[b]"]', "item 1 of `foreach` cannot have the key 'a[b]'"),
        ('[" x"]', "item 1 of `foreach` cannot have the key ' x'"),
        ("'{{ 5 }}'", "`foreach` must yield a list, not 5"),
        ("'{{ \"abc\" }}'", "`foreach` must yield a list, not 'abc'"),
    ],
)
def test_items_without_a_key_of_their_own_are_told(maker, items, said):
    [(line, message, _)] = maker.problems(step("one", f"foreach = {items}"), TWO)
    assert line == 5
    assert said in message


def test_a_list_that_cannot_be_rendered_is_told_once(maker):
    [(line, message, hint)] = maker.problems(step("one", "foreach = '{{ prots }}'"), {"a1": {"ports": []}})
    assert line == 5
    assert "'prots' is not defined" in message + hint
    assert "ports" in message + hint


def test_items_cannot_be_outputs_which_are_not_there_when_the_plan_is_made(maker):
    text = step("one") + step("two", "foreach = '{{ outputs.one.stdout.split() }}'")
    [(line, message, hint)] = maker.problems(text, TWO)
    assert line == 11
    assert "hangs on step 'one'" in message
    assert "before the run" in message
    assert hint


# Another plan


def test_a_longer_list_adds_nodes_and_leaves_the_others_as_they_are(maker):
    old = maker.compile(step("one", 'foreach = ["x"]'), TWO)
    new = maker.compile(step("one", 'foreach = ["x", "y"]'), TWO)
    assert old.fingerprint != new.fingerprint
    changes = node_changes(old, new)
    assert (changes.added, changes.removed, changes.differing) == (("one[y]@a1", "one[y]@b1"), (), ())
    assert [(d.what, d.names, d.key, d.change) for d in differences(old, new)] == [
        ("step", ("one",), "foreach", "changed"),
        ("node", ("one[y]@a1", "one[y]@b1"), "", "added"),
    ]


def test_another_item_of_the_same_key_is_another_node_definition(maker):
    old = maker.compile(step("one", "foreach = [{ key = 'k', v = 1 }, 'other']", hosts="a1"), TWO)
    new = maker.compile(step("one", "foreach = [{ key = 'k', v = 2 }, 'other']", hosts="a1"), TWO)
    assert node_changes(old, new).differing == ("one[k]@a1",)


def test_items_out_of_a_file_that_are_others_now_are_told_by_node(maker):
    text = step("one", "foreach = [{ key = 'k', v = \"{{ file('v.txt') }}\" }]", hosts="a1")
    (maker.directory / "v.txt").write_text("1")
    old = maker.compile(text, TWO)
    (maker.directory / "v.txt").write_text("2")
    [found] = differences(old, maker.compile(text, TWO))
    assert (found.what, found.names, found.key, found.before, found.after) == (
        "node", ("one[k]@a1",), "item.v", '"1"', '"2"',
    )  # fmt: skip


# What is selected


def test_a_limit_leaves_all_items_of_its_hosts_and_the_way_that_leads_over_others(maker):
    text = step("one", 'foreach = ["x", "y"]', hosts="a1") + step("two", 'foreach = ["x"]\nper = "item"', hosts="b1")
    text += step("three", 'foreach = ["x"]\nper = "item"')
    plan = contracted(maker.compile(text, TWO), maker.inventory(TWO), Selection(limit="a1"))
    assert ids(plan) == ["one[x]@a1", "one[y]@a1", "three[x]@a1"]
    assert plan.needs_of("three[x]@a1") == ("one[x]@a1",)
