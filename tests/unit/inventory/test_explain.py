"""Where each value of a host comes from."""

import pytest

from opsflow.errors import InputError
from opsflow.inventory import explain
from opsflow.inventory.schema import ConnectionKeys

TEXT = """\
[vars]
who = "all"
env = "prod"
[ssh]
port = 2200
user = "ops"
[groups.db]
hosts = ["db-[1:2]"]
vars = { who = "db" }
[groups.shard_a]
children = ["db"]
vars = { who = "shard_a", shard = "a" }
[hosts.db-1]
port = 22
vars = { who = "db-1" }
"""


@pytest.fixture
def explained(tmp_path):
    def explained(host, text=TEXT, **more):
        (tmp_path / "i.toml").write_text(text)
        return explain(str(tmp_path / "i.toml"), host, project=tmp_path, **more)

    return explained


def told(found):
    return {each.name: (each.value, each.by, each.where.rpartition("/")[2]) for each in found}


def test_each_variable_is_told_with_who_says_it_and_where(explained):
    assert told(explained("db-1").variables) == {
        "env": ("prod", "all", "i.toml:3:1"),
        "shard": ("a", "group shard_a", "i.toml:12:27"),
        "who": ("db-1", "host", "i.toml:15:10"),
    }


def test_weaker_values_are_told_strongest_first(explained):
    (who,) = [each for each in explained("db-1").variables if each.name == "who"]
    assert [(each.value, each.by) for each in who.over] == [
        ("db", "group db"),
        ("shard_a", "group shard_a"),
        ("all", "all"),
    ]


def test_each_connection_key_is_told_with_the_table_that_says_it(explained):
    found = told(explained("db-1", defaults=ConnectionKeys(port=2, keepalive="5s")).connection)
    assert found == {
        "address": ("db-1", "default", ""),
        "keepalive": (5.0, "[ssh]", "opsflow.toml"),
        "port": (22, "[hosts.db-1]", "i.toml:14:1"),
        "transport": ("ssh", "default", ""),
        "user": ("ops", "[ssh]", "i.toml:6:1"),
    }


def test_a_host_that_is_not_there_is_told_with_one_like_it(explained):
    with pytest.raises(InputError) as caught:
        explained("db1")
    (problem,) = caught.value.problems
    assert (problem.message, problem.hint) == ("there is no host `db1`", "did you mean `db-1`?")
