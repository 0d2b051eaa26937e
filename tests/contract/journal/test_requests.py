"""What operators ask of a run that another process drives: who hears it, when, what it costs, and that it is kept."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, select, text

from opsflow.errors import JournalConflict, UnknownRun
from opsflow.journal.tables import leases
from opsflow.model import Asked, NodeChanged, NodeState, RequestApplied, approval, question_of

ALICE, BOB = "alice@control", "bob@elsewhere"
KILL = {"kill": True}


def _sql(journal, statement):
    with journal.engine.connect().execution_options(opsflow_write=True) as connection, connection.begin():
        connection.execute(text(statement))


def hear(journal, run):
    """What the writer hears now, however short ago it listened."""
    journal._held[run.id].heard = -100.0
    return journal.heartbeat(run.id)


@pytest.fixture
def run(journal, samples):
    return samples.begin(journal)


def test_the_writer_hears_what_another_process_asks_until_it_has_applied_it(journal, open_journal, run):
    other = open_journal()
    before = datetime.now(UTC) - timedelta(seconds=5)
    first = other.ask(run.id, Asked.CANCEL, KILL, BOB)
    second = other.ask(run.id, Asked.MARK, {"node": "stop@web-1", "why": "seen ☃"}, ALICE)

    heard = hear(journal, run)
    assert [(r.id, r.what, r.operator) for r in heard] == [(first, Asked.CANCEL, BOB), (second, Asked.MARK, ALICE)]
    assert heard[1].data == {"node": "stop@web-1", "why": "seen ☃"}
    assert before < heard[0].at < datetime.now(UTC) + timedelta(seconds=5)
    assert hear(journal, run) == heard

    changed = NodeChanged(node="stop@web-1", before=NodeState.PENDING, after=NodeState.BLOCKED)
    journal.commit(run.id, [changed, RequestApplied(id=first, answer={"at_work": ["stop@web-1"]})])

    assert [r.id for r in hear(journal, run)] == [second]
    kept = other.requests(run.id)
    assert [r.id for r in kept] == [first, second]
    assert kept[0].answer == {"at_work": ["stop@web-1"]}
    assert kept[0].applied >= kept[0].at
    assert (kept[1].applied, kept[1].answer) == (None, {})


def test_a_request_is_answered_with_all_of_its_commit_or_not_at_all(journal, open_journal, run):
    request = open_journal().ask(run.id, Asked.CANCEL, {}, BOB)
    wrong = NodeChanged(node="stop@web-1", before=NodeState.RUNNING, after=NodeState.PENDING)
    with pytest.raises(JournalConflict):
        journal.commit(run.id, [RequestApplied(id=request, answer={}), wrong])
    assert [r.id for r in hear(journal, run)] == [request]


def test_a_request_is_answered_once(journal, run):
    request = journal.ask(run.id, Asked.CANCEL, {}, BOB)
    journal.commit(run.id, [RequestApplied(id=request, answer={})])
    for wrong in (request, request + 1):
        with pytest.raises(JournalConflict, match="answered"):
            journal.commit(run.id, [RequestApplied(id=wrong, answer={})])


def test_asking_for_the_same_again_before_it_is_answered_is_one_request(journal, run):
    first = journal.ask(run.id, Asked.CANCEL, KILL, BOB)
    assert journal.ask(run.id, Asked.CANCEL, KILL, BOB) == first
    assert journal.ask(run.id, Asked.CANCEL, {"kill": False}, BOB) != first
    assert journal.ask(run.id, Asked.CANCEL, KILL, ALICE) != first
    journal.commit(run.id, [RequestApplied(id=first, answer={})])
    assert journal.ask(run.id, Asked.CANCEL, KILL, BOB) != first


def test_a_run_that_nobody_drives_cannot_be_asked(journal, open_journal, run):
    other = open_journal()
    assert other.driven(run.id)
    _sql(journal, "UPDATE owners SET boot = 'an earlier boot'")
    assert not other.driven(run.id)
    assert other.ask(run.id, Asked.CANCEL, {}, BOB) is None
    assert other.requests(run.id) == []


def test_a_run_that_was_left_cannot_be_asked(journal, open_journal, run):
    journal.leave(run.id, release_hosts=False)
    assert open_journal().ask(run.id, Asked.CANCEL, {}, BOB) is None


def test_a_run_that_does_not_exist_cannot_be_asked(journal):
    with pytest.raises(UnknownRun):
        journal.ask("nothing", Asked.CANCEL, {}, BOB)


def test_what_the_dead_writer_was_asked_does_not_reach_the_next(journal, open_journal, run):
    second = open_journal()
    second.ask(run.id, Asked.CANCEL, {}, BOB)
    _sql(journal, "UPDATE owners SET boot = 'an earlier boot'")
    second.resume(run.id, ALICE)
    assert hear(second, run) == []
    assert len(second.requests(run.id)) == 1


def test_a_writer_that_lost_the_run_notices_when_it_listens(journal, open_journal, run):
    _sql(journal, "UPDATE owners SET boot = 'an earlier boot'")
    open_journal().resume(run.id, ALICE)
    with pytest.raises(JournalConflict, match=f"took run {run.id} over"):
        hear(journal, run)


def test_an_idle_run_asks_the_journal_once_a_second_with_one_statement(journal, run):
    hear(journal, run)
    statements = []
    event.listen(journal.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    for tenths in range(200):  # of a second, twenty in all
        journal._held[run.id].heard -= 0.1
        journal._held[run.id].beat -= 0.1
        journal.heartbeat(run.id)
        assert len([s for s in statements if s.startswith("SELECT")]) <= tenths / 10 + 1
    queries = [s for s in statements if s.startswith(("SELECT", "UPDATE"))]
    assert 15 <= len(queries) <= 22  # with the two signs of life


def test_taking_a_run_over_without_its_hosts_leaves_holds_as_they_are(journal, open_journal, samples, run):
    def held():
        with journal.engine.connect() as connection:
            return list(connection.scalars(select(leases.c.host)))

    other = open_journal()
    journal.leave(run.id, release_hosts=False)
    other.resume(run.id, BOB, hold=False)
    assert held() == ["web-1"]
    other.leave(run.id, release_hosts=True)
    other.resume(run.id, BOB, hold=False)
    assert held() == []


@pytest.mark.parametrize(("what", "data"), [(Asked.PAUSE, {}), (Asked.APPROVE, {"nodes": ["a@b"], "reject": True})])
def test_every_kind_of_request_comes_back_as_it_was_asked(journal, open_journal, run, what, data):
    open_journal().ask(run.id, what, data, BOB)
    (heard,) = hear(journal, run)
    assert (heard.what, heard.data) == (what, data)


def test_that_a_node_waits_for_an_approval_and_the_answer_with_its_request_are_kept(journal, open_journal, run):
    waits = NodeChanged(node="stop@web-1", before=NodeState.PENDING, after=NodeState.PENDING, error=approval("well? ☃"))
    journal.commit(run.id, [waits])
    journal.commit(run.id, [waits])  # a resumed run writes the same once more
    node = open_journal().nodes(run.id)[0]
    assert question_of(node.state, node.error) == "well? ☃"
    number = open_journal().ask(run.id, Asked.APPROVE, {"nodes": ["stop@web-1"]}, BOB)
    approved = NodeChanged(
        node="stop@web-1", before=NodeState.PENDING, after=NodeState.SUCCEEDED, outputs={"by": BOB}, error=None
    )
    journal.commit(run.id, [approved, RequestApplied(id=number, answer={"state": "succeeded"})])
    node = open_journal().nodes(run.id)[0]
    assert (node.state, node.outputs, node.error) == (NodeState.SUCCEEDED, {"by": BOB}, None)
    with pytest.raises(JournalConflict):
        journal.commit(run.id, [approved])
