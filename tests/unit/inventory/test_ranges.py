import pytest

from opsflow.inventory.ranges import expand


@pytest.mark.parametrize(
    ("name", "hosts"),
    [
        ("db-1.example.com", ["db-1.example.com"]),
        ("g[1:3]", ["g1", "g2", "g3"]),
        ("g[08:11].x", ["g08.x", "g09.x", "g10.x", "g11.x"]),
        ("g[8:11]", ["g8", "g9", "g10", "g11"]),
        ("r[a:c]", ["ra", "rb", "rc"]),
        ("r[A:C:2]", ["rA", "rC"]),
        ("g[0:10:5]", ["g0", "g5", "g10"]),
        ("r[a:b]-[1:2]", ["ra-1", "ra-2", "rb-1", "rb-2"]),
        ("g[0:0]", ["g0"]),
        ("fe80::1", ["fe80::1"]),
    ],
)
def test_a_range_stands_for_its_names_both_ends_included(name, hosts):
    assert expand(name) == hosts


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("g[3:1]", "its end comes before its start"),
        ("g[c:a]", "its end comes before its start"),
        ("g[01:100]", "same length"),
        ("g[1:3:0]", "step must not be 0"),
        ("g[a:C]", "capital or small"),
        ("g[1-3]", "is not a range"),
        ("g[]", "is not a range"),
        ("g[1:", "has a bracket without its other half"),
        ("a b", "cannot be a host's name"),
        ("-oProxyCommand=x", "cannot be a host's name"),
        ("a@b", "cannot be a host's name"),
        ("a/b", "cannot be a host's name"),
        ("web*", "cannot be a host's name"),
        ("", "cannot be a host's name"),
        ("g[0:999999999999]", "more than 100000"),
        ("g[1:1000][1:1000]", "more than 100000"),
        ("g[0:" + "9" * 5000 + "]", "is not a range"),
    ],
)
def test_a_malformed_range_or_name_is_refused(name, message):
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        expand(name)
