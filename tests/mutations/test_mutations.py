"""Tests of tests: each thing that a promise rests on is taken away in a copy, and a test must fail there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import journal_mutations
import mutations

MUTATIONS = (*mutations.MUTATIONS, *journal_mutations.MUTATIONS)
TREE = Path(__file__).parents[2]
LONGEST = 120.0
_FAILED = 1
"""pytest's exit code where tests have failed; errors of another kind have others."""
_CHECK = """\
import pathlib
import opsflow, opsflow_tasks
here = pathlib.Path(__file__).parent
for module in (opsflow, opsflow_tasks):
    if not pathlib.Path(module.__file__).is_relative_to(here):
        raise SystemExit(f"{module.__file__} is not the copy")
"""


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Makes copies of the packages with their tests."""

    def copy():
        root = tmp_path_factory.mktemp("copy")
        ignored = shutil.ignore_patterns("__pycache__")
        for part in ("opsflow", "plugins", "tests/contract", "tests/unit/engine"):
            shutil.copytree(TREE / part, root / part, ignore=ignored)
        for file in ("pyproject.toml", "tests/conftest.py"):
            shutil.copy(TREE / file, root / file)
        (root / "is_the_copy.py").write_text(_CHECK)
        return root

    return copy


def run(root, tests):
    """Run tests in a copy, with what it imports being the copy's; exit code and output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "CI"))}
    environment["PYTHONPATH"] = f"{root}:{root / 'plugins'}"
    environment["OPSFLOW_FAULTS"] = "3"  # where chance has to find it, it does
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "is_the_copy", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_tests_pass_where_nothing_is_taken_away(copies):
    tests = dict.fromkeys(test for mutation in MUTATIONS for test in mutation.tests)
    code, text = run(copies(), tests)
    assert code == 0, text
    assert "skipped" not in text


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_test_fails_without(copies, mutation):
    root = copies()
    place = root / mutation.file
    files = sorted(place.glob("*.sh")) if place.is_dir() else [place]
    for old, new in mutation.edits:
        found = [file for file in files for _ in range(file.read_text().count(old))]
        assert len(found) == 1, f"{mutation.file} has changed: the mutation must be updated; not once in it: {old}"
        found[0].write_text(found[0].read_text().replace(old, new))
    code, text = run(root, mutation.tests)
    assert code == _FAILED, f"no test fails without {mutation.name}:\n{text}"
    assert "\nFAILED " in text, text
