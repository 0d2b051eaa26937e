import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from opsflow.testing.machines import machines_missing
from opsflow.testing.sshd import sshd_path


def refuse(reason):
    """Skip, but not where nothing may be skipped."""
    pytest.skip(reason)


@pytest.fixture(scope="module")
def machines_possible():
    if reason := machines_missing():
        refuse(reason)


@pytest.fixture(scope="module")
def sshd_possible():
    if sshd_path() is None:
        refuse("sshd is not installed")
