"""Reading an inventory takes steps in proportion to its size: counted, not timed."""

import sys

import pytest

from opsflow.inventory import load

GROUPS = 50


def native(hosts: int) -> str:
    each = hosts // GROUPS
    groups = "".join(
        f'[groups.g{n}]\nhosts = ["h{n}-[0:{each - 1}]"]\nvars = {{ shard = {n} }}\n[groups.t{n}]\nchildren = ["g{n}"]\n'
        for n in range(GROUPS)
    )
    return groups + "".join(
        f'[hosts.h{n}-{i}]\naddress = "10.0.0.{i}"\nvars = {{ i = {i} }}\n' for n in range(GROUPS) for i in range(each)
    )


def ini(hosts: int) -> str:
    each = hosts // GROUPS
    return "".join(
        f"[g{n}]\n"
        + "".join(f"h{n}-{i} ansible_host=10.0.0.{i} i={i} note='x y'\n" for i in range(each))
        + f"[g{n}:vars]\nshard={n}\n[t{n}:children]\ng{n}\n"
        for n in range(GROUPS)
    )


def yaml(hosts: int) -> str:
    each = hosts // GROUPS
    return "".join(
        f"t{n}:\n  children:\n    g{n}:\n      vars: {{shard: {n}}}\n      hosts:\n"
        + "".join(f"        h{n}-{i}: {{ansible_host: 10.0.0.{i}, i: {i}}}\n" for i in range(each))
        for n in range(GROUPS)
    )


def steps(path, text) -> int:
    """Calls that it takes to read a text and to find hosts in it."""
    path.write_text(text)
    count = 0

    def counting(*_):
        nonlocal count
        count += 1

    sys.setprofile(counting)
    try:
        inventory = load(str(path), project=path.parent)
        assert len(inventory.select("all & !h1-0")) == len(inventory.hosts) - 1
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(("name", "text"), [("i.toml", native), ("i.ini", ini), ("i.yml", yaml)])
def test_twice_the_hosts_are_twice_the_steps(tmp_path, name, text):
    steps(tmp_path / name, text(GROUPS))  # whatever is made only once
    small, big = (steps(tmp_path / name, text(GROUPS * each)) for each in (10, 20))
    assert small < big < 2.1 * small


def test_twice_the_groups_are_twice_the_steps(tmp_path):
    def groups(count: int) -> str:
        each = "[g{0}]\nh{0}\nh{1}\n[g{0}:vars]\nx={0}\n[t{2}:children]\ng{0}\n"
        return "h1-0\n" + "".join(each.format(n, n + 1, n % 7) for n in range(count))

    steps(tmp_path / "i.ini", groups(50))
    small, big = (steps(tmp_path / "i.ini", groups(count)) for count in (500, 1000))
    assert small < big < 2.1 * small
