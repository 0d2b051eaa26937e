"""Whatever stands in an inventory: it is read, or told what is wrong with it, and never a traceback.

`OPSFLOW_FUZZ=25000` tries that many inputs of each sort (60; in CI 900, which are 10,000).
"""

import json
import os
import time
from pathlib import Path

import pytest
from agreement_cases import CASES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_wrong_inventories import CASES as WRONG

from opsflow.errors import InputError
from opsflow.inventory import explain, load, script
from opsflow.playbook import TemplateRenderer

INPUTS = int(os.environ.get("OPSFLOW_FUZZ", "900" if os.environ.get("CI") else "60"))
LONG = INPUTS > 1000
many = settings(
    max_examples=INPUTS,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

WORDS = [
    "all", "ungrouped", "hosts", "vars", "children", "groups", "ssh", "web", "db", "w[1:3]", "a", "b.example:22", "localhost", "_meta",
    "hostvars", "ansible_host", "ansible_port", "ansible_user", "ansible_connection", "ansible_become", "ansible_timeout",
    "ansible_ssh_common_args", "ansible_become_password", "ansible_group_priority", "address", "port", "user", "jump", "transport",
    "become_password", "host", "x", "", "<<", "plugin",
]  # fmt: skip
VALUES = [
    "{{ x }}", "{{ inventory_hostname }}", "{% if", "10.0.0.1", "22", "yes", "-o ProxyJump=b -J 'c", '-o ProxyCommand="ssh -W %h:%p b"',
    "{{ secret('env:X') }}", "!vault x", "w[3:1]", "[1, 2", "é", "\u2028", "a b", "docker",
]  # fmt: skip
names = st.sampled_from(WORDS) | st.text(max_size=6)
scalars = (
    st.sampled_from(WORDS + VALUES) | st.integers() | st.floats() | st.booleans() | st.none() | st.text(max_size=8)
)
shapes = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5), max_leaves=25
)
tables = st.dictionaries(names, shapes, max_size=6)
TEXTS = sorted(
    {text for files in CASES.values() for text in files.values() if text and not text.startswith("#!")}
    | {text for files, _ in WRONG.values() for text in files.values() if text and not text.startswith("#!")}
)
pieces = st.sampled_from(
    [
        *WORDS,
        *VALUES,
        "\n",
        "[",
        "]",
        "{",
        "}",
        ":",
        "=",
        " ",
        "\t",
        "'",
        '"',
        "#",
        "&a",
        "*a",
        "- ",
        "\\",
        "\0",
        "99999",
    ]
)


@st.composite
def mutated(draw):
    """A text that people write, changed in a few places."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 10])))
        text = text[:start] + draw(pieces | st.text(max_size=3)) + text[end:]
    return text


ini_words = st.sampled_from(
    ["[web]", "[web:vars]", "[db:children]", "[x:y]", "a", "w[1:3]:22", "#", "=", *WORDS]
) | st.builds("{}={}".format, names, st.sampled_from(VALUES))
ini_texts = st.lists(st.lists(ini_words, max_size=4).map(" ".join), max_size=12).map("\n".join)


def toml(value) -> str:
    """A value as TOML has it, as far as there is a form of it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return (
        {None: "nan"}.get(value, str(value).lower())
        if value is None or isinstance(value, int | float)
        else json.dumps(value)
    )


@pytest.fixture
def is_read_or_refused(tmp_path):
    renderer = TemplateRenderer(directory=str(tmp_path), hosts=lambda _: [])

    def is_read_or_refused(name: str, text: str) -> None:
        path: Path = tmp_path / name
        path.write_bytes(text.encode(errors="surrogatepass"))
        start = time.process_time()
        try:
            inventory = load(str(path), project=tmp_path, renderer=renderer)
            if LONG:
                assert time.process_time() - start < 1 + len(inventory.hosts) / 5000
            for host in [*inventory.hosts][:3]:
                json.dumps(dict(inventory.hosts[host].vars), allow_nan=False)
                found = explain(str(path), host, project=tmp_path, renderer=renderer)
                assert set(inventory.hosts[host].vars) - {each.name for each in found.variables} <= {
                    "inventory_hostname", "inventory_hostname_short", "group_names",
                }  # fmt: skip
            inventory.select("all")
        except InputError as error:
            assert error.problems  # noqa: PT017 - either way is right
            for problem in error.problems:
                assert str(problem)
                assert problem.position is None or problem.position.line <= text.count("\n") + 1

    return is_read_or_refused


@pytest.mark.parametrize("name", ["i.toml", "i.ini", "i.yml", "i.json", "hosts"])
@many
@given(text=mutated())
def test_texts_that_people_write_with_mistakes(is_read_or_refused, name, text):
    is_read_or_refused(name, text)


@pytest.mark.parametrize("name", ["i.ini", "hosts"])
@many
@given(text=ini_texts)
def test_lines_of_words(is_read_or_refused, name, text):
    is_read_or_refused(name, text)


@pytest.mark.parametrize("name", ["i.yml", "i.json"])
@many
@given(data=tables)
def test_yaml_of_any_shape(is_read_or_refused, name, data):
    is_read_or_refused(name, json.dumps(data))


@many
@given(data=tables)
def test_toml_of_any_shape(is_read_or_refused, data):
    is_read_or_refused("i.toml", "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in data.items()))


@many
@given(data=tables | shapes)
def test_whatever_a_program_prints(is_read_or_refused, monkeypatch, tmp_path, data):
    (tmp_path / "program").touch(mode=0o755)
    monkeypatch.setattr(script, "_printed", lambda *_: json.dumps(data).encode())
    is_read_or_refused("program", "#!/bin/sh\n")


@many
@given(data=shapes)
def test_whatever_stands_in_a_file_of_variables(is_read_or_refused, tmp_path, data):
    (tmp_path / "group_vars").mkdir(exist_ok=True)
    (tmp_path / "group_vars" / "all.yml").write_text(json.dumps(data), encoding="utf-8")
    is_read_or_refused("i.ini", "[web]\na\nb\n")
