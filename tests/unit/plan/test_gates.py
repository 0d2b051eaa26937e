"""What of a step that waits for an approval is found before anything is touched."""

import pytest

HOSTS = {"a1": {}, "a2": {}}
ASKS = '[[step]]\nid = "go"\ntask = "approve"\nwith = { message = "is {{ canary }} well?" }\n'
VARS = '[vars]\ncanary = "a1"\n'


def test_it_is_one_node_on_the_control_machine_unless_it_says_where(maker):
    plan = maker.compile(VARS + ASKS, HOSTS)
    assert [node.id for node in plan.nodes] == ["go@localhost"]
    assert plan.task_of("go@localhost").gate
    assert plan.task_of("go@localhost").reversible
    elsewhere = maker.compile(VARS + ASKS.replace("task", 'hosts = "all"\ntask'), HOSTS)
    assert [node.id for node in elsewhere.nodes] == ["go@a1", "go@a2"]


def test_other_tasks_have_to_say_where(maker):
    ((line, message, _),) = maker.problems('[[step]]\nid = "one"\ntask = "command"\nwith = { run = "true" }\n', HOSTS)
    assert (line, message) == (1, "`hosts` is missing")


def test_its_question_is_checked(maker):
    ((line, message, _),) = maker.problems(VARS + ASKS.replace("canary }}", "cannary }}"), HOSTS)
    assert line == 6
    assert "cannary" in message
    found = maker.problems(VARS + ASKS.replace("message", "mesage"), HOSTS)
    assert any("did you mean `message`" in message or "mesage" in message for _, message, _ in found)


@pytest.mark.parametrize(
    "key",
    [
        "retry = { attempts = 2 }",
        "retry.attempts = 2",
        'timeout = "1m"',
        "become = true",
        "at_once = 1",
        'irreversible = "allow"',
    ],
)
def test_keys_that_say_nothing_of_it_are_errors(maker, key):
    ((line, message, hint),) = maker.problems(VARS + ASKS + key + "\n", HOSTS)
    assert line == 7
    assert "which only waits for an approval" in message
    assert hint == "take it out"


def test_what_the_defaults_say_of_others_does_not_concern_it(maker):
    maker.compile(VARS + '[defaults]\ntimeout = "1m"\nretry = { attempts = 3 }\n' + ASKS, HOSTS)


def test_what_runs_at_the_end_hangs_on_nobodys_word(maker):
    ((line, message, _),) = maker.problems(VARS + ASKS + "finally = true\n", HOSTS)
    assert line == 7
    assert "waits for an approval" in message


def test_a_plan_of_an_earlier_version_has_no_gates(maker):
    plan = maker.compile(VARS + ASKS, HOSTS)
    data = plan.to_json()
    for facts in data["tasks"].values():
        del facts["gate"]
    assert not type(plan).from_json(data).task_of("go@localhost").gate
