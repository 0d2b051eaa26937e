import sys
from pathlib import Path

import pytest

from opsflow.journal import SqlJournal

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def empty_journal(tmp_path_factory):
    """A journal's file without runs: a copy of it is made faster than a new one."""
    directory = tmp_path_factory.mktemp("empty")
    SqlJournal.open(f"sqlite:///{directory}/journal.db").close()
    return directory / "journal.db"
