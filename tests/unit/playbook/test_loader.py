import hashlib
from pathlib import Path

import pytest

from opsflow.errors import Position
from opsflow.model import InputSpec, Irreversible, Need, OnFailure, OnUnknown, Retry
from opsflow.playbook import load

FULL = """
name = "upgrade"
description = "All of it."
flow = "graph"

[inputs]
release = { type = "string", required = true, description = "Version." }
count = { type = "integer", default = 3 }

[vars]
artifact = "game-{{ release }}.tar.gz"

[defaults]
timeout = "10m"
retry = { attempts = 3, delay = "2s" }
per = "shard"
on_failure = "halt"
rollback_scope = "host"
on_unknown = "rerun"

[[step]]
id = "first"
task = "command"
hosts = "game"
with = { run = "true", env = { a = "b" } }

[[step]]
id = "second"
task = "command"
hosts = "db & !db-2"
needs = ["first", { step = "first", per = "host", optional = true }]
when = "count > 2"
run_once = "shard"
at_once = 2
timeout = 30
revert_timeout = "1m"
on_failure = "continue"
irreversible = "allow"
tags = ["slow"]
notes = "mind the gap"
vars = { x = 1 }

[step.retry]
backoff = 2

[step.with]
run = '''
echo {{ x }}
'''
"""


def test_every_key_of_a_playbook_arrives_in_the_model(load_text):
    playbook = load_text(FULL)
    assert (playbook.name, playbook.description, playbook.flow) == ("upgrade", "All of it.", "graph")
    assert playbook.vars == {"artifact": "game-{{ release }}.tar.gz"}
    place = Position(file=playbook.path, line=7, column=1)
    assert playbook.inputs[0] == InputSpec(name="release", required=True, description="Version.", source=place)
    assert (playbook.inputs[1].type, playbook.inputs[1].default) == ("integer", 3)
    second = playbook.steps[1]
    assert (second.id, second.task, second.hosts) == ("second", "command", "db & !db-2")
    assert second.needs == (Need(step="first"), Need(step="first", per="host", optional=True))
    assert (second.when, second.run_once, second.at_once) == ("count > 2", "shard", 2)
    assert (second.timeout, second.revert_timeout) == (30.0, 60.0)
    assert (second.irreversible, second.tags, second.notes) == (Irreversible.ALLOW, ("slow",), "mind the gap")
    assert (second.vars, second.params) == ({"x": 1}, {"run": "echo {{ x }}\n"})


def test_defaults_apply_to_a_step_that_says_nothing(load_text):
    first = load_text(FULL).steps[0]
    assert (first.timeout, first.per, first.rollback_scope) == (600.0, "shard", "host")
    assert (first.on_failure, first.on_unknown) == (OnFailure.HALT, OnUnknown.RERUN)
    assert first.retry == Retry(attempts=3, delay=2.0)


def test_what_a_step_says_itself_replaces_the_default_as_a_whole(load_text):
    second = load_text(FULL).steps[1]
    assert second.on_failure is OnFailure.CONTINUE
    assert second.retry == Retry(backoff=2.0)


def test_without_defaults_a_step_has_those_of_the_contract(load_text):
    (step,) = load_text('[[step]]\nid = "a"\ntask = "t"\nhosts = "h"\n').steps
    assert (step.needs, step.per, step.rollback_scope, step.timeout) == (None, "all", "run", None)
    assert (step.on_failure, step.on_unknown, step.irreversible) == (
        OnFailure.ROLLBACK,
        OnUnknown.ASK,
        Irreversible.STOP,
    )
    assert step.retry == Retry()


def test_become_is_root_or_a_user_and_false_takes_a_default_back(load_text):
    step = '[[step]]\nid = "{}"\ntask = "t"\nhosts = "h"\n{}\n'
    said = ["", "become = false", "become = true", 'become = "www-data"']
    steps = "".join(step.format(f"s{n}", line) for n, line in enumerate(said))
    assert [s.become for s in load_text(steps).steps] == [None, "", "root", "www-data"]
    default = '[defaults]\nbecome = "db"\n'
    assert [s.become for s in load_text(default + steps).steps] == ["db", "", "root", "www-data"]


def test_no_needs_and_empty_needs_are_told_apart(load_text):
    step = '[[step]]\nid = "{}"\ntask = "t"\nhosts = "h"\n{}\n'
    first, second = load_text(step.format("a", "") + step.format("b", "needs = []")).steps
    assert first.needs is None
    assert second.needs == ()


def test_a_step_knows_where_it_and_each_of_its_keys_stand(load_text):
    playbook = load_text(FULL)
    first, second = playbook.steps
    lines = Path(playbook.path).read_text().splitlines()

    def text_at(position):
        return lines[position.line - 1][position.column - 1 :]

    assert text_at(first.source) == "[[step]]"
    assert text_at(second.source) == "[[step]]"
    assert second.source.line > first.source.line
    assert text_at(first.positions["hosts"]).startswith("hosts =")
    assert text_at(first.positions["with.env.a"]).startswith("a =")
    assert text_at(second.positions["with.run"]).startswith("run =")
    assert text_at(second.positions["retry.backoff"]).startswith("backoff =")
    assert text_at(second.positions["vars.x"]).startswith("x =")
    assert text_at(second.positions["needs.1.per"]).startswith("per =")


def test_a_playbook_without_a_name_is_named_like_its_file(load_text):
    assert load_text('[[step]]\nid = "a"\ntask = "t"\nhosts = "h"\n').name == "p"


def test_the_digest_is_that_of_the_bytes(load_text):
    playbook = load_text(FULL)
    assert playbook.digest == hashlib.sha256(Path(playbook.path).read_bytes()).hexdigest()


STEP = '[[step]]\nid = "a"\ntask = "t"\nhosts = "h"\n'


@pytest.mark.parametrize(
    ("marker", "file", "expected"),
    [
        (None, "p.toml", "."),
        (None, "sub/p.toml", "sub"),
        (None, "playbooks/p.toml", "."),
        (None, "playbooks/deep/p.toml", "."),
        ("opsflow.toml", "a/b/p.toml", "."),
        ("a/opsflow.toml", "a/playbooks/p.toml", "a"),
        ("opsflow.toml", "x/playbooks/p.toml", "."),
    ],
)
def test_the_project_directory_is_found_from_the_playbook(tmp_path, monkeypatch, marker, file, expected):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STEP)
    if marker:
        (tmp_path / marker).write_text("")
    monkeypatch.chdir(tmp_path)
    playbook = load(Path(file))
    assert playbook.path == file
    assert Path(playbook.directory) == tmp_path / expected
