import json

import pytest

NOTES = "playbooks/notes.toml"


@pytest.fixture
def ran(project, opsflow):
    opsflow("apply", NOTES, "--yes")
    opsflow("apply", NOTES, "--yes")
    return [run["id"] for run in json.loads(opsflow("runs", "--output", "json").out)]


def test_runs_are_listed_newest_first(ran, opsflow):
    assert ran == sorted(ran, reverse=True)
    lines = opsflow("runs").out.splitlines()
    assert [line.split()[0] for line in lines] == ["RUN", *ran]
    assert len(opsflow("runs", "-n", "1").out.splitlines()) == 2


def test_show_takes_the_newest_or_the_one_named(ran, opsflow):
    assert opsflow("show").out.startswith(f"run {ran[0]}: ")
    assert opsflow("show", ran[1]).out.startswith(f"run {ran[1]}: ")


def test_an_unknown_run_is_an_error(ran, opsflow):
    ended = opsflow("show", "nothing")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")


def test_times_are_utc(ran, opsflow):
    (first, _) = json.loads(opsflow("runs", "--output", "json").out)
    assert first["started"].endswith("Z")
    assert json.loads(opsflow("runs", "--output", "jsonl").out.splitlines()[0]) == first
