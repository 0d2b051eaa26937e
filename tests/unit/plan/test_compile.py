"""From a playbook and an inventory to a plan, or to everything that is wrong with them."""

import pytest

from opsflow.model import LOCALHOST

TWO = {"a1": {}, "b1": {}}


def step(name, rest="", *, hosts="all", run="true"):
    return f'[[step]]\nid = "{name}"\ntask = "command"\nhosts = "{hosts}"\n{rest}\nwith = {{ run = "{run}" }}\n'


# Nodes


def test_a_node_per_step_and_host_in_playbook_order(maker):
    plan = maker.compile(step("one") + step("two"), TWO)
    assert [n.id for n in plan.nodes] == ["one@a1", "one@b1", "two@a1", "two@b1"]
    assert [(n.step, n.host) for n in plan.nodes][:2] == [("one", "a1"), ("one", "b1")]


def test_only_hosts_that_nodes_run_on_are_in_the_plan(maker):
    assert set(maker.compile(step("one", hosts="b1"), TWO).hosts) == {"b1"}


def test_localhost_is_there_without_an_inventory_entry(maker):
    plan = maker.compile(step("one", hosts="localhost") + step("two"), TWO)
    assert plan.hosts[LOCALHOST].connection.transport == "local"
    assert set(plan.needs_of("two@a1")) == {"one@localhost"}


def test_run_once_takes_the_first_host(maker):
    plan = maker.compile(step("one", "run_once = true"), TWO)
    assert [n.id for n in plan.nodes] == ["one@a1"]


def test_run_once_per_value_takes_the_first_host_of_each(maker):
    hosts = {"a1": {"s": "a"}, "a2": {"s": "a"}, "b1": {"s": "b"}, "ab": {"s": ["a", "b"]}, "c1": {"s": ["c", "a"]}}
    plan = maker.compile(step("one", 'run_once = "s"'), hosts)
    assert [n.host for n in plan.nodes] == ["a1", "b1", "c1"]


def test_run_once_by_a_variable_that_is_missing_names_hosts(maker):
    hosts = {"a1": {"s": "a"}, "b1": {}}
    [(line, message, _)] = maker.problems(step("one", 'run_once = "s"'), hosts)
    assert (line, message) == (5, "step 'one': no variable 's' for b1")


def test_values_one_and_text_one_are_not_the_same(maker):
    plan = maker.compile(step("one", 'run_once = "s"'), {"a": {"s": 1}, "b": {"s": "1"}, "c": {"s": 1}})
    assert [n.host for n in plan.nodes] == ["a", "b"]


def test_a_pattern_that_matches_nothing_is_told_where_it_stands(maker):
    [(line, message, _)] = maker.problems(step("one", hosts="all,!all"), TWO)
    assert line == 4
    assert "matches no host" in message


def test_a_pattern_that_names_nothing_is_told_with_what_was_meant(maker):
    [(line, message, hint)] = maker.problems(step("one", hosts="gaem"), TWO, groups={"game": ["a1"]})
    assert line == 4
    assert "gaem" in message
    assert "game" in message + hint


# What is wrong


def test_an_unknown_task_is_told_with_what_was_meant(maker):
    [(line, message, hint)] = maker.problems(step("one").replace('"command"', '"comand"'), TWO)
    assert (line, message, hint) == (3, "step 'one': there is no task 'comand'", "did you mean `command`?")


def test_an_unknown_task_that_is_like_none_is_told_where_to_look(maker):
    [(_, _, hint)] = maker.problems(step("one").replace('"command"', '"xyzzy"'), TWO)
    assert "opsflow task list" in hint


def test_a_wrong_parameter_is_told_where_it_stands_and_once_for_all_hosts(maker):
    text = '[[step]]\nid = "one"\ntask = "command"\nhosts = "all"\n[step.with]\nrun = "true"\nuntil = "x"\n'
    [(line, message, _)] = maker.problems(text, TWO)
    assert line == 7
    assert "until" in message


def test_rendered_parameters_are_checked_on_every_host(maker):
    text = '[[step]]\nid = "one"\ntask = "command"\nhosts = "all"\n[step.with]\nrun = "{{ what }}"\n'
    found = maker.problems(text, {"a1": {"what": "true"}, "b1": {"what": 5}})
    assert [line for line, _, _ in found] == [6]


def test_an_undefined_variable_is_told_where_it_is_used(maker):
    [(line, message, _)] = maker.problems(step("one", run="{{ releese }}"), TWO, inputs={"release": "1"})
    assert line == 6
    assert "'releese' is not defined" in message
    assert "release" in message


def test_an_undefined_variable_in_a_condition_is_told_before_anything_is_touched(maker):
    [(line, message, _)] = maker.problems(step("one", "when = \"enf == 'prod'\""), {"a1": {"env": "prod"}})
    assert line == 5
    assert "'enf' is not defined" in message


def test_a_condition_that_is_no_boolean_is_told_before_anything_is_touched(maker):
    [(line, message, _)] = maker.problems(step("one", 'when = "env"'), {"a1": {"env": "prod"}})
    assert line == 5
    assert "true or false" in message


def test_a_condition_on_outputs_is_left_to_its_turn(maker):
    plan = maker.compile(step("one") + step("two", 'when = "outputs.one.stdout"'), TWO)
    assert plan.references["two"] == ("one",)


def test_parameters_of_hosts_that_a_condition_skips_are_not_judged(maker):
    text = step("one", "when = \"os == 'linux'\"", run="echo {{ linux_only }}")
    plan = maker.compile(text, {"a1": {"os": "linux", "linux_only": 1}, "b1": {"os": "bsd"}})
    assert [n.id for n in plan.nodes] == ["one@a1", "one@b1"]


def test_parameters_of_nodes_that_are_skipped_with_another_are_not_judged(maker):
    decides = step("one", "when = \"os == 'linux'\"\nskip_depth = 'all'")
    hosts = {"a1": {"os": "linux", "linux_only": 1}, "b1": {"os": "bsd"}}
    assert maker.compile(decides + step("two") + step("three", run="echo {{ linux_only }}"), hosts).nodes
    [(line, message, _)] = maker.problems(decides + step("two") + step("three", run="echo {{ linux_onyl }}"), hosts)
    assert (line, "'linux_onyl' is not defined" in message) == (19, True)
    alone = decides.replace("skip_depth = 'all'", "") + step("three", run="echo {{ linux_only }}")
    assert len(maker.problems(alone, hosts)) == 1


def test_templates_that_cannot_be_parsed_are_told_where_they_stand(maker):
    [(line, _, _)] = maker.problems(step("one", run="{{ 1 + }}"), TWO)
    assert line == 6


def test_a_template_that_mentions_no_step_there_is(maker):
    [(line, message, hint)] = maker.problems(step("one") + step("two", run="{{ outputs.oen.stdout }}"), TWO)
    assert line == 12
    assert "'oen'" in message
    assert "one" in hint


def test_a_condition_that_mentions_no_step_there_is_is_told_at_the_condition(maker):
    [(line, message, _)] = maker.problems(step("one") + step("two", 'when = "steps.oen.changed"'), TWO)
    assert line == 11
    assert "'oen'" in message


def test_rerun_is_for_tasks_that_say_they_are_idempotent(maker):
    [(line, message, _)] = maker.problems(step("one", 'on_unknown = "rerun"'), TWO)
    assert line == 5
    assert "idempotent" in message


@pytest.mark.parametrize("key", ["per", "rollback_scope"])
def test_a_variable_by_which_nodes_belong_together_must_be_there(maker, key):
    hosts = {f"h{i}": {} for i in range(5)} | {"ok": {"shard": "a"}}
    [(line, message, _)] = maker.problems(step("one", f'{key} = "shard"'), hosts)
    assert line == 5
    assert message == "step 'one': no variable 'shard' for h0, h1, h2 and 2 more"


def test_run_once_and_localhost_need_no_such_variable(maker):
    text = step("one", 'per = "shard"\nrollback_scope = "shard"', hosts="localhost")
    text += step("two", 'per = "shard"\nrollback_scope = "shard"\nrun_once = true')
    assert len(maker.compile(text, {"a1": {}}).nodes) == 2


@pytest.mark.parametrize("key", ["per", "rollback_scope", "run_once"])
@pytest.mark.parametrize("value", ["{{ nothing }}", {"a": 1}, [["x"]], None])
def test_a_value_that_nodes_cannot_belong_together_by_is_told_with_the_rest(maker, key, value):
    text = step("one", f'{key} = "shard"') + step("two").replace("command", "comand")
    found = maker.problems(text, {"h": {"shard": value}})
    assert [line for line, _, _ in found] == [5, 9]
    assert "shard" in found[0][1] or "nothing" in found[0][1]


def test_a_needed_step_must_have_the_variable_too(maker):
    """Else its nodes would match nothing, or all: either way other than it was written."""
    text = step("stop", hosts="a1") + step("start", 'per = "shard"', hosts="b1")
    found = maker.problems(text, {"a1": {}, "b1": {"shard": "b"}})
    assert len(found) == 1
    assert "'shard'" in found[0][1]
    assert "a1" in found[0][1]


def test_everything_is_told_at_once_in_file_order(maker):
    text = (
        step("one", hosts="nowhere")
        + step("two", 'per = "shard"')
        + step("three").replace("command", "comand")
        + step("four", run="{{ nope }}")
    )
    assert [line for line, _, _ in maker.problems(text, TWO)] == [4, 11, 15, 24]


def test_a_circle_is_told_with_the_rest(maker):
    text = (
        step("one", 'needs = ["three"]')
        + step("two", 'needs = ["one"]')
        + step("three", 'needs = ["two"]')
        + step("four", hosts="nowhere")
        + step("five").replace("command", "comand")
    )
    found = maker.problems(text, TWO)
    assert "one → two → three → one" in found[0][1]
    assert [line for line, _, _ in found] == [5, 22, 27]


def test_a_step_cannot_use_its_own_outputs(maker):
    [(_, message, _)] = maker.problems(step("one", run="{{ outputs.one.stdout }}"), TWO)
    assert "circle" in message
    assert "one → one" in message


def test_a_circle_through_outputs_is_a_circle(maker):
    text = step("one", "needs = []", run="{{ outputs.two.stdout }}") + step("two", 'needs = ["one"]')
    assert "circle" in maker.problems(text, TWO)[0][1]


def test_without_an_inventory_the_playbook_alone_is_checked(maker):
    assert maker.compile(step("one"), None).nodes == ()
    [(line, _, _)] = maker.problems(step("one").replace("command", "comand"), None)
    assert line == 3


# Needs that nobody wrote down


def test_linear_steps_need_the_one_before(maker):
    plan = maker.compile(step("one") + step("two") + step("three", "needs = []"), TWO)
    assert set(plan.needs_of("two@a1")) == {"one@a1", "one@b1"}
    assert plan.needs_of("three@a1") == ()


def test_graph_steps_need_what_they_say(maker):
    plan = maker.compile('flow = "graph"\n' + step("one") + step("two"), TWO)
    assert plan.needs_of("two@a1") == ()


@pytest.mark.parametrize(
    ("where", "run"),
    [
        ("", "{{ outputs.one.stdout }}"),
        ("", "{{ steps.one.changed }}"),
        ("", "{{ outputs['one'].stdout }}"),
        ('vars = { x = "{{ outputs.one.stdout }}" }', "{{ x }}"),
        ('vars = { x = "{{ y }}", y = "{{ outputs.one.stdout }}" }', "{{ x }}"),
        ('vars = { x = { deep = ["{{ outputs.one.stdout }}"] } }', "{{ x.deep[0] }}"),
        ('when = "outputs.one.stdout == 1"', "true"),
        ('when = "x"\nvars = { x = "{{ steps.one.changed }}" }', "true"),
    ],
)
def test_a_reference_is_a_need(maker, where, run):
    plan = maker.compile(step("one") + step("two", "needs = []\n" + where, run=run), TWO)
    assert plan.references["two"] == ("one",)
    assert set(plan.needs_of("two@a1")) == {"one@a1", "one@b1"}


def test_a_reference_takes_the_steps_per(maker):
    plan = maker.compile(step("one") + step("two", 'needs = []\nper = "host"', run="{{ outputs.one.stdout }}"), TWO)
    assert plan.needs_of("two@a1") == ("one@a1",)


def test_a_need_that_is_stated_is_not_inferred_again(maker):
    text = step("one") + step("two", 'needs = [{ step = "one", per = "host" }]', run="{{ outputs.one.stdout }}")
    assert maker.compile(text, TWO).needs_of("two@a1") == ("one@a1",)


def test_a_reference_through_playbook_variables_and_inputs(maker):
    text = '[vars]\nx = "{{ outputs.one.stdout }}"\n' + step("one") + step("two", "needs = []", run="{{ x }}")
    assert maker.compile(text, TWO).references["two"] == ("one",)
    plan = maker.compile(
        step("one") + step("two", "needs = []", run="{{ x }}"), TWO, extra={"x": "{{ outputs.one.stdout }}"}
    )
    assert plan.references["two"] == ("one",)


def test_a_reference_through_a_host_variable(maker):
    plan = maker.compile(
        step("one") + step("two", "needs = []", run="{{ x }}"),
        {"a1": {"x": "{{ outputs.one.stdout }}"}, "b1": {"x": "y"}},
    )
    assert plan.references["two"] == ("one",)
    assert "one@a1" in plan.needs_of("two@a1")


def test_data_that_looks_like_a_template_is_no_reference(maker):
    plan = maker.compile(step("one") + step("two", "needs = []", run="echo outputs.one.stdout"), TWO)
    assert plan.references["two"] == ()


def test_an_unordered_playbook_permits_no_needs(maker):
    text = 'flow = "unordered"\n' + step("one") + step("two", 'needs = ["one"]')
    ((line, message, hint),) = maker.problems(text, TWO)
    assert line == 12
    assert "unordered" in message
    assert "graph" in hint


def test_an_unordered_playbook_has_no_edges(maker):
    assert maker.compile('flow = "unordered"\n' + step("one") + step("two"), TWO).edges == ()
