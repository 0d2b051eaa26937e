"""Programs that tell an inventory."""

import time
from pathlib import Path

import pytest

from opsflow.errors import InputError
from opsflow.inventory import load, script


@pytest.fixture
def program(tmp_path):
    def program(text):
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return program


def is_alive(process: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def test_one_that_does_not_end_is_ended_with_all_that_it_began(program, monkeypatch, tmp_path):
    monkeypatch.setattr(script, "_PATIENCE", 5.0)
    path = program(f"sleep 300 & echo $! >{tmp_path}/pid; wait")
    with pytest.raises(InputError, match=r"`program --list` has not ended within 5 s"):
        load(str(path), project=tmp_path)
    child = int((tmp_path / "pid").read_text())
    until = time.monotonic() + 60
    while is_alive(child):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_one_that_asks_gets_no_answer(program, tmp_path):
    path = program('read line && exit 1; echo \'{"g": ["h"]}\'')
    assert list(load(str(path), project=tmp_path).hosts) == ["h"]


def test_it_is_found_where_it_is_and_not_in_the_path(program, tmp_path, monkeypatch):
    program('echo \'{"g": ["own"]}\'').rename(tmp_path / "true")
    monkeypatch.chdir(tmp_path)
    assert list(load("true", project=tmp_path).hosts) == ["own"]


def test_what_ansible_inventory_prints_of_values_of_a_sort_of_their_own_is_understood(program, tmp_path):
    path = program(
        """cat <<'END'
{"g": {"hosts": ["h"], "vars": {"raw": {"__ansible_unsafe": "{{ x }}"}, "list": [{"__ansible_vault": "$ANSIBLE_VAULT;1"}]}},
 "_meta": {"hostvars": {}}}
END"""
    )
    inventory = load(str(path), project=tmp_path)
    assert inventory.hosts["h"].vars == {"raw": '{{ "{{ x }}" }}'}
    (notice,) = inventory.notices
    assert "ansible-vault has encrypted" in notice.message


def test_values_come_from_the_program_as_a_whole(program, tmp_path):
    path = program('echo \'{"g": {"hosts": ["h"], "vars": {"ansible_port": "x"}}}\'')
    with pytest.raises(InputError) as caught:
        load(str(path), project=tmp_path)
    (problem,) = caught.value.problems
    assert problem.message == f"{path}: `ansible_port` must be a number from 1 to 65535"
    assert problem.position is None


@pytest.mark.parametrize("depth", [60, 900, 100_000])
def test_what_is_nested_too_deeply_is_told(program, tmp_path, depth):
    (tmp_path / "answer").write_text(
        '{"g": {"hosts": ["h"], "vars": {"x": ' + "[" * depth + "]" * depth + '}}, "_meta": {"hostvars": {}}}'
    )
    path = program(f"cat {tmp_path}/answer")
    try:
        inventory = load(str(path), project=tmp_path)
    except InputError as error:
        told = str(error)
    else:
        (notice,) = inventory.notices
        told = notice.message
        assert inventory.hosts["h"].vars == {}
    assert "nested" in told
