"""Runs are written whole and found again."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import event

from opsflow.errors import JournalConflict, UnknownRun
from opsflow.journal import new_run_id
from opsflow.model import AttemptStarted, NodeState, RunChanged, RunState


def test_a_new_run_comes_back_as_it_was_written(journal, samples):
    record = samples.run(playbook="/päth/🎮.toml", operator="ålice@control")
    nodes = [
        samples.node("db-1", "backup"),
        samples.node("web-1", "a" * 100),
        samples.node("h" * 255, "b" * 100, id=f"{'b' * 100}[ключ 🗝]@{'h' * 255}"),
        samples.node("web-2", state=NodeState.SKIPPED, outputs={"x": [1, "é"]}),
    ]
    plan = {"z": 1, "a": {"text": "🎮\0", "list": [1, 2.5, None]}}
    journal.begin(record, plan, nodes, ["db-1"])

    assert journal.find(record.id) == record
    assert journal.plan(record.id) == plan
    assert list(journal.plan(record.id)) == ["z", "a"]
    assert journal.nodes(record.id) == nodes


def test_a_run_without_nodes_and_hosts_is_a_run(journal, samples):
    journal.begin(samples.run(), {}, [], [])
    assert journal.nodes(samples.run().id) == []
    assert journal.plan(samples.run().id) == {}


def test_a_plan_longer_than_a_packet_is_stored(journal, samples):
    noise = os.urandom(2_000_000).hex()
    journal.begin(samples.run(), {"noise": noise}, [], [])
    assert journal.plan(samples.run().id) == {"noise": noise}


def test_statements_of_a_beginning_do_not_grow_with_the_plan(journal, samples):
    statements = []
    event.listen(journal.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    samples.begin(journal, samples.run("small"))
    small = len(statements)
    samples.begin(journal, samples.run("large"), hosts=[f"h{n}" for n in range(300)], steps=("a", "b", "c"))
    assert len(statements) == 2 * small


def test_an_id_is_used_once(journal, samples):
    samples.begin(journal)
    with pytest.raises(JournalConflict, match="20261124T213015-aaaaa"):
        samples.begin(journal, hosts=["web-2"])
    assert [node.host for node in journal.nodes(samples.run().id)] == ["web-1"]


def test_times_keep_their_microseconds(journal, samples):
    east = timezone(timedelta(hours=5, minutes=30))
    started = datetime(2026, 3, 29, 1, 59, 59, 999999, tzinfo=east)
    journal.begin(samples.run(started=started), {}, [], [])
    found = journal.find(None)
    assert found.started == started
    assert found.started.utcoffset() == timedelta(0)


def test_ids_differing_in_case_only_are_different(journal, samples):
    run = samples.run("20261124T213015-AAAAA")
    samples.begin(journal, hosts=("web-1", "WEB-1"))
    samples.begin(journal, run, hosts=("Web-1",))

    journal.commit(run.id, samples.intent(run.id, "stop@Web-1"))
    journal.commit(samples.run().id, samples.intent(samples.run().id, "stop@WEB-1"))
    assert [node.state for node in journal.nodes(samples.run().id)] == [NodeState.PENDING, NodeState.RUNNING]
    assert journal.find("20261124T213015-A") == run
    assert journal.find("20261124T213015-a") == samples.run()


def test_a_run_is_found_by_a_beginning_or_by_its_last_part(journal, samples):
    first, second = samples.run("20261124T213015-abcde"), samples.run("20261124T213016-abxyz")
    for run in (first, second):
        journal.begin(run, {}, [], [])

    assert journal.find(None) == second
    assert journal.find("20261124T213015") == first
    assert journal.find("abc") == first
    assert journal.find("abxyz") == second
    for ambiguous in ("2026", "ab"):
        with pytest.raises(UnknownRun, match="20261124T213015-abcde") as error:
            journal.find(ambiguous)
        assert second.id in str(error.value)
    for absent in ("2027", "", "%", "_0261124", "bcde"):
        with pytest.raises(UnknownRun):
            journal.find(absent)


def test_a_whole_id_wins_over_longer_ones(journal, samples):
    short, long = samples.run("one"), samples.run("one-more")
    for run in (short, long):
        journal.begin(run, {}, [], [])
    assert journal.find("one") == short


def test_an_empty_journal_has_no_newest_run(journal):
    with pytest.raises(UnknownRun):
        journal.find(None)
    assert journal.runs() == []


@pytest.mark.parametrize("question", ["plan", "nodes", "rollbacks", "abandon"])
def test_an_unknown_run_is_said_to_be_unknown(journal, question):
    with pytest.raises(UnknownRun):
        getattr(journal, question)("20200101T000000-xxxxx")
    with pytest.raises(UnknownRun):
        journal.resume("20200101T000000-xxxxx", "alice@control")
    with pytest.raises(UnknownRun):
        journal.later_changes("20200101T000000-xxxxx", ["web-1"])


def test_runs_are_listed_newest_first_and_by_state(journal, samples):
    records = [samples.run(f"run-{n}", state=RunState.FAILED if n % 2 else RunState.SUCCEEDED) for n in range(5)]
    for record in records:
        journal.begin(record, {}, [], [])

    assert journal.runs() == records[::-1]
    assert journal.runs(limit=2) == records[:2:-1]
    assert journal.runs(states=[RunState.FAILED]) == [records[3], records[1]]
    assert len(journal.runs(states=[RunState.FAILED, RunState.SUCCEEDED])) == 5
    assert journal.runs(states=[RunState.RUNNING]) == []


def test_a_run_that_goes_on_has_no_end(journal, samples):
    run = samples.begin(journal)
    journal.commit(
        run.id, [RunChanged(before=RunState.RUNNING, after=RunState.FAILED, finished=samples.LATER, exit_code=1)]
    )
    assert journal.find(None) == replace(run, state=RunState.FAILED, finished=samples.LATER, exit_code=1)
    journal.commit(run.id, [RunChanged(before=RunState.FAILED, after=RunState.RUNNING)])
    assert journal.find(None) == run


def test_later_changes_are_attempts_of_other_runs_on_the_hosts(journal, samples):
    def touch(name, host, at, finished=None, on=""):
        run = samples.begin(journal, samples.run(name, started=at), hosts=("web-1", "web-2"))
        if host:
            started = samples.attempt(name, f"stop@{host}", started=at + timedelta(seconds=1), on=on)
            journal.commit(name, [AttemptStarted(attempt=started)])
        if finished:
            end = RunChanged(before=RunState.RUNNING, after=RunState.SUCCEEDED, finished=finished)
            journal.commit(name, [end])
        journal.leave(name, release_hosts=True)
        return run

    hour = timedelta(hours=1)
    touch("before", "web-1", samples.NOW - hour, finished=samples.NOW - hour / 2)
    touch("fast clock", "web-1", samples.NOW + 9 * hour)
    touch("reopened", None, samples.NOW - hour)
    touch("subject", "web-1", samples.NOW)
    touch("elsewhere", "web-2", samples.NOW + hour)
    touch("nothing", None, samples.NOW + hour)
    touch("later", "web-1", samples.NOW + 2 * hour)
    touch("from afar", "web-2", samples.NOW + 2 * hour, on="lb-1")

    assert journal.later_changes("subject", ["web-1"]) == ["later"]
    assert journal.later_changes("subject", ["web-1", "web-2"]) == ["elsewhere", "later", "from afar"]
    assert journal.later_changes("subject", ["lb-1"]) == ["from afar"]
    assert journal.later_changes("subject", []) == []
    assert journal.later_changes("later", ["web-1"]) == []

    journal.resume("reopened", "alice@control")
    again = samples.attempt("reopened", "stop@web-1", started=samples.NOW + 3 * hour)
    journal.commit("reopened", [AttemptStarted(attempt=again)])
    assert journal.later_changes("subject", ["web-1"]) == ["reopened", "later"]


def test_run_ids_sort_by_time_and_tell_runs_of_one_moment_apart():
    moments = [datetime(2026, 11, 24, 21, 30, 15, tzinfo=UTC) + timedelta(milliseconds=n) for n in range(1000)]
    ids = [new_run_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert all(run_id.startswith("20261124T213015-") and len(run_id) == 21 for run_id in ids)
    assert len({new_run_id(moments[0]) for _ in range(20)}) > 15
    east = datetime(2026, 11, 25, 0, 0, tzinfo=timezone(timedelta(hours=5)))
    assert new_run_id(east).startswith("20261124T190000-")
