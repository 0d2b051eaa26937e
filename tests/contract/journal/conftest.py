import importlib.util
import subprocess
import sys
import uuid
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from opsflow.journal import SqlJournal
from opsflow.testing.mariadb import PrivateMariaDB
from opsflow.testing.mariadb import installed as mariadb_installed
from opsflow.testing.postgresql import PrivatePostgreSQL
from opsflow.testing.postgresql import installed as postgresql_installed

SAMPLES = Path(__file__).with_name("samples.py")


@pytest.fixture(scope="session")
def samples():
    spec = importlib.util.spec_from_file_location("journal_samples", SAMPLES)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _needed(installed, package):
    if not installed():
        reason = f"{package} is not installed; the journal is not tested with it"
        pytest.skip(reason)


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory):
    _needed(mariadb_installed, "mariadb-server")
    with PrivateMariaDB(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql():
    _needed(postgresql_installed, "postgresql")
    with PrivatePostgreSQL() as server:
        yield server


@contextmanager
def _database(server):
    """The URL of an empty database; in PostgreSQL of an empty schema, which is made much quicker."""
    name = f"j{uuid.uuid4().hex}"
    if isinstance(server, PrivateMariaDB):
        yield server.create(name)
        server.drop(name)
    else:
        server.execute(f'CREATE SCHEMA "{name}"')
        yield f"{server.url('postgres')}?options=-csearch_path%3D{name}"
        server.execute(f'DROP SCHEMA "{name}" CASCADE')


@pytest.fixture
def mariadb_url(mariadb):
    with _database(mariadb) as url:
        yield url


@pytest.fixture(params=["sqlite", "mariadb", "postgresql"])
def url(request, tmp_path):
    """An empty database; every test of the suite runs on each."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/journal/journal.db"
        return
    with _database(request.getfixturevalue(request.param)) as url:
        yield url


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request):
    """A database server of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def server_url(server):
    with _database(server) as url:
        yield url


@pytest.fixture
def server_journal(server_url):
    journal = SqlJournal.open(server_url)
    yield journal
    journal.close()


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
