"""What editors are told of inventories."""

from pathlib import Path

import pytest
import tomli
from jsonschema import Draft202012Validator

from opsflow.inventory.jsonschema import inventory_schema

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def wrong():
    schema = inventory_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    return lambda text: sorted(error.json_path for error in validator.iter_errors(tomli.loads(text)))


def test_every_key_says_what_it_is_for():
    schema = inventory_schema()
    tables = [schema, *schema["$defs"].values()]
    assert all(about["description"] for table in tables for about in table["properties"].values())


def test_the_demos_inventory_is_right(wrong):
    assert wrong((ROOT / "inventories" / "demo.toml").read_text()) == []


def test_what_opsflow_takes_is_right(wrong):
    text = """
    vars = { env = "prod" }
    [ssh]
    jump = "bastion"
    keepalive = "30s"
    become_password = "{{ secret('env:SUDO') }}"
    [groups.web]
    hosts = ["web-[01:20]"]
    [hosts.web-01]
    address = "10.0.0.1"
    jump = ["a", "ops@b:2222"]
    """
    assert wrong(text) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[ssh]\nport = 70000", ["$.ssh.port"]),
        ("[ssh]\nprot = 22", ["$.ssh"]),
        ('[ssh]\nbecome_password = "secret"', ["$.ssh.become_password"]),
        ('[groups.web]\nhosts = "web"', ["$.groups.web.hosts"]),
        ("[host.web]", ["$"]),
    ],
)
def test_what_opsflow_refuses_is_wrong_at_its_place(wrong, text, where):
    assert wrong(text) == where
