import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from runner_ground import SHELLS, Ground, installed


@pytest.fixture(params=list(SHELLS))
def shell(request):
    """The kind of shell that is the target's `sh`."""
    if not installed(request.param):
        reason = f"{request.param} is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
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
