"""A seed is one story, and no other."""

import subprocess
import sys
from pathlib import Path

import pytest
from sim_database import Ledger
from simulation import Play

HERE = Path(__file__).parent
STORIES = 20


@pytest.fixture(scope="module")
def ledger():
    return Ledger()


def stories(ledger):
    told = []
    for seed in range(STORIES):
        Play(seed, ledger, told.append).run()
    return told


def test_a_seed_tells_the_same_story_again(ledger):
    told = stories(ledger)
    assert told
    assert told == stories(ledger)


def test_one_command_replays_a_seed_in_another_process_and_tells_its_story(ledger):
    told = []
    Play(17, ledger, told.append).run()
    command = [sys.executable, str(HERE / "sim_play.py"), "--seed", "17"]
    played = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "\n".join(told) in played.stdout
    assert "seed 17: nothing is wrong" in played.stdout
