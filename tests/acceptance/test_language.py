"""Items, other hosts, decisions and included playbooks, by the real command line on two real hosts."""

import pytest
from command_line import step

PARTS = """
[inputs]
release = { required = true, description = "What to put there." }
from = { required = true }

[[step]]
id = "put"
task = "command"
hosts = "one"
foreach = ["web", { key = "api", port = 8000 }]
with = { run = "echo {{ release }} {{ item.port | default(80) }} of {{ from }} > {{ item.key | default(item) }}", undo = "rm -f {{ item.key | default(item) }}" }

[[step]]
id = "look"
task = "command"
hosts = "one"
foreach = ["web", "api"]
per = "item"
with = { run = "grep -q {{ release }} {{ item }} && test ! -e broken", changes = false }
"""

UPGRADE = """
name = "upgrade"

[[step]]
id = "drain"
task = "command"
hosts = "one"
on = "two"
with = { run = "echo without {{ host }} >> balancer", undo = "echo with {{ host }} >> balancer" }

[[step]]
id = "app"
include = "parts/app.toml"
vars = { release = "{{ version }}", from = "{{ outputs.drain.stdout | default('', true) or host }}" }

[[step]]
id = "old"
task = "command"
hosts = "one"
when = "version == '1'"
skip_depth = "all"
with = { run = "touch old", undo = "rm -f old" }

[[step]]
id = "older"
task = "command"
hosts = "one"
with = { run = "touch older", undo = "rm -f older" }

[vars]
version = "2"
"""


@pytest.fixture
def upgrade(project):
    project.write("playbooks/parts/app.toml", PARTS)
    return project.playbook(UPGRADE)


def balancer(project):
    return project.on("two", "balancer").read_text().splitlines()


def test_a_host_is_drained_from_elsewhere_and_its_items_are_done_and_put_back(project, upgrade):
    project.opsflow("apply", upgrade, "--yes")

    run = project.show()
    assert run.states == {
        "drain@one": "succeeded",
        "app/put[web]@one": "succeeded",
        "app/put[api]@one": "succeeded",
        "app/look[web]@one": "succeeded",
        "app/look[api]@one": "succeeded",
        "old@one": "skipped",
        "older@one": "skipped",
    }
    assert balancer(project) == ["without one"]
    assert project.on("one", "web").read_text() == "2 80 of one\n"
    assert project.on("one", "api").read_text() == "2 8000 of one\n"
    assert [attempt["on"] for attempt in run.nodes["drain@one"]["attempts"]] == ["two"]

    project.opsflow("rollback", "--yes")
    assert balancer(project) == ["without one", "with one"]
    assert not project.on("one", "web").exists()


def test_a_changed_part_is_told_and_accepted_where_it_has_not_begun(project, upgrade):
    project.on("one", "broken").touch()
    project.opsflow("apply", upgrade, "--yes", "--on-failure", "halt", code=1)
    project.write("playbooks/parts/app.toml", PARTS.replace("test ! -e broken", "test -e {{ item }}"))

    refused = project.opsflow("resume", code=2)
    assert "step app/look, with.run" in refused.err
    assert "parts/app.toml:" in refused.err
    project.opsflow("resume", "--accept-changes")
    assert project.show().state == "succeeded"
    assert balancer(project) == ["without one"]


def test_a_limit_leaves_whole_the_way_of_the_hosts_that_stay(project):
    playbook = project.playbook(
        step("each", "echo {{ item }} >> each", foreach=["x", "y"], undo="rm -f each"),
        step("after", "wc -l < each", changes=False),
    )
    project.opsflow("apply", playbook, "--yes", "--limit", "two")
    assert project.show().states == {
        "each[x]@two": "succeeded", "each[y]@two": "succeeded", "after@two": "succeeded",
    }  # fmt: skip
    assert not project.on("one", "each").exists()
