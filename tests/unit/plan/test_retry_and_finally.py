"""What of `retry.vary`, `retry.revert_between` and `finally` is found before anything is touched."""

import pytest

HOSTS = {"a1": {"mirrors": ["x", "y"]}, "a2": {"mirrors": ["x", "z"]}}


def steps(*texts, head=""):
    return head + "".join(f'[[step]]\ntask = "command"\nhosts = "all"\n{text}\n' for text in texts)


def one(text):
    return steps('id = "one"\n' + text)


# vary


def test_every_value_is_checked(maker):
    text = one('retry.vary.shown = ["true", 3]\nwith = { run = "{{ shown }}" }')
    ((line, message, _),) = maker.problems(text, HOSTS)
    assert line == 6
    assert "run" in message


def test_only_the_values_that_there_are_attempts_for_are_checked(maker):
    maker.compile(one('retry = { attempts = 1, vary = { v = ["true", 3] } }\nwith = { run = "{{ v }}" }'), HOSTS)


def test_attempts_are_as_many_as_values_unless_it_says_how_many(maker):
    def attempts(text):
        return maker.compile(one(text + '\nwith = { run = "{{ v }}" }'), HOSTS).steps["one"].retry.attempts

    assert attempts('retry = { vary = { v = ["a", "b"] } }') == 2
    assert attempts('retry = { attempts = 5, vary = { v = ["a", "b"] } }') == 5
    assert attempts('retry = { vary = { v = "{{ mirrors }}" } }') == 0, "known when it is rendered"
    assert attempts("vars.v = 'a'") == 1


def test_a_list_from_variables_of_the_host_is_looked_at_for_each_host(maker):
    text = one('retry.vary.mirror = "{{ mirrors }}"\nwith = { run = "get {{ mirror }}" }')
    maker.compile(text, HOSTS)
    ((line, message, _),) = maker.problems(text, {"a1": {"mirrors": []}, "a2": {"mirrors": ["x"]}})
    assert (line, message) == (5, "step 'one': `retry.vary.mirror` is an empty list: there is no value for an attempt")
    ((line, message, _),) = maker.problems(text, {"a1": {"mirrors": "x"}})
    assert (line, message) == (5, "step 'one': `retry.vary.mirror` must yield a list, not 'x'")


def test_a_list_from_an_output_is_a_need_and_what_uses_it_is_left_open(maker):
    plan = maker.compile(
        steps(
            'id = "two"\nretry.vary.mirror = "{{ outputs.one.stdout }}"\nwith = { run = "{{ mirror }}" }\nneeds = []',
            'id = "one"\nwith = { run = "true" }\nneeds = []',
        ),
        HOSTS,
    )
    assert plan.references["two"] == ("one",)
    assert "one@a1" in plan.needs_of("two@a1")


def test_local_files_of_every_value_belong_to_the_plan(maker, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.tar.gz").write_text(name)
    text = (
        '[[step]]\nid = "one"\ntask = "deploy_app"\nhosts = "all"\n'
        f'retry.vary.file = ["{tmp_path}/a.tar.gz", "{tmp_path}/b.tar.gz"]\n'
        'with = { artifact = "{{ file }}", path = "/srv/app" }\n'
    )
    assert len(maker.compile(text, HOSTS).files) == 2


def test_it_decides_what_the_run_does(maker):
    prints = {
        maker.compile(one(f'retry.vary.v = [{values}]\nwith = {{ run = "{{{{ v }}}}" }}'), HOSTS).fingerprint
        for values in ("'a'", "'a', 'b'", "'a'")
    }
    assert len(prints) == 2


# revert_between


def test_what_cannot_be_reverted_cannot_be_reverted_between_two_attempts(maker, monkeypatch):
    task = maker.tasks.get("command")
    monkeypatch.setattr(task, "reversible", False)
    text = one('retry = { attempts = 2, revert_between = true }\nwith = { run = "true" }')
    assert maker.problems(text, HOSTS) == [
        (5, "step 'one': a failed attempt of the task 'command' cannot be reverted", "take it out, or use another task")
    ]


# finally

RUN = 'with = { run = "true" }\n'


def named(name, text="", *, last=False):
    return f'id = "{name}"\n{"finally = true" if last else ""}\n{text}{RUN}'


def test_in_a_linear_playbook_they_follow_one_another_and_nothing_else(maker):
    plan = maker.compile(steps(named("z", last=True), named("one"), named("y", last=True), named("two")), HOSTS)
    assert plan.at_end == {f"{step}@{host}" for step in "yz" for host in HOSTS}
    assert plan.needs_of("z@a1") == ()
    assert plan.needs_of("y@a1") == ("z@a1", "z@a2")
    assert plan.needs_of("two@a1") == ("one@a1", "one@a2")
    assert plan.needs_of("one@a1") == ()


@pytest.mark.parametrize("hosts", [HOSTS, None])
def test_nothing_before_the_end_can_wait_for_it(maker, hosts):
    text = steps(named("one", 'needs = ["z"]\n'), named("z", last=True))
    ((line, message, _),) = maker.problems(text, hosts)
    assert line == 6
    assert message == "step 'one': 'z' runs at the end (`finally`): nothing before can wait for it"


def test_nor_does_the_end_need_what_it_comes_after_anyway(maker):
    text = steps(named("one"), named("z", 'needs = ["one"]\n', last=True))
    ((line, message, _),) = maker.problems(text, HOSTS)
    assert line == 13
    assert message == "step 'z': it runs at the end (`finally`), after all others: it cannot need 'one'"


def test_nothing_before_the_end_can_speak_of_it(maker):
    text = steps('id = "one"\nwith = { run = "{{ outputs.z.stdout }}" }', named("z", last=True))
    ((_, message, _),) = maker.problems(text, HOSTS)
    assert message == "step 'one': a template mentions step 'z', which runs at the end (`finally`), after this one"


def test_the_end_may_speak_of_all(maker):
    last = 'id = "z"\nfinally = true\nwith = { run = "say {{ steps.one.state }}" }'
    for flow in ("linear", "graph", "unordered"):
        plan = maker.compile(steps(named("one"), last, head=f'flow = "{flow}"\n'), HOSTS)
        assert plan.needs_of("z@a1") == ()
        assert plan.references["z"] == ("one",)


def test_what_the_defaults_say_of_rollbacks_does_not_concern_it(maker):
    head = '[defaults]\non_failure = "halt"\nrollback_scope = "shard"\non_unknown = "revert"\n'
    hosts = {"a1": {"shard": "a"}, "a2": {"shard": "b"}, "localhost": {}}
    plan = maker.compile(steps(named("one"), named("z", last=True), head=head), hosts)
    assert (plan.steps["z"].rollback_scope, plan.steps["z"].on_unknown) == ("run", "ask")
    assert plan.steps["one"].on_unknown == "revert"
