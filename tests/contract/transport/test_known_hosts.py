"""Reading known_hosts files."""

import paramiko
import pytest
from paramiko import HostKeys

from opsflow.transport.known_hosts import known_keys, known_name

KEY = paramiko.ECDSAKey.generate()
OTHER = paramiko.ECDSAKey.generate()
TEXT = f"{KEY.get_name()} {KEY.get_base64()}"
OTHER_TEXT = f"{OTHER.get_name()} {OTHER.get_base64()}"


@pytest.mark.parametrize(
    ("names", "name"),
    [
        ("host", "host"),
        ("first,host,last", "host"),
        ("Host.Example.COM", "host.example.com"),
        ("*.example.com", "a.example.com"),
        ("h?st", "host"),
        ("[10.0.0.1]:2222", "[10.0.0.1]:2222"),
        ("[*.example.com]:2222", "[a.example.com]:2222"),
        pytest.param(HostKeys.hash_host("host"), "host", id="hashed"),  # salted: never the same text twice
    ],
)
def test_a_host_is_found(tmp_path, names, name):
    (tmp_path / "known").write_text(f"# a comment\n\n{names} {TEXT} a comment\n")
    assert known_keys(name, [tmp_path / "known"]).trusted == (KEY,)


@pytest.mark.parametrize(
    ("names", "name"),
    [
        ("host", "host.example.com"),
        ("hosts", "host"),
        ("host", "[host]:2222"),
        ("*.example.com,!a.example.com", "a.example.com"),
        pytest.param(HostKeys.hash_host("other"), "host", id="hashed"),
        ("#host", "host"),
        ("@cert-authority host", "host"),
    ],
)
def test_another_host_is_not_found(tmp_path, names, name):
    (tmp_path / "known").write_text(f"{names} {TEXT}\n")
    assert known_keys(name, [tmp_path / "known"]).trusted == ()


def test_all_files_count_and_missing_ones_are_empty(tmp_path):
    (tmp_path / "first").write_text(f"host {TEXT}\n")
    (tmp_path / "second").write_text(f"host {OTHER_TEXT}\n@revoked host {TEXT}\n")
    found = known_keys("host", [tmp_path / "first", tmp_path / "missing", tmp_path / "second"])
    assert found.trusted == (KEY, OTHER)
    assert found.revoked == (KEY,)


@pytest.mark.parametrize("damage", ["host", "host ssh-ed25519", "host ssh-ed25519 AAAA!", "host made-up-type AAAA"])
def test_a_damaged_line_is_passed_over(tmp_path, damage):
    (tmp_path / "known").write_text(f"{damage}\nhost {TEXT}\n")
    assert known_keys("host", [tmp_path / "known"]).trusted == (KEY,)


def test_the_port_is_part_of_the_name_unless_it_is_22():
    assert known_name("host", 22) == "host"
    assert known_name("host", 2222) == "[host]:2222"


def test_a_file_that_changed_is_read_again(tmp_path):
    file = tmp_path / "known"
    file.write_text(f"host {TEXT}\n")
    assert known_keys("host", [file]).trusted == (KEY,)
    (tmp_path / "new").write_text(f"host {OTHER_TEXT}\n")
    (tmp_path / "new").replace(file)
    assert known_keys("host", [file]).trusted == (OTHER,)
