"""What a command writes down that drives the run itself."""

from datetime import UTC, datetime

import pytest

from opsflow.app.asking import own_request
from opsflow.errors import JournalConflict
from opsflow.journal import SqlJournal
from opsflow.model import Asked, RunRecord, RunState

RUN = "20260101T000000Z-asks"


@pytest.fixture
def journal(tmp_path):
    made = SqlJournal.open(f"sqlite:///{tmp_path}/journal.db")
    record = RunRecord(
        id=RUN, state=RunState.PLANNED, playbook="p", inventory="i", fingerprint="", command="apply",
        operator="somebody", started=datetime.now(UTC),
    )  # fmt: skip
    made.begin(record, {}, [], ["a1"])
    yield made
    made.close()


def test_who_drives_the_run_finds_what_it_wrote_down(journal):
    assert own_request(journal, RUN, Asked.CANCEL, {"kill": True}).data == {"kill": True}


def test_who_slept_while_another_process_took_the_run_and_left_it_again_is_told_so(journal):
    journal.leave(RUN, release_hosts=False)  # as it then is on record
    with pytest.raises(JournalConflict, match="another process took"):
        own_request(journal, RUN, Asked.CANCEL, {"kill": True})
