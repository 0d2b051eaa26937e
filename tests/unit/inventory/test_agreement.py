"""Ansible's inventories are read as Ansible reads them: opsflow and `ansible-inventory --list` agree."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from agreement_cases import CASES

from opsflow.inventory import load


def written(directory: Path, files: dict[str, str]) -> Path:
    """The inventory, with what stands beside it."""
    for name, content in files.items():
        path = directory / name.removesuffix("*")
        if name.endswith("/"):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="")
        if name.endswith("*"):
            path.chmod(0o755)
    return directory / next(iter(files)).rstrip("/*")


@pytest.fixture(scope="session")
def sources(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("agreement")
    return {case: written(root / str(number), files) for number, (case, files) in enumerate(CASES.items())}


@pytest.fixture(scope="session")
def by_ansible(sources, tmp_path_factory) -> dict[str, dict]:
    if find_spec("ansible") is None:
        pytest.skip("ansible-core is not installed")
    home = tmp_path_factory.mktemp("ansible")
    (home / "ansible.cfg").touch()
    environment = {
        "HOME": str(home),
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
    }
    program = Path(__file__).with_name("ansible_list.py")
    answer = subprocess.run(
        [sys.executable, program, *sources.values()],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    said = json.loads(answer.stdout)
    return {case: said[str(path)] for case, path in sources.items()}


def members(listed: dict, group: str) -> set[str]:
    """All hosts of a group, its children's included."""
    said = listed.get(group, {})
    return set(said.get("hosts", ())).union(*(members(listed, child) for child in said.get("children", ())))


def test_there_are_at_least_thirty():
    assert len(CASES) >= 30


@pytest.mark.parametrize("case", CASES)
def test_opsflow_and_ansible_agree_on_hosts_groups_and_variables(case, sources, by_ansible):
    listed = by_ansible[case]
    assert "failed" not in listed
    variables = listed["_meta"]["hostvars"]
    inventory = load(str(sources[case]), project=sources[case].parent)
    assert set(inventory.hosts) == members(listed, "all")
    # A template names `inventory_hostname`: with Ansible every host has it, and `--list` does not tell.
    own = {host: dict(found.vars) for host, found in inventory.hosts.items()}
    for found in own.values():
        found.pop("inventory_hostname", None)
    assert own == {host: variables.get(host, {}) for host in own}
    groups = {name: set(hosts) for name, hosts in inventory.groups.items()}
    told = {name for name in listed if name != "_meta"} - {"all"}
    assert {name: groups[name] for name in told} == {name: members(listed, name) for name in told}
    assert not any(hosts for name, hosts in groups.items() if name not in told | {"all"})


def test_hosts_come_in_the_order_in_which_they_are_named(sources):
    inventory = load(str(sources["directory: several sources in order"]), project=Path("/"))
    assert list(inventory.hosts) == ["w1", "w2", "d1", "w3"]
