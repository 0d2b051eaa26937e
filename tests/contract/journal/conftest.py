import importlib.util
import os
import subprocess
import sys
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest

from opsflow.journal import SqlJournal
from opsflow.testing.mariadb import PrivateMariaDB, installed

SAMPLES = Path(__file__).with_name("samples.py")


@pytest.fixture(scope="session")
def samples():
    spec = importlib.util.spec_from_file_location("journal_samples", SAMPLES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory):
    if not installed():
        if os.environ.get("CI"):
            pytest.fail("mariadbd is not installed, and CI must test with it")
        pytest.skip("mariadbd is not installed (Debian: mariadb-server)")
    with PrivateMariaDB(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture
def mariadb_url(mariadb):
    name = f"j{uuid.uuid4().hex}"
    yield mariadb.create(name)
    mariadb.execute(f"DROP DATABASE `{name}`")


@pytest.fixture(params=["sqlite", "mariadb"])
def url(request, tmp_path):
    """An empty database; every test of the suite runs on each."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/journal/journal.db"
    return request.getfixturevalue("mariadb_url")


@pytest.fixture
def open_journal(url):
    """Opens the database once more; all are closed in the end."""
    with ExitStack() as stack:

        def opened():
            journal = SqlJournal.open(url)
            stack.callback(journal.close)
            return journal

        yield opened


@pytest.fixture
def journal(open_journal):
    return open_journal()


@pytest.fixture
def start():
    """Starts `samples.py` as another process, with pipes; what is left of it is killed in the end."""
    with ExitStack() as stack:

        def started(*arguments):
            process = subprocess.Popen(
                [sys.executable, str(SAMPLES), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)  # closes the pipes and waits
            stack.callback(process.kill)
            return process

        yield started
