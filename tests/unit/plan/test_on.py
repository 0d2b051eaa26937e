"""`on`: a node is of its host, and is done on another one."""

import pytest

from opsflow.plan import Plan, Selection, contracted, differences, merged, node_changes

HOSTS = {"web-1": {"lb": "lb-1"}, "web-2": {"lb": "lb-2"}, "lb-1": {}, "lb-2": {}}


def step(name, rest="", *, hosts="web-*", run="true"):
    return f'[[step]]\nid = "{name}"\ntask = "command"\nhosts = "{hosts}"\n{rest}\nwith = {{ run = "{run}" }}\n'


def test_a_node_is_of_its_host_and_is_done_on_another(maker):
    plan = maker.compile(step("drain", 'on = "lb-1"', run="drain {{ host }} at {{ lb }}"), HOSTS)
    assert [(n.id, n.host, n.on, n.at) for n in plan.nodes] == [
        ("drain@web-1", "web-1", "lb-1", "lb-1"),
        ("drain@web-2", "web-2", "lb-1", "lb-1"),
    ]


def test_hosts_that_commands_run_on_are_in_the_plan_and_so_are_held(maker):
    assert set(maker.compile(step("drain", 'on = "lb-1"'), HOSTS).hosts) == {"web-1", "web-2", "lb-1"}


def test_a_template_yields_each_node_its_own(maker):
    plan = maker.compile(step("drain", "on = '{{ lb }}'"), HOSTS)
    assert [n.on for n in plan.nodes] == ["lb-1", "lb-2"]
    plan = maker.compile(step("drain", "on = '{{ item }}'\nforeach = ['lb-1', 'lb-2']", hosts="web-1"), HOSTS)
    assert [(n.id, n.on) for n in plan.nodes] == [("drain[lb-1]@web-1", "lb-1"), ("drain[lb-2]@web-1", "lb-2")]


def test_a_host_that_is_sent_to_itself_stays(maker):
    assert [n.on for n in maker.compile(step("one", "on = '{{ host }}'"), HOSTS).nodes] == ["", ""]


def test_it_may_be_the_control_machine(maker):
    plan = maker.compile(step("one", 'on = "localhost"'), HOSTS)
    assert {n.at for n in plan.nodes} == {"localhost"}
    assert plan.hosts["localhost"].connection.transport == "local"
    assert "one@web-1" not in plan.after_local


def test_what_comes_after_the_control_machine_may_need_files_that_are_made_there(maker):
    plan = maker.compile(step("one", 'on = "localhost"') + step("two"), HOSTS)
    assert {"two@web-1", "two@web-2"} <= plan.after_local


def test_needs_are_matched_by_the_hosts_that_nodes_are_of(maker):
    plan = maker.compile(step("drain", 'on = "lb-1"') + step("stop", 'per = "host"'), HOSTS)
    assert plan.needs_of("stop@web-2") == ("drain@web-2",)


@pytest.mark.parametrize(
    ("on", "said"),
    [
        ("lb-*", "`on` must name one host: 'lb-*' matches 2 hosts"),
        ("lb-*,!lb-*", "matches no host"),
        ("lb-9", "lb-9"),
        ("{{ lbx }}", "'lbx' is not defined"),
        ("{{ outputs.one.stdout }}", "its `on` hangs on step 'one', and has to be known before the run"),
    ],
)
def test_what_names_no_one_host_is_told_where_it_stands(maker, on, said):
    [(line, message, hint)] = maker.problems(step("one") + step("two", f'on = "{on}"'), HOSTS)
    assert line == 11
    assert said in message + hint


def test_a_gate_has_nothing_to_do_anywhere(maker):
    text = '[[step]]\nid = "ok"\ntask = "approve"\non = "lb-1"\nwith = { message = "ok?" }\n'
    [(line, message, _)] = maker.problems(text, HOSTS)
    assert line == 4
    assert "`on` says nothing of the task 'approve'" in message


def test_the_plan_that_is_stored_has_it(maker):
    plan = maker.compile(step("drain", "on = '{{ lb }}'"), HOSTS)
    assert Plan.from_json(plan.to_json()).nodes == plan.nodes


# Another plan


def test_another_host_to_work_on_is_another_definition(maker):
    text = step("drain", "on = '{{ lb }}'")
    old = maker.compile(text, HOSTS)
    new = maker.compile(text, HOSTS | {"web-2": {"lb": "lb-1"}})
    assert node_changes(old, new).differing == ("drain@web-2",)
    assert ("node", ("drain@web-2",), "on", '"lb-2"', '"lb-1"') in [
        (d.what, d.names, d.key, d.before, d.after) for d in differences(old, new)
    ]


def test_another_way_to_reach_the_host_to_work_on_is_too(maker):
    text = step("drain", 'on = "lb-1"', hosts="web-1")
    old, new = maker.compile(text, HOSTS), maker.compile(text, HOSTS)
    moved = new.hosts["lb-1"]
    data = new.to_json()
    data["hosts"]["lb-1"]["connection"]["address"] = f"{moved.connection.address}.elsewhere"
    assert node_changes(old, Plan.from_json(data)).differing == ("drain@web-1",)


def test_a_host_on_which_something_has_begun_stays_in_the_plan(maker):
    """What was done there may have to be found out, or put back."""
    old = maker.compile(step("drain", 'on = "lb-1"', hosts="web-1"), HOSTS)
    new = maker.compile(step("drain", 'on = "lb-2"', hosts="web-1"), HOSTS)
    assert set(merged(old, new, {"drain@web-1"}).hosts) == {"web-1", "lb-1", "lb-2"}
    assert set(merged(old, new, ()).hosts) == {"web-1", "lb-2"}


def test_a_host_on_which_a_node_that_is_gone_was_done_stays_too(maker):
    old = maker.compile(step("drain", 'on = "lb-1"', hosts="web-1") + step("two", hosts="web-2"), HOSTS)
    new = maker.compile(step("two", hosts="web-2"), HOSTS)
    plan = merged(old, new, {"drain@web-1"})
    assert set(plan.hosts) == {"web-1", "lb-1", "web-2"}
    assert set(plan.live.hosts) == {"web-2"}


# What is selected


def test_a_limit_leaves_the_host_to_work_on_in_the_plan(maker):
    plan = maker.compile(step("drain", "on = '{{ lb }}'") + step("stop"), HOSTS)
    found = contracted(plan, maker.inventory(HOSTS), Selection(limit="web-2"))
    assert [(n.id, n.on) for n in found.nodes] == [("drain@web-2", "lb-2"), ("stop@web-2", "")]
    assert set(found.hosts) == {"web-2", "lb-2"}
