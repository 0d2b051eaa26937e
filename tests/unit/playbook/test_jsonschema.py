"""What editors are told of playbooks: the schema takes what opsflow takes, and refuses what it refuses."""

from pathlib import Path

import pytest
import tomli
from jsonschema import Draft202012Validator

from opsflow.playbook.jsonschema import playbook_schema
from opsflow.plugins.registry import load_tasks

ROOT = Path(__file__).resolve().parents[3]
STEP = '[[step]]\nid = "one"\ntask = "command"\nhosts = "web"\nwith = { run = "true" }\n'


@pytest.fixture(scope="module")
def schema():
    return playbook_schema(load_tasks())


@pytest.fixture(scope="module")
def wrong(schema):
    """The places of what is wrong with a playbook."""
    validator = Draft202012Validator(schema)
    return lambda text: sorted(error.json_path for error in validator.iter_errors(tomli.loads(text)))


def test_it_is_a_schema(schema):
    Draft202012Validator.check_schema(schema)


def test_every_key_of_a_playbook_says_what_it_is_for(schema):
    tables = {"PlaybookFile": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, table in tables.items()
        if " " not in name  # those of tasks are theirs
        for key, about in table["properties"].items()
        if not about["description"]
    ]
    assert silent == []


def test_every_parameter_of_a_built_in_task_says_what_it_is_for(schema):
    silent = [
        f"{name}.{key}"
        for name, table in schema["$defs"].items()
        if name.startswith("with ")
        for key, about in table.get("properties", {}).items()
        if not about.get("description")
    ]
    assert silent == []


@pytest.mark.parametrize(
    "path", [*ROOT.glob("playbooks/*.toml"), *ROOT.glob("tests/acceptance/*.toml")], ids=lambda p: p.name
)
def test_playbooks_that_run_are_right(wrong, path):
    assert wrong(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        STEP,
        STEP + 'needs = ["two", { step = "three", per = "shard", optional = true }]',
        STEP + 'timeout = "10m"\nretry = { attempts = 3, delay = 2 }\nbecome = "www"',
        STEP.replace('{ run = "true" }', '{ run = "{{ what }}", changes = "{{ it }}" }'),
        STEP
        + 'foreach = ["a", { key = "b", port = 80 }]\nper = "item"\nwhen = "item"\nskip_depth = "all"\non = "lb-1"',
        STEP + 'foreach = "{{ them }}"',
        '[[step]]\nid = "db"\ninclude = "db.toml"\nvars = { name = "x" }\n',
        '[[step]]\nid = "ask"\ntask = "approve"\nwith = { message = "Go on?" }\n',
        '[[step]]\nid = "tell"\ntask = "notify"\nwith = { message = "Up.", command = "mail ops" }\n',
        STEP.replace("command", "stop_server").replace(
            'run = "true"', 'service = "x", haproxy = { socket = "/s", servers = ["a/b"] }'
        ),
        '[rollout]\nby = "shard"\nbatches = [1, "25%"]\nmax_failures = "0%"\npause = "30s"\n' + STEP,
        '[rollout]\nby = "host"\nhosts = "web"\nbatches = ["100%"]\npause = "approve"\n' + STEP,
    ],
)
def test_what_opsflow_takes_is_right(wrong, text):
    assert wrong(text) == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", ["$"]),
        ('[rollout]\nby = "x"\nbatches = []\n' + STEP, ["$.rollout.batches"]),
        ('[rollout]\nby = "x"\nbatches = ["101%"]\n' + STEP, ["$.rollout.batches[0]"]),
        ('[rollout]\nby = "x"\nbatches = [1]\nmax_failures = -1\n' + STEP, ["$.rollout.max_failures"]),
        ('flow = "sideways"\n' + STEP, ["$.flow"]),
        (STEP + "hots = 1", ["$.step[0]"]),
        (STEP + "at_once = 0", ["$.step[0].at_once"]),
        (STEP.replace("command", "comand"), ["$.step[0].task"]),
        (STEP.replace("run =", "rum ="), ["$.step[0].with", "$.step[0].with"]),
        (STEP.replace('with = { run = "true" }', ""), ["$.step[0]"]),
        (STEP.replace('"true"', "[1]"), ["$.step[0].with.run"]),
        (STEP.replace('hosts = "web"', ""), ["$.step[0]"]),
        (STEP + 'skip_depth = "deep"', ["$.step[0].skip_depth"]),
        (STEP + "foreach = 3", ["$.step[0].foreach"]),
        ('[[step]]\nid = "one"\n', ["$.step[0]"]),
        (STEP + "needs = [1]", ["$.step[0].needs[0]"]),
    ],
)
def test_what_opsflow_refuses_is_wrong_at_its_place(wrong, text, where):
    assert wrong(text) == where
