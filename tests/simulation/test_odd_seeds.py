"""Whole runs in simulated time, half of them here: a worker takes a whole file.

A failure names its seed, which `make simulate SEED=N` plays again.
"""

import pytest
from sim_seeds import CHUNKS, Seeds


@pytest.fixture(scope="module")
def seeds():
    return Seeds(1)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_whatever_befalls_a_run_the_journal_says_what_is_so(chunk, seeds):
    seeds.play(chunk)


def test_everything_that_may_befall_a_run_does_so(seeds):
    assert seeds.missing() == []
