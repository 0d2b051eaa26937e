"""A small part of what `make databases` does whole: controllers killed while a database is backed up and migrated."""

import os

import pytest
from database_ground import kept, missing
from database_rounds import Migration
from database_schema import RESTORED, UNDONE
from kill_campaign import campaign
from kills import VICTIMS, Round

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
ROWS = 3_000


class Soon:
    """Moments of rounds, in seconds from the beginning of a task; nobody measures here how long that takes."""

    def __init__(self):
        self._seconds = {}

    def __getitem__(self, played):
        return self._seconds.get(played, 0.3)

    def came_too_late(self, played):
        self._seconds[played] = self[played] / 3


@pytest.mark.parametrize("engine", SHORT)
def test_a_database_is_migrated_once_or_is_what_it_was_and_nothing_is_left(engine, tmp_path):
    if reason := missing():
        pytest.skip(reason)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with kept(tmp_path, engine, ROWS, address=f"127.0.148.{1 + worker}") as database:
        told = campaign(Migration(database), Soon(), SHORT[engine])
    assert [(one.line(), one.wrong) for one in told if one.wrong] == []
    assert [one.round for one in told if one.hit] == SHORT[engine]
