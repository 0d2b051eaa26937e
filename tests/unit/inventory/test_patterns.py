import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsflow.errors import InputError
from opsflow.inventory import load
from opsflow.model import localhost

INVENTORY = """
[groups.game]
hosts = ["game-[1:4]"]
[groups.db]
hosts = ["db-1", "db-2", "game-4"]
[groups.shard]
children = ["game", "db"]
[groups.empty]
[hosts.lonely]
[hosts."fe80::1"]
"""


@pytest.fixture
def inventory(load_text):
    return load_text(INVENTORY)


def names(inventory, pattern):
    return [host.name for host in inventory.select(pattern)]


@pytest.mark.parametrize(
    ("pattern", "selected"),
    [
        ("game", "game-1 game-2 game-3 game-4"),
        ("lonely", "lonely"),
        ("all", "game-1 game-2 game-3 game-4 db-1 db-2 lonely fe80::1"),
        ("*", "game-1 game-2 game-3 game-4 db-1 db-2 lonely fe80::1"),
        ("shard", "game-1 game-2 game-3 game-4 db-1 db-2"),
        ("db-2,db-1", "db-1 db-2"),
        ("db-2 db-1", "db-1 db-2"),
        ("db-2:db-1", "db-1 db-2"),
        ("lonely, db", "game-4 db-1 db-2 lonely"),
        ("game & db", "game-4"),
        ("game:&db", "game-4"),
        ("&db game", "game-4"),
        ("db !game", "db-1 db-2"),
        ("!game, db", "db-1 db-2"),
        ("! game,db", "db-1 db-2"),
        ("shard:&game:!db", "game-1 game-2 game-3"),
        ("shard & !game", "db-1 db-2"),
        ("!shard", "lonely fe80::1"),
        ("&db", "game-4 db-1 db-2"),
        ("game[0]", "game-1"),
        ("game[-1]", "game-4"),
        ("game[0:2]", "game-1 game-2 game-3"),
        ("game[2:]", "game-3 game-4"),
        ("game[:1]", "game-1 game-2"),
        ("game[0:-1]", "game-1 game-2 game-3 game-4"),
        ("game[0:-2]", "game-1 game-2 game-3"),
        ("game[9]", ""),
        ("game[-9]", ""),
        ("shard[4:5] game[0]", "game-1 db-1 db-2"),
        ("game-[13]*", "game-1 game-3"),
        ("?b-?", "db-1 db-2"),
        ("game-[1:3]", "game-1 game-2 game-3"),
        ("game-[1:3:2], db-[1:2]", "game-1 game-3 db-1 db-2"),
        ("d*[0:1]", "game-4 db-1"),
        ("game & game-[3:4]", "game-3 game-4"),
        ("d*", "game-4 db-1 db-2"),
        ("zzz*", ""),
        ("empty", ""),
        ("localhost", "localhost"),
        ("localhost,db-1", "db-1 localhost"),
        ("all !localhost", "game-1 game-2 game-3 game-4 db-1 db-2 lonely fe80::1"),
        ("fe80::1", "fe80::1"),
        (" game ", "game-1 game-2 game-3 game-4"),
    ],
)
def test_a_pattern_selects_in_inventory_order(inventory, pattern, selected):
    assert names(inventory, pattern) == selected.split()


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("gmae", r"there is no host or group `gmae`\n    did you mean `game`\?"),
        ("db,db-3", r"`db-3`\n    did you mean `db-[12]`"),
        ("!zzz", r"`zzz`\n    groups are: all, game, db, shard, empty"),
        ("zzz[0]", "`zzz`"),
        ("game-[3:6]", r"there is no host `game-5`, nor 1 more of `game-\[3:6\]`\n    did you mean `game-4`"),
        ("web-[1:2].example", "there is no host `web-1.example`"),
        ("game-[3:1]", r"host pattern: `\[3:1\]` is empty"),
        ("", "empty host pattern"),
        (" , ", "empty host pattern"),
        ("game &", "malformed host pattern `game &`"),
        ("game[", "malformed"),
        ("game]", "malformed"),
        ("game[]", "malformed"),
        ("!!game", "malformed"),
        ("@nope", "No such file"),
        ("game[" + "9" * 5000 + "]", None),
    ],
)
def test_a_pattern_that_names_nothing_there_is_or_is_malformed_is_refused(inventory, pattern, message):
    if message is None:  # read as a glob: no number that Python would refuse
        assert names(inventory, pattern) == []
        return
    with pytest.raises(InputError, match=message):
        inventory.select(pattern)


def test_a_file_of_hosts_is_a_pattern(inventory, tmp_path):
    (tmp_path / "failed.txt").write_text("db-2  # lost\n\n# comment\ngame-1\nlocalhost\n")
    assert names(inventory, "@failed.txt") == ["game-1", "db-2", "localhost"]
    assert names(inventory, f"@{tmp_path}/failed.txt & game") == ["game-1"]
    assert names(inventory, "game !@failed.txt") == ["game-2", "game-3", "game-4"]


def test_a_file_with_hosts_that_are_not_there_is_refused_with_all_of_them(inventory, tmp_path):
    (tmp_path / "failed.txt").write_text("db-3\ndb-1\nzzz\n")
    with pytest.raises(InputError) as caught:
        inventory.select("@failed.txt")
    assert [p.message.partition(": ")[2] for p in caught.value.problems] == [
        "there is no host `db-3`",
        "there is no host `zzz`",
    ]
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        inventory.select("@bytes")


def test_localhost_is_implicit_unless_the_inventory_defines_it(load_text):
    assert load_text("[hosts.a]").select("localhost") == (localhost(),)
    (own,) = load_text('[hosts.localhost]\ntransport = "ssh"\nport = 2222\n').select("localhost")
    assert (own.connection.transport, own.connection.port) == ("ssh", 2222)


def test_a_group_wins_over_a_host_of_its_name(load_text):
    inventory = load_text('[groups.web]\nhosts = ["web", "web-2"]\n')
    assert names(inventory, "web") == ["web", "web-2"]


@given(st.text("gamedb-14*?[]:,&!@ 0", max_size=12))
def test_whatever_the_pattern_the_answer_is_hosts_or_an_input_error(tmp_path_factory, pattern):
    directory = tmp_path_factory.getbasetemp()
    inventory = load("game-1,game-4,db-1,", project=directory)
    try:
        assert set(names(inventory, pattern)) <= {"game-1", "game-4", "db-1", "localhost"}
    except InputError:
        return
