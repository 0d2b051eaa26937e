import hashlib
from pathlib import Path

import pytest

from opsflow.errors import InputError
from opsflow.inventory import load
from opsflow.model import Connection
from opsflow.ports import Inventory

FULL = """
[vars]
env = "prod"
who = "all"

[ssh]
user = "ops"
port = 2200
key_file = "keys/ops"
known_hosts = "~/hosts"
connect_timeout = "5s"

[groups.game]
hosts = ["game-[01:03].example.com"]
vars = { who = "game", service = "game" }

[groups.db]
hosts = ["db-1", "db-2"]

[groups.shard_a]
children = ["game", "db"]
vars = { who = "shard_a", shard = "a" }

[hosts.db-1]
address = "10.0.3.1"
port = 22
user = "root"
jump = "bastion.example.com"
vars = { engine = "mysql", shard = "b" }

[hosts.other]
transport = "local"
jump = ["one", "two:2222"]
"""


@pytest.fixture
def inventory(load_text) -> Inventory:
    return load_text(FULL)


def test_hosts_come_in_file_order(inventory):
    assert list(inventory.hosts) == [
        "game-01.example.com", "game-02.example.com", "game-03.example.com", "db-1", "db-2", "other",
    ]  # fmt: skip
    assert list(load_hosts_first(inventory)) == ["z", "a", "g"]


def load_hosts_first(inventory):
    path = Path(inventory.path).with_name("first.toml")
    path.write_text('[hosts.z]\n[hosts.a]\n[groups.x]\nhosts = ["g", "a"]\n')
    return load(str(path), project=path.parent).hosts


def test_groups_hold_their_childrens_hosts_in_file_order(inventory):
    game = ["game-01.example.com", "game-02.example.com", "game-03.example.com"]
    assert inventory.groups == {
        "all": [*game, "db-1", "db-2", "other"],
        "game": game,
        "db": ["db-1", "db-2"],
        "shard_a": [*game, "db-1", "db-2"],
    }
    assert inventory.hosts["db-1"].groups == ("db", "shard_a")
    assert inventory.hosts["other"].groups == ()


def test_a_hosts_own_connection_keys_win_over_those_of_every_host(inventory, tmp_path):
    assert inventory.hosts["db-1"].connection == Connection(
        transport="ssh",
        address="10.0.3.1",
        port=22,
        user="root",
        jump=("bastion.example.com",),
        key_file=str(tmp_path / "keys" / "ops"),
        known_hosts=str(Path.home() / "hosts"),
        connect_timeout=5.0,
    )
    db_2 = inventory.hosts["db-2"].connection
    assert (db_2.address, db_2.user, db_2.port) == ("db-2", "ops", 2200)
    assert inventory.hosts["other"].connection.jump == ("one", "two:2222")
    assert inventory.hosts["other"].connection.transport == "local"


def test_without_keys_a_host_has_the_defaults(load_text):
    assert load_text("[hosts.a]").hosts["a"].connection == Connection(address="a")


def test_a_home_that_is_not_there_is_taken_literally(load_text, tmp_path):
    inventory = load_text('[hosts.a]\nkey_file = "~nobody-has-this-name/k"\n')
    assert inventory.hosts["a"].connection.key_file == str(tmp_path / "~nobody-has-this-name" / "k")


def test_host_variables_win_over_group_and_those_over_all(inventory):
    assert inventory.hosts["db-1"].vars == {"env": "prod", "who": "shard_a", "shard": "b", "engine": "mysql"}
    assert inventory.hosts["game-01.example.com"].vars == {
        "env": "prod",
        "who": "game",
        "shard": "a",
        "service": "game",
    }
    assert inventory.hosts["other"].vars == {"env": "prod", "who": "all"}


def test_a_child_group_wins_over_its_parent_and_the_later_name_over_an_equal(load_text):
    inventory = load_text("""
[groups.z]
children = ["m"]
vars = { x = "z", y = "z", w = "z" }
[groups.m]
hosts = ["h"]
vars = { x = "m" }
[groups.b]
hosts = ["h"]
vars = { y = "b", w = "b" }
[groups.a]
hosts = ["h"]
vars = { y = "a", x = "a" }
""")
    assert inventory.hosts["h"].vars == {"x": "m", "y": "z", "w": "z"}


def test_the_depth_of_a_group_is_its_longest_way_from_the_top(load_text):
    inventory = load_text("""
[groups.top]
children = ["low", "mid"]
[groups.mid]
children = ["low"]
vars = { x = "mid" }
[groups.low]
hosts = ["h"]
vars = { x = "low" }
[groups.zz]
children = ["y"]
[groups.y]
hosts = ["h"]
vars = { x = "y" }
""")
    assert inventory.hosts["h"].vars == {"x": "low"}


def test_the_digest_is_that_of_the_bytes(inventory):
    assert inventory.digest == hashlib.sha256(Path(inventory.path).read_bytes()).hexdigest()


STEP_HINT = "ranges stand in"
MALFORMED = [
    # text, line, column, part of the message, part of the hint
    ("[hosts.a\n", 1, 9, "not valid TOML: expected ']'", ""),
    ("[hosts.a]\n[hosts.a]\n", 2, 9, "cannot declare `hosts.a` twice", ""),
    ('[host.a]\naddress = "x"\n', 1, 2, "unknown key `host`", "did you mean `hosts`?"),
    ("[group.a]\n", 1, 2, "unknown key `group`", "did you mean `groups`?"),
    ('user = "x"\n', 1, 1, "unknown key `user`", "[ssh]"),
    ("hosts = ['a']\n", 1, 1, "`hosts` must be a table", ""),
    ("hosts.a = 3\n", 1, 7, "`a` must be a table", ""),
    ("[groups]\na = ['x']\n", 2, 1, "`a` must be a table", ""),
    ("[hosts.a.b.c]\n", 1, 10, "unknown key `b`", '[hosts."a.b.c"]'),
    ("[hosts.a.example.com]\nport = 22\n", 1, 10, "unknown key `example`", '[hosts."a.example.com"]'),
    ("[hosts.a.example.com.vars]\nx = 1\n", 1, 10, "unknown key `example`", '[hosts."a.example.com"]'),
    ("[groups.eu.west]\nhosts = ['a']\n", 1, 12, "unknown key `west`", '[groups."eu.west"]'),
    ("[hosts.a]\nadress = 'x'\n", 2, 1, "unknown key `adress`", "did you mean `address`?"),
    ("[hosts.a]\nport = '22'\n", 2, 1, "`port` must be a whole number", ""),
    ("[hosts.a]\nport = 70000\n", 2, 1, "`port` must be less than or equal to 65535", ""),
    ("[hosts.a]\njump = [3]\n", 2, 9, "`jump[0]` must be text", ""),
    ("[hosts.a]\ntransport = 'sssh'\n", 2, 1, "`transport` must be 'ssh', 'local' or 'fake'", "did you mean `ssh`?"),
    ("[hosts.a]\nconnect_timeout = '5'\n", 2, 1, "`connect_timeout` is not a duration", ""),
    ("[hosts.a]\nkeepalive = -1\n", 2, 1, "`keepalive` is not a duration", ""),
    ("[ssh]\nreconnect = 'x'\n", 2, 1, "`reconnect` is not a duration", ""),
    ("[hosts.a]\njump = ['b', 'c:d']\n", 2, 14, "`jump[1]` 'c:d' names no host: write HOST", ""),
    ("[hosts.a]\njump = 'b:70000'\n", 2, 1, "`jump[0]` 'b:70000' names no host", ""),
    ("[hosts.a]\nvars = 3\n", 2, 1, "`vars` must be a table", ""),
    ("[hosts.a.vars]\nhost = 3\n", 2, 1, "`host` cannot be a variable's name", ""),
    ("[hosts.a]\nvars = { d = 1979-05-27 }\n", 2, 10, "date or time", "quotes"),
    ('[hosts."a[1:3]"]\n', 1, 8, "`a[1:3]` cannot be a host's name", STEP_HINT),
    ('[hosts."a b"]\n', 1, 8, "`a b` cannot be a host's name", ""),
    ('[hosts."-x"]\n', 1, 8, "`-x` cannot be a host's name", ""),
    ("[hosts.all]\n", 1, 8, "`all` cannot be a host's name", ""),
    ("[ssh]\nusr = 'x'\n", 2, 1, "unknown key `usr`", "did you mean `user`?"),
    ("[ssh]\nvars = {}\n", 2, 1, "unknown key `vars`", "stand in [vars]"),
    ("[vars]\noutputs = 1\n", 2, 1, "`outputs` cannot be a variable's name", ""),
    ("[groups.all]\n", 1, 9, "`all` is the group of every host already", "[vars]"),
    ("[groups.localhost]\n", 1, 9, "`localhost` is a host", ""),
    ('[groups."a b"]\n', 1, 9, "`a b` cannot be a group's name", ""),
    ('[groups."a[1:2]"]\n', 1, 9, "`a[1:2]` cannot be a group's name", STEP_HINT),
    ("[groups.a]\nuser = 'x'\n", 2, 1, "unknown key `user`", "[hosts.NAME]"),
    ("[groups.a]\nhost = ['x']\n", 2, 1, "unknown key `host`", "did you mean `hosts`?"),
    ("[groups.a]\nhosts = 'x'\n", 2, 1, "`hosts` must be a list", ""),
    ("[groups.a]\nhosts = [\n  'x',\n  3,\n]\n", 4, 3, "`hosts[1]` must be text", ""),
    ("[groups.a]\nhosts = ['']\n", 2, 10, "`hosts[0]` must not be empty", ""),
    ("[groups.a]\nhosts = ['x', 'y[3:1]']\n", 2, 15, "`[3:1]` is empty", ""),
    ("[groups.a]\nhosts = ['y[1:']\n", 2, 10, "`y[1:` has a bracket without its other half", ""),
    ("[groups.a]\nchildren = ['b']\n[groups.bb]\n", 2, 13, "there is no group `b`", "did you mean `bb`?"),
    ("[groups.a]\nchildren = ['x']\nhosts = ['x']\n", 2, 13, "there is no group `x`", "it is a host"),
    ("[groups.a]\nchildren = ['a']\n", 2, 13, "group `a` contains itself: a → a", ""),
    ("[groups.a.vars]\nnow = 1\n", 2, 1, "`now` cannot be a variable's name", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "column", "message", "hint"), MALFORMED)
def test_a_malformed_inventory_is_refused_with_the_place_of_its_fault(problems_of, text, line, column, message, hint):
    matching = [p for p in problems_of(text) if message in p.message]
    assert len(matching) == 1
    (problem,) = matching
    assert problem.position is not None
    assert (problem.position.line, problem.position.column) == (line, column)
    assert problem.position.file.endswith("i.toml")
    assert hint in problem.hint
    assert problem.line == text.split("\n")[line - 1]


def test_all_circles_of_groups_are_told_at_once(problems_of):
    found = problems_of("""
[groups.a]
children = ["b"]
[groups.b]
children = ["c"]
[groups.c]
children = ["a"]
[groups.d]
children = ["a", "d"]
""")
    said = [problem.message for problem in found]
    assert len(said) == 2
    assert any(circle in said[0] for circle in ("a → b → c → a", "b → c → a → b", "c → a → b → c"))
    assert said[1] == "group `d` contains itself: d → d"


def test_all_problems_are_told_at_once_in_file_order(problems_of):
    found = problems_of("[ssh]\nport = 'x'\n[groups.a]\nchildren = ['b']\nhosts = ['[']\n[hosts.x]\nusr = 1\n")
    assert [(p.position.line, p.position.column) for p in found] == [(2, 1), (4, 13), (5, 10), (7, 1)]


def test_an_inventory_that_is_not_toml_at_all_is_refused(problems_of):
    (problem,) = problems_of("db-1 ansible_host=10.0.0.1\n")
    assert problem.message.startswith("not valid TOML")


def test_the_same_file_gives_the_same_hosts_by_name_and_by_path(inventory, tmp_path):
    assert load(inventory.path, project=Path("/")).hosts == inventory.hosts
    with pytest.raises(InputError):
        load("nope", project=tmp_path)


def test_the_password_of_sudo_is_a_reference_and_a_hosts_own_wins(load_text):
    inventory = load_text(
        "[ssh]\nbecome_password = \"{{ secret('env:PW') }}\"\nkey_passphrase = \"{{ secret('env:KEY') }}\"\n"
        "[hosts.a]\n[hosts.b]\nbecome_password = '{{secret(\"file:b: pw\")}}'\n"
    )
    assert inventory.hosts["a"].connection.become_password == "env:PW"
    assert inventory.hosts["b"].connection.become_password == "file:b: pw"
    assert inventory.hosts["b"].connection.key_passphrase == "env:KEY"


@pytest.mark.parametrize(
    "value", ['"hunter2"', "4711", '"{{ hunter2 }}"', "\"x{{ secret('env:hunter2') }}\"", "['hunter2']"]
)
@pytest.mark.parametrize("table", ["[ssh]", "[hosts.a]"])
@pytest.mark.parametrize("key", ["become_password", "key_passphrase"])
def test_a_password_in_the_inventory_is_refused_and_not_repeated(problems_of, table, key, value):
    (problem,) = problems_of(f"{table}\n{key} = {value}\n")
    assert f"`{key}` must be a reference to a secret" in problem.message
    assert (problem.position.line, problem.position.column) == (2, 1)
    assert "hunter2" not in str(problem)
    assert "4711" not in str(problem)
    assert "{{ secret('env:NAME') }}" in problem.hint
