"""Tests of the simulation: what runs rest on is taken away in a copy, and a seed has to show it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sim_mutants import MUTANTS

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "opsflow"
LONGEST = 600.0


def play(root, seeds, first=0):
    """Play seeds against the package in a directory, one after another, up to the first that fails."""
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, str(root / "simulation" / "sim_play.py"), "--first", str(first), "--seeds", str(seeds)]
    return subprocess.run(
        [*command, "--until-one-fails"], env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
    )


@pytest.fixture
def copy(tmp_path):
    for directory in (PACKAGE, HERE):
        shutil.copytree(directory, tmp_path / directory.name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_is_taken_away_is_missed(mutant, copy):
    for name, before, after in mutant.edits:
        file = copy / name
        text = file.read_text()
        assert text.count(before) == 1, f"{name} does not say {before!r} any more"
        file.write_text(text.replace(before, after))
    played = play(copy, mutant.seeds, mutant.first)
    assert ": AssertionError: " in played.stdout, f"{mutant.seeds} seeds do not show it\n{played.stderr}"
    assert played.returncode == 1


def test_nothing_is_missed_where_nothing_is_taken_away(copy):
    played = play(copy, 100)
    assert (played.returncode, played.stdout) == (0, ""), played.stdout + played.stderr
    assert str(copy) in played.stderr, "it is not the copy that was played"
