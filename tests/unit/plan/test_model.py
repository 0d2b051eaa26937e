"""The plan as data."""

import dataclasses
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsflow.model import Retry
from opsflow.plan import Plan

TEXT = """
name = "play"

[inputs]
release = { type = "string", required = true }

[vars]
artifact = "game-{{ release }}.tar.gz"

[defaults]
timeout = "10m"

[[step]]
id = "one"
task = "command"
hosts = "all"
retry = { attempts = 3, delay = "2s", backoff = 2.0 }
with = { run = "echo {{ artifact }}", env = { A = "1" } }

[[step]]
id = "two"
task = "command"
hosts = "web"
per = "host"
needs = [{ step = "one", per = "host", optional = true }]
with = { run = "echo {{ outputs.one.stdout }}" }
"""
HOSTS = {"web-1": {"n": 1}, "web-2": {"n": [1, 2]}, "db-1": {"n": {"deep": None}}}
GROUPS = {"web": ["web-1", "web-2"]}


@pytest.fixture
def compiled(maker):
    def make(text=TEXT, hosts=HOSTS, **more):
        return maker.compile(text, hosts, groups=GROUPS, **{"extra": {"release": "1.2"}, **more})

    return make


def test_a_plan_survives_json(compiled):
    plan = compiled()
    text = json.dumps(plan.to_json())
    again = Plan.from_json(json.loads(text))
    assert again == plan
    assert again.fingerprint == plan.fingerprint
    assert again.to_json() == plan.to_json()
    assert again.steps["one"].retry == Retry(attempts=3, delay=2.0, backoff=2.0)
    assert again.steps["two"].positions["needs"] == plan.steps["two"].positions["needs"]
    assert again.needs_of("two@web-1") == ("one@web-1",)
    assert again.hosts["db-1"].vars == {"n": {"deep": None}}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(variables=st.dictionaries(st.from_regex(r"v[a-z]{1,5}", fullmatch=True), JSON, max_size=4), extra=JSON)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_data_survives_json(compiled, variables, extra):
    plan = compiled(hosts={"web-1": variables}, extra={"release": "1", "x": extra})
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan


# The fingerprint


def test_the_same_files_have_the_same_fingerprint(compiled):
    assert compiled().fingerprint == compiled().fingerprint
    assert len(compiled().fingerprint) == 64


def test_the_fingerprint_does_not_hang_on_when_or_where_it_was_made(compiled):
    plan = compiled()
    from datetime import UTC, datetime

    assert compiled(now=datetime(2030, 1, 1, tzinfo=UTC)).fingerprint == plan.fingerprint
    assert compiled(name="other.toml").fingerprint == plan.fingerprint
    assert compiled("# a word\n\n" + TEXT).fingerprint == plan.fingerprint
    assert plan.playbook.path != compiled(name="other.toml").playbook.path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "play"', 'name = "Play"'),
        ("game-", "came-"),
        ('timeout = "10m"', 'timeout = "11m"'),
        ("attempts = 3", "attempts = 4"),
        ('A = "1"', 'A = "2"'),
        ("echo {{ artifact }}", "echo  {{ artifact }}"),
        ('hosts = "web"', 'hosts = "web-1"'),
        ('id = "two"', 'id = "too"'),
        ("optional = true", "optional = false"),
        ('hosts = "all"', 'hosts = "all"\nat_once = 2'),
        ('hosts = "all"', 'hosts = "all"\non_failure = "halt"'),
        ('hosts = "all"', 'hosts = "all"\nrollback_scope = "host"'),
        ('hosts = "all"', 'hosts = "all"\nwhen = "1 == 1"'),
    ],
)
def test_whatever_decides_what_a_run_does_changes_the_fingerprint(compiled, old, new):
    assert TEXT.count(old) == 1
    assert compiled(TEXT.replace(old, new)).fingerprint != compiled().fingerprint


def test_hosts_and_what_the_caller_gives_change_the_fingerprint(compiled):
    plan = compiled()
    assert compiled(extra={"release": "1.3"}).fingerprint != plan.fingerprint
    assert compiled(hosts=HOSTS | {"web-1": {"n": 2}}).fingerprint != plan.fingerprint
    assert compiled(hosts=HOSTS | {"web-3": {}}).fingerprint != plan.fingerprint
    assert compiled(inputs={"more": 1}).fingerprint != plan.fingerprint


def test_a_changed_task_changes_the_fingerprint(maker, compiled):
    class Edited:
        def __init__(self, tasks):
            self.tasks = tasks

        def names(self):
            return self.tasks.names()

        def get(self, name):
            task = self.tasks.get(name)
            return type("Task", (), {**{a: getattr(task, a) for a in dir(task) if a[0] != "_"}, "digest": "edited"})()

    assert compiled(tasks=Edited(maker.tasks)).fingerprint != compiled().fingerprint


# Looking things up


def test_a_plan_cannot_be_changed(compiled):
    with pytest.raises(dataclasses.FrozenInstanceError):
        compiled().nodes = ()


def test_look_ups(compiled):
    plan = compiled()
    assert [n.host for n in plan.by_step["two"]] == ["web-1", "web-2"]
    assert plan.by_id["two@web-2"].step == "two"
    assert plan.task_of("one@db-1").has_plan
    assert set(plan.graph) == {n.id for n in plan.nodes} | {j.id for j in plan.joins}


def test_a_node_is_worked_on_as_its_step_says_or_else_its_host(maker):
    steps = "".join(
        f'[[step]]\nid = "{name}"\ntask = "command"\nhosts = "all"\nwith = {{ run = "true" }}\n{become}\n'
        for name, become in [("host", ""), ("own", 'become = "db"'), ("login", "become = false")]
    )
    plan = maker.compile(f'name = "p"\nflow = "unordered"\n{steps}', {"a": {}, "b": {}})
    rooted = replace(plan.hosts["a"], connection=replace(plan.hosts["a"].connection, become="root"))
    plan = replace(plan, hosts={**plan.hosts, "a": rooted})
    users = {node.id: plan.user_of(node.id) for node in plan.nodes}
    assert users == {
        "host@a": "root", "host@b": "", "own@a": "db", "own@b": "db", "login@a": "", "login@b": "",
    }  # fmt: skip
