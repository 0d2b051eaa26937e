"""Whole runs in simulated time: seeds, each with another plan and other things that befall it.

OPSFLOW_SIMULATED=N plays N of them; `make simulate` any number, and one again. A failure names its seed.
"""

import os

import pytest
from sim_database import Ledger
from simulation import Play

SEEDS = int(os.environ.get("OPSFLOW_SIMULATED", "10000"))
CHUNKS = 20


@pytest.fixture(scope="module")
def ledger():
    return Ledger()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_whatever_befalls_a_run_the_journal_says_what_is_so(chunk, ledger):
    for seed in range(chunk, SEEDS, CHUNKS):
        try:
            Play(seed, ledger).run()
        except BaseException as error:
            error.add_note(f"make simulate SEED={seed}")
            raise


def test_a_seed_tells_the_same_story_again(ledger):
    stories = ([], [])
    for story in stories:
        for seed in range(20):
            Play(seed, ledger, story.append).run()
    assert stories[0] == stories[1]
    assert stories[0]
