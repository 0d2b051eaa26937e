import hashlib
from pathlib import Path

import pytest

from opsflow.errors import InputError
from opsflow.inventory import load
from opsflow.inventory.schema import ConnectionKeys
from opsflow.model import Connection


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / "prod.toml").write_text('[groups.g]\nhosts = ["from-prod"]\n')
    (tmp_path / "inventories" / "stage.toml").write_text("[hosts.from-stage]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_name_is_a_file_below_inventories(project):
    inventory = load("prod", project=project)
    assert list(inventory.hosts) == ["from-prod"]
    assert Path(inventory.path) == project / "inventories" / "prod.toml"


def test_a_name_means_the_projects_inventory_even_if_a_file_of_that_name_is_here(project):
    (project / "prod").write_text("[hosts.wrong]\n")
    assert list(load("prod", project=project).hosts) == ["from-prod"]


@pytest.mark.parametrize("source", ["inventories/stage.toml", "./inventories/stage.toml"])
def test_a_path_is_taken_from_where_the_caller_is(project, source):
    inventory = load(source, project=Path("/nowhere"))
    assert list(inventory.hosts) == ["from-stage"]


def test_names_with_commas_are_a_literal_list(project):
    source = "b.example, a-[1:2],b.example,localhost,"
    inventory = load(source, project=project)
    assert list(inventory.hosts) == ["b.example", "a-1", "a-2", "localhost"]
    assert inventory.groups == {"all": ["b.example", "a-1", "a-2", "localhost"]}
    assert inventory.hosts["a-1"].connection == Connection(address="a-1")
    assert inventory.hosts["localhost"].connection.transport == "local"
    assert inventory.path == source
    assert inventory.digest == hashlib.sha256(source.encode()).hexdigest()


@pytest.mark.parametrize(("source", "count"), [(",", 1), ("a[3:1],b c,d", 2)])
def test_a_malformed_literal_list_is_refused_with_all_its_faults(project, source, count):
    with pytest.raises(InputError) as caught:
        load(source, project=project)
    assert len(caught.value.problems) == count


def test_a_name_that_is_not_there_is_told_with_what_is(project):
    with pytest.raises(InputError) as caught:
        load("prd", project=project)
    (problem,) = caught.value.problems
    assert problem.message == "there is no inventory `prd`"
    assert problem.hint == "did you mean `prod`? there is: prod, stage"


def test_without_any_inventory_the_way_to_give_a_single_host_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"-i 'web\.example,'"):
        load("web.example", project=tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.yml", "all:\n  hosts:\n    h:\n"), ("x.yaml", "all: {hosts: {h: }}"), ("x.ini", "h\n"), ("x", "[g]\nh\n")],
)
def test_a_name_means_an_inventory_of_any_form(project, name, content):
    (project / "inventories" / name).write_text(content)
    for source in ("x", f"inventories/{name}"):
        assert list(load(source, project=project).hosts) == ["h"]


def test_of_two_forms_of_one_name_the_native_one_counts(project):
    (project / "inventories" / "prod.ini").write_text("from-ini\n")
    assert list(load("prod", project=project).hosts) == ["from-prod"]


def test_a_directory_and_a_program_are_inventories(project):
    many = project / "inventories" / "many"
    many.mkdir()
    (many / "a.toml").write_text('[groups.g]\nhosts = ["from-toml"]\nchildren = ["from_ini"]\n')
    (many / "b.ini").write_text("[from_ini]\nfrom-ini\n")
    program = many / "program"
    program.write_text('#!/bin/sh\necho \'{"g": ["from-program"]}\'\n')
    program.chmod(0o755)
    inventory = load("many", project=project)
    assert inventory.groups["g"] == ["from-toml", "from-ini", "from-program"]
    assert inventory.path == str(many)
    assert load("inventories/many/program", project=project).groups["g"] == ["from-program"]


def test_the_digest_of_a_directory_is_another_if_any_of_it_is(project):
    many = project / "inventories" / "many"
    many.mkdir()
    (many / "a.ini").write_text("a\n")
    (many / "group_vars").mkdir()
    before = load("many", project=project).digest
    (many / "group_vars" / "all.yml").write_text("x: 1\n")
    after = load("many", project=project).digest
    (many / "group_vars" / "all.yml").write_text("x: 2\n")
    assert len({before, after, load("many", project=project).digest}) == 3


def test_a_directory_that_leads_to_itself_is_read_once(project):
    many = project / "inventories" / "many"
    many.mkdir()
    (many / "a.ini").write_text("a\n")
    (many / "again").symlink_to(many)
    assert list(load("many", project=project).hosts) == ["a"]


def test_what_the_inventory_does_not_say_of_ssh_is_taken_from_the_project(tmp_path):
    defaults = ConnectionKeys(user="ops", key_file="keys/ops", keepalive="5s", port=2222)
    (tmp_path / "opsflow.toml").touch()
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / "i.toml").write_text('[ssh]\nport = 22\n[hosts.a]\nuser = "a"\n[hosts.b]\n')
    hosts = load("i", project=tmp_path, defaults=defaults).hosts
    assert (hosts["a"].connection.user, hosts["b"].connection.user) == ("a", "ops")
    assert hosts["a"].connection.port == 22
    assert hosts["a"].connection.keepalive == 5.0
    listed = load("c,", project=tmp_path, defaults=defaults).hosts["c"].connection
    assert (listed.port, listed.key_file) == (2222, str(tmp_path / "keys" / "ops"))
