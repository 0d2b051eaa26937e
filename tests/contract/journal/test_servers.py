"""Databases elsewhere: servers that restart, connections that are lost around a COMMIT, transactions that collide."""

import threading
from contextlib import contextmanager

import pytest
from sqlalchemy import make_url, text

from opsflow.errors import JournalConflict, JournalUnavailable
from opsflow.journal import SqlJournal
from opsflow.journal.database import Database
from opsflow.model import NodeState
from opsflow.testing.cutting import CommitCutter


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_commits_go_on_after_the_server_came_back(server, server_journal, samples, end):
    journal = server_journal
    run = samples.begin(journal)
    journal.commit(run.id, samples.intent(run.id, "stop@web-1"))
    getattr(server, end)()
    server.restart()
    journal.commit(run.id, samples.outcome(run.id, "stop@web-1"))
    assert journal.nodes(run.id)[0].state is NodeState.SUCCEEDED


def test_a_server_that_stays_away_is_unavailable_and_nothing_is_half_written(
    server, server_journal, samples, monkeypatch
):
    journal = server_journal
    monkeypatch.setattr("opsflow.journal.database._PAUSES", (0.0, 0.05))
    run = samples.begin(journal)
    server.kill()
    try:
        for act in (lambda: journal.commit(run.id, samples.intent(run.id, "stop@web-1")), lambda: journal.find(None)):
            with pytest.raises(JournalUnavailable) as error:
                act()
            assert server.password not in str(error.value)
    finally:
        server.restart()
    node = journal.nodes(run.id)[0]
    assert (node.state, node.attempts) == (NodeState.PENDING, ())
    journal.commit(run.id, samples.intent(run.id, "stop@web-1"))


# Connections that are lost


@pytest.fixture
def cutter(server):
    with CommitCutter(server.port) as cutter:
        yield cutter


@pytest.fixture
def cut_journal(cutter, server_url):
    """A journal through the cutter."""
    url = make_url(server_url).set(port=cutter.port)
    if url.drivername == "postgresql":
        url = url.update_query_dict({"sslmode": "disable"})
    journal = SqlJournal.open(url.render_as_string(hide_password=False))
    yield journal
    journal.close()


@pytest.mark.parametrize("arrives", [True, False])
def test_a_commit_whose_answer_was_lost_is_written_exactly_once(cutter, cut_journal, samples, arrives):
    journal = cut_journal
    run = samples.begin(journal)
    changes = [*samples.intent(run.id, "stop@web-1"), samples.printed(run.id, "stop@web-1", "once")]
    cutter.cut(arrives=arrives)
    journal.commit(run.id, changes)
    assert cutter.cuts == 1
    assert [p.text for p in journal.output(run.id)] == ["once"]
    assert len(journal.nodes(run.id)[0].attempts) == 1

    # The same changes as a new commit are a conflict, never taken for the one that arrived.
    with pytest.raises(JournalConflict):
        journal.commit(run.id, changes)


def test_a_commit_after_one_of_unknown_fate_is_not_taken_for_it(cutter, cut_journal, samples, monkeypatch):
    journal = cut_journal
    run = samples.begin(journal, hosts=("web-1", "web-2"))
    monkeypatch.setattr("opsflow.journal.database._PAUSES", ())
    cutter.cut(arrives=True)
    with pytest.raises(JournalUnavailable):
        journal.commit(run.id, samples.intent(run.id, "stop@web-1"))
    with pytest.raises(JournalConflict):
        journal.commit(run.id, samples.intent(run.id, "stop@web-2"))
    assert [node.state for node in journal.nodes(run.id)] == [NodeState.RUNNING, NodeState.PENDING]


@pytest.mark.parametrize("arrives", [True, False])
def test_a_run_whose_beginning_was_not_answered_has_begun_once(cutter, cut_journal, samples, arrives):
    journal = cut_journal
    cutter.cut(arrives=arrives)
    run = samples.begin(journal)
    assert cutter.cuts == 1
    journal.commit(run.id, samples.intent(run.id, "stop@web-1"))
    assert [r.id for r in journal.runs()] == [run.id]


@pytest.mark.parametrize("arrives", [True, False])
def test_a_run_whose_taking_over_was_not_answered_is_taken_once(cutter, cut_journal, samples, arrives):
    journal = cut_journal
    run = samples.begin(journal)
    journal.leave(run.id, release_hosts=False)
    cutter.cut(arrives=arrives)
    journal.resume(run.id, "bob@control")
    assert cutter.cuts == 1
    assert journal.epoch(run.id) == 2
    journal.commit(run.id, samples.intent(run.id, "stop@web-1"))


# Transactions that collide


@contextmanager
def _counting(url):
    """A database with two rows that are 0."""
    database = Database(url)
    database.write(lambda c: [c.execute(text(statement)) for statement in (
        "CREATE TABLE counters (name VARCHAR(9) PRIMARY KEY, n INTEGER NOT NULL)",
        "INSERT INTO counters VALUES ('a', 0), ('b', 0)",
    )])  # fmt: skip
    yield database
    database.close()


@pytest.fixture
def counters(server_url):
    with _counting(server_url) as database:
        yield database


@pytest.fixture
def serial_counters(postgresql):
    with _counting(postgresql.create("serial")) as database:
        yield database


def _together(database, *works):
    """Each work in a transaction of a thread of its own; what a work calls first waits until all have called it."""
    meeting = threading.Barrier(len(works))
    failed, tries = [], []

    def run(work):
        met = []

        def once():
            if not met:
                met.append(1)
                meeting.wait(60)

        def tried(connection):
            tries.append(1)
            work(connection, once)

        try:
            database.write(tried)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    return len(tries)


def _values(database):
    return database.read(lambda c: [row.n for row in c.execute(text("SELECT n FROM counters ORDER BY name"))])


def _add(connection, name):
    connection.execute(text("UPDATE counters SET n = n + 1 WHERE name = :name"), {"name": name})


def test_of_transactions_that_wait_for_each_other_one_is_done_again(counters):
    def crossing(first, second):
        def work(connection, once):
            _add(connection, first)
            once()
            _add(connection, second)

        return work

    assert _together(counters, crossing("a", "b"), crossing("b", "a")) == 3
    assert _values(counters) == [2, 2]


def test_a_transaction_that_cannot_be_put_in_order_with_others_is_done_again(serial_counters):
    def copying(source, target):
        def work(connection, once):
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
            n = connection.scalar(text("SELECT n FROM counters WHERE name = :name"), {"name": source})
            once()
            update = text("UPDATE counters SET n = :n WHERE name = :name")
            connection.execute(update, {"n": n + 1, "name": target})

        return work

    # PostgreSQL may refuse one that could be put in order, too: https://www.postgresql.org/docs/15/transaction-iso.html
    assert _together(serial_counters, copying("a", "b"), copying("b", "a")) >= 3
    assert sorted(_values(serial_counters)) == [1, 2]
