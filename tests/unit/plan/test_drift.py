"""What is different between two plans, and what is no difference."""

import re
from dataclasses import replace

import pytest

from opsflow.model import Connection
from opsflow.plan import Plan, differences, moved

TEXT = """
name = "play"

[vars]
artifact = "game-1.tar.gz"
limits = { open = 10, deep = { soft = 1 } }

[[step]]
id = "stop"
task = "command"
hosts = "web"
with = { run = "echo stop", env = { A = "1" } }

[[step]]
id = "back"
task = "command"
hosts = "db"
timeout = "10m"
with = { run = "echo {{ artifact }}" }

[[step]]
id = "start"
task = "command"
hosts = "web"
with = { run = "echo start" }
"""
HOSTS = {"web-1": {"shard": "a"}, "web-2": {"shard": "b"}, "db-1": {}}
GROUPS = {"web": ["web-1", "web-2"], "db": ["db-1"]}
VERIFY = '\n[[step]]\nid = "verify"\ntask = "command"\nhosts = "all"\nwith = { run = "true" }\n'


@pytest.fixture
def compiled(maker):
    def make(text=TEXT, hosts=HOSTS, groups=GROUPS, **more):
        return maker.compile(text, hosts, groups=groups, **more)

    return make


@pytest.fixture
def told(compiled):
    """`told(...)`: the lines that are said of the differences from the plan of `TEXT`."""

    def tell(*args, before=None, **more):
        # Where it stands is of interest once.
        found = differences(before or compiled(), compiled(*args, **more))
        return [re.sub(r"  \(.*:\d+:\d+\)$", "", str(difference)) for difference in found]

    return tell


def test_the_same_files_differ_in_nothing(told):
    assert told() == []


def test_comments_notes_descriptions_and_the_order_of_hosts_are_no_differences(told):
    text = '# a word\ndescription = "What it is for."\n' + TEXT.replace(
        'task = "command"', 'task = "command"\nnotes = "so"'
    )
    assert told(text, dict(reversed(HOSTS.items()))) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("echo stop", "echo halt", ['~ step stop, with.run: "echo stop" → "echo halt"']),
        ('env = { A = "1" }', 'env = { A = "1", B = "2" }', ['~ step stop, with.env.B: nothing → "2"']),
        ('timeout = "10m"', "", ["~ step back, timeout: 600.0 → nothing"]),
        ('name = "play"', 'name = "game"', ['~ playbook, name: "play" → "game"']),
        (
            '"game-1.tar.gz"',
            '"game-2.tar.gz"',
            ['~ variable artifact, of the playbook: "game-1.tar.gz" → "game-2.tar.gz"'],
        ),
        ("soft = 1", "soft = 2", ["~ variable limits, deep.soft: 1 → 2"]),
        ("open = 10", "open = true", ["~ variable limits, open: 10 → true"]),
        ("soft = 1", "soft = true", ["~ variable limits, deep.soft: 1 → true"]),
        ('id = "start"', 'id = "begin"', ["- step start", "+ step begin"]),
        ('hosts = "db"', 'hosts = "db,web-1"', ['~ step back, hosts: "db" → "db,web-1"', "+ node back@web-1"]),
        ('timeout = "10m"', 'timeout = "10m"\nirreversible = "allow"', ['~ step back, irreversible: "stop" → "allow"']),
    ],
)
def test_every_change_of_a_playbook_is_told_in_its_words(told, old, new, said):
    assert TEXT.count(old) == 1
    assert told(TEXT.replace(old, new)) == said


def test_a_difference_points_to_where_it_stands_now(compiled):
    (found,) = differences(compiled(), compiled(TEXT.replace("echo stop", "echo halt")))
    assert found.position.line == TEXT.splitlines().index('with = { run = "echo stop", env = { A = "1" } }') + 1
    assert str(found).endswith(f"play.toml:{found.position.line}:{found.position.column})")


def test_a_step_that_came_brings_its_nodes_and_they_are_not_told_one_by_one(told):
    assert told(TEXT + VERIFY) == ["+ step verify"]


def test_steps_that_changed_places_are_told_where_their_order_decides(told, compiled):
    head, stop, back, start = re.split(r"(?=\[\[step\]\])", TEXT)
    turned = head + stop + start + back
    assert told(turned) == ['~ playbook, order of its steps: ["back", "start"] → ["start", "back"]']
    graph = head.replace('name = "play"', 'name = "play"\nflow = "graph"')
    assert told(graph + stop + start + back, before=compiled(graph + stop + back + start)) == []


def test_a_host_that_came_and_one_that_went(told):
    hosts = {"web-1": {"shard": "a"}, "web-3": {"shard": "b"}, "db-1": {}}
    groups = GROUPS | {"web": ["web-1", "web-3"]}
    assert told(hosts=hosts, groups=groups) == [
        "- host web-2",
        "+ host web-3",
        "+ node stop@web-3",
        "+ node start@web-3",
        "- node stop@web-2",
        "- node start@web-2",
    ]


def test_what_is_said_of_many_hosts_is_said_once(told, compiled):
    many = {f"web-{n}": {"env": "test"} for n in range(1, 6)}
    groups = {"web": list(many), "db": ["web-1"]}
    before = compiled(hosts=many, groups=groups)
    after = {name: {"env": "prod"} for name in many}
    said = told(hosts=after, groups=groups, before=before)
    assert said == ['~ host web-1, web-2, web-3 and 2 more, variable env: "test" → "prod"']


def test_a_connection_that_changed(compiled):
    plan = compiled()
    elsewhere = replace(plan.hosts["web-1"], connection=Connection(address="10.0.0.9", user="ops"))
    other = replace(plan, hosts=plan.hosts | {"web-1": elsewhere}, fingerprint="other")
    assert list(map(str, differences(plan, other))) == [
        '~ host web-1, address: "web-1" → "10.0.0.9"',
        '~ host web-1, user: nothing → "ops"',
    ]


def test_a_group_counts_if_templates_ask_for_it(told, compiled):
    text = TEXT.replace("echo start", "echo {{ hosts('web') }}")
    more = {**HOSTS, "web-3": {}}
    groups = GROUPS | {"web": ["web-1", "web-2", "web-3"]}
    assert "~ group web" in told(text, more, groups, before=compiled(text))


def test_a_task_and_a_file_that_changed(compiled, tmp_path):
    (tmp_path / "site.tar").write_text("one")
    text = (
        '[[step]]\nid = "deploy"\ntask = "deploy_app"\nhosts = "web"\nwith = { artifact = "site.tar", path = "/srv" }\n'
    )
    before = compiled(text)
    (tmp_path / "site.tar").write_text("two")
    assert list(map(str, differences(before, compiled(text)))) == ["~ file site.tar"]
    (tmp_path / "site.tar").unlink()
    assert list(map(str, differences(before, compiled(text)))) == ["- file site.tar"]
    (tmp_path / "site.tar").write_text("one")
    assert differences(before, compiled(text)) == ()
    other = replace(before, tasks={"deploy_app": replace(before.tasks["deploy_app"], digest="x")}, fingerprint="other")
    assert list(map(str, differences(before, other))) == ["~ task deploy_app"]


def test_a_file_that_the_run_makes_itself_is_no_difference(compiled, tmp_path):
    text = (
        '[[step]]\nid = "build"\ntask = "command"\nhosts = "localhost"\nwith = { run = "make" }\n'
        '[[step]]\nid = "deploy"\ntask = "deploy_app"\nhosts = "web"\nwith = { artifact = "site.tar", path = "/srv" }\n'
    )
    before = compiled(text)
    (tmp_path / "site.tar").write_text("built meanwhile")
    assert differences(before, compiled(text)) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('artifact = "game-1.tar.gz"', 'artifact = "game-1.tar.gz"\ndb_password = "hunter2"'),
        ("deep = { soft = 1 }", 'deep = { soft = 1, auth = { token = "hunter2" } }'),
        ("limits = ", 'more = { a = { api_key = "hunter2" } }\nlimits = '),
        ('env = { A = "1" }', 'env = { A = "mysql://root:hunter2@db/game" }'),
        ('env = { A = "1" }', 'env = { A = "--password=hunter2" }'),
        ('env = { A = "1" }', 'env = { SECRET_ONE = "hunter2" }'),
    ],
)
def test_what_may_be_a_secret_is_told_to_differ_and_not_shown(told, compiled, old, new):
    text = TEXT.replace(old, new)
    said = "\n".join(
        [*told(text), *told(TEXT, before=compiled(text)), *told(text.replace("2", "3"), before=compiled(text))]
    )
    assert "***" in said
    assert "hunter" not in said


def test_a_reference_to_a_secret_is_no_secret(told):
    text = TEXT.replace('env = { A = "1" }', "env = { A = \"{{ secret('env:DB_PASSWORD') }}\" }")
    assert told(text) == ['~ step stop, with.env.A: "1" → "{{ secret(\'env:DB_PASSWORD\') }}"']


# Another directory


def test_a_project_in_another_directory_differs_in_nothing(maker, compiled, tmp_path):
    (tmp_path / "site.tar").write_text("one")
    text = (
        '[[step]]\nid = "deploy"\ntask = "deploy_app"\nhosts = "web"\nwith = { artifact = "site.tar", path = "/srv" }\n'
    )
    before = compiled(text)
    maker.directory = tmp_path / "elsewhere"
    maker.directory.mkdir()
    (maker.directory / "site.tar").write_text("one")
    after = compiled(text)
    assert after.files != before.files
    assert after.fingerprint == before.fingerprint
    assert differences(before, after) == ()


def test_a_plan_follows_its_project(compiled, tmp_path):
    (tmp_path / "site.tar").write_text("one")
    text = (
        '[[step]]\nid = "deploy"\ntask = "deploy_app"\nhosts = "web"\nwith = { artifact = "site.tar", path = "/srv" }\n'
    )
    plan = compiled(text)
    key = replace(plan.hosts["web-1"], connection=Connection(key_file=f"{tmp_path}/keys/ops", known_hosts="/etc/known"))
    plan = Plan.from_json(replace(plan, hosts=plan.hosts | {"web-1": key}).to_json())
    there = moved(plan, "/new/place")
    assert there.playbook.directory == "/new/place"
    assert there.files == {"/new/place/site.tar": plan.files[f"{tmp_path}/site.tar"]}
    assert there.local_files == {"deploy": ("/new/place/site.tar",)}
    assert there.hosts["web-1"].connection.key_file == "/new/place/keys/ops"
    assert there.hosts["web-1"].connection.known_hosts == "/etc/known"
    assert moved(there, str(tmp_path)) == replace(plan, playbook=replace(plan.playbook, path=f"{tmp_path}/play.toml"))
