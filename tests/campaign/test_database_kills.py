"""A small part of what `make databases` does whole: controllers killed while a database is backed up and migrated."""

import os

import pytest
from database_ground import kept, missing
from database_rounds import Migration
from database_schema import RESTORED, UNDONE
from kills import VICTIMS, Round, play

ALONE, BOTH = VICTIMS
SHORT = {
    "sqlite": [
        Round(task="migrate", point=9, way="back", victim=BOTH, play=UNDONE),
        Round(task="backup", point=9, way="resume", victim=BOTH, play=UNDONE),
    ],
    "mysql": [
        Round(task="migrate", point=9, way="rollback", victim=BOTH, play=RESTORED),
        Round(task="backup", point=9, way="resume", victim=BOTH, play=UNDONE),
    ],
    "postgresql": [
        Round(task="migrate", point=9, way="back", victim=BOTH, play=RESTORED),
        Round(task="migrate", point=9, way="resume", victim=ALONE, play=UNDONE),
    ],
}
SECONDS = 0.3
"""From the beginning of the task, which takes longer; nobody measures here how much."""
ROWS = 3_000


@pytest.mark.parametrize("engine", SHORT)
def test_a_database_is_migrated_once_or_is_what_it_was_and_nothing_is_left(engine, tmp_path):
    if reason := missing():
        pytest.skip(reason)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with kept(tmp_path, engine, ROWS, address=f"127.0.148.{1 + worker}") as database:
        one = Migration(database)
        told = [play(one, {played: SECONDS}, played) for played in SHORT[engine]]
    assert [(one.line(), one.wrong) for one in told if one.wrong] == []
    assert any(one.hit for one in told)
