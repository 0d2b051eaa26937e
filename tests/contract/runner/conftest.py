import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from runner_ground import RARE, SHELLS, Ground, installed

LONG = frozenset({"test_deaths", "test_cancelling", "test_keeping"})
"""Modules that take minutes with every shell."""


def pytest_generate_tests(metafunc):
    """Rare shells go through the long modules with OPSFLOW_FAULTS=1 only."""
    own = any("shell" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "shell" in metafunc.fixturenames and not own:
        rare = metafunc.definition.path.stem not in LONG or "OPSFLOW_FAULTS" in os.environ
        metafunc.parametrize("shell", [s for s in SHELLS if rare or s not in RARE], indirect=True)


@pytest.fixture
def shell(request):
    """The kind of shell that is the target's `sh`."""
    if not installed(request.param):
        reason = f"{request.param} is not installed"
        pytest.skip(reason)
    return request.param


@pytest.fixture
def ground(tmp_path, shell):
    ground = Ground(tmp_path / "target", shell)
    ground.epoch = 1
    yield ground
    ground.close()


@pytest.fixture
def many():
    """How many times as often as by default chance is tried: OPSFLOW_FAULTS=N."""
    return int(os.environ.get("OPSFLOW_FAULTS", "1"))
