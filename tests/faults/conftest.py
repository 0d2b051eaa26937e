import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fault_ground import Ground

from opsflow.testing import SshdFleet
from opsflow.testing.mariadb import PrivateMariaDB, installed
from opsflow.testing.postgresql import PrivatePostgreSQL
from opsflow.testing.postgresql import installed as postgresql_installed
from opsflow.testing.sshd import sshd_path

_WORKERS = 8


def _missing(what):
    reason = f"{what} is not installed; faults are not tested with it"
    pytest.skip(reason)


@pytest.fixture(scope="session")
def many():
    """How many times as often as by default chance is tried: OPSFLOW_FAULTS=N."""
    return int(os.environ.get("OPSFLOW_FAULTS", "1"))


@pytest.fixture(scope="session")
def address():
    """The first address of this worker's hosts; no other tests' hosts are there."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return f"127.0.{160 + int(worker) % _WORKERS}.1"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, address):
    if sshd_path() is None:
        _missing("sshd")
    with SshdFleet(tmp_path_factory.mktemp("hosts"), ["one", "two"], first_address=address) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory):
    if not installed():
        _missing("mariadbd")
    with PrivateMariaDB(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(scope="module")
def postgresql():
    if not postgresql_installed():
        _missing("postgresql")
    with PrivatePostgreSQL() as server:
        yield server


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request):
    """A database server of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def ground(fleet, tmp_path):
    """A project over two hosts, its journal in SQLite."""
    ground = Ground(fleet, tmp_path / "project")
    yield ground
    ground.clean()
