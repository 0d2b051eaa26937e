"""One writer per run, one run per host."""

import pytest
from sqlalchemy import event, text

from opsflow.errors import HostsHeld, JournalConflict
from opsflow.model import NodeState, RunChanged, RunState

BOB = "bob@control"


def _sql(journal, statement, **values):
    with journal.engine.connect().execution_options(opsflow_write=True) as connection, connection.begin():
        return connection.execute(text(statement), values)


def _elsewhere(journal, silent):
    """Make the one writer there is one of another machine that was last heard `silent` seconds ago."""
    _sql(journal, "UPDATE owners SET machine = 'elsewhere', beat = beat - :age", age=int(silent * 1_000_000))


def _reboot(journal):
    _sql(journal, "UPDATE owners SET boot = 'an earlier boot'")


def _reuse_pid(journal):
    _sql(journal, "UPDATE owners SET pid_started = '1'")


def _no_such_pid(journal):
    _sql(journal, "UPDATE owners SET pid = 4194305")  # above the kernel's highest


def test_a_host_of_an_open_run_is_refused_with_its_holder(open_journal, samples):
    samples.begin(open_journal(), hosts=("web-1", "web-2"))
    other = open_journal()

    with pytest.raises(HostsHeld) as error:
        samples.begin(other, samples.run("second"), hosts=("db-1", "web-2", "web-1"))

    assert error.value.exit_code == 5
    assert sorted(error.value.holders) == ["web-1", "web-2"]
    for told in ("20261124T213015-aaaaa", "alice@control", "2026-11-24T21:30:15Z", "state running"):
        assert told in error.value.holders["web-1"]
    assert "web-1" in error.value.message
    assert "opsflow resume 20261124T213015-aaaaa" in error.value.hint
    assert "--abandon 20261124T213015-aaaaa" in error.value.hint
    assert [run.id for run in other.runs()] == ["20261124T213015-aaaaa"]
    samples.begin(other, samples.run("third"), hosts=("db-1",))  # nothing of the second is held


def test_a_run_whose_rollback_is_incomplete_is_not_to_be_resumed(open_journal, samples):
    first = open_journal()
    run = samples.begin(first)
    for before, after in (
        (RunState.RUNNING, RunState.ROLLING_BACK),
        (RunState.ROLLING_BACK, RunState.ROLLBACK_INCOMPLETE),
    ):
        first.commit(run.id, [RunChanged(before=before, after=after)])
    with pytest.raises(HostsHeld) as error:
        samples.begin(open_journal(), samples.run("second"))
    assert f"opsflow rollback {run.id}, or" in error.value.hint


def test_localhost_and_hosts_not_asked_for_are_not_held(journal, samples):
    samples.begin(journal, samples.run("a"), hosts=("localhost", "web-1"), hold=["localhost"])
    samples.begin(journal, samples.run("b"), hosts=("localhost", "web-1"), hold=["localhost", "localhost", "web-1"])
    with pytest.raises(HostsHeld):
        samples.begin(journal, samples.run("c"), hosts=("web-1",))


def test_hosts_stay_held_when_the_writer_leaves_an_open_run(journal, samples):
    run = samples.begin(journal)
    journal.leave(run.id, release_hosts=False)
    with pytest.raises(HostsHeld):
        samples.begin(journal, samples.run("second"))


def test_hosts_are_free_when_the_run_is_through(journal, samples):
    run = samples.begin(journal)
    journal.leave(run.id, release_hosts=True)
    samples.begin(journal, samples.run("second"))
    with pytest.raises(HostsHeld) as error:  # and to go on with the first, it must have them back
        journal.resume(run.id, BOB)
    assert "second" in error.value.holders["web-1"]
    journal.leave("second", release_hosts=True)
    journal.resume(run.id, BOB)
    with pytest.raises(HostsHeld):
        samples.begin(journal, samples.run("third"))


def test_the_commit_that_ends_a_run_frees_its_hosts(journal, samples):
    # Not a transaction of its own: a process that died in between would leave them held by a run that is over.
    run = samples.begin(journal)
    journal.commit(run.id, [RunChanged(before=RunState.RUNNING, after=RunState.FAILED, exit_code=1)])
    with pytest.raises(HostsHeld):
        samples.begin(journal, samples.run("second"))
    journal.commit(run.id, [RunChanged(before=RunState.FAILED, after=RunState.ROLLING_BACK)])
    journal.commit(run.id, [RunChanged(before=RunState.ROLLING_BACK, after=RunState.ROLLED_BACK, frees=True)])
    samples.begin(journal, samples.run("second"))


@pytest.mark.parametrize("death", [_no_such_pid, lambda journal: _elsewhere(journal, silent=61)])
@pytest.mark.parametrize(("last", "code"), [(RunState.SUCCEEDED, 0), (RunState.ROLLED_BACK, 1), (RunState.FAILED, 3)])
def test_a_writer_that_died_as_it_took_up_a_run_that_is_over_holds_nothing(open_journal, samples, last, code, death):
    # Nothing can be at work, nothing was begun; and there may be no way on to tell the next one.
    first, second = open_journal(), open_journal()
    run = samples.begin(first)
    first.commit(run.id, [RunChanged(before=RunState.RUNNING, after=last, exit_code=code, frees=True)])
    first.leave(run.id, release_hosts=False)
    first.resume(run.id, BOB)
    with pytest.raises(HostsHeld):
        samples.begin(second, samples.run("while it lives"))
    death(first)
    samples.begin(second, samples.run("second"))
    with pytest.raises(JournalConflict):
        first.commit(run.id, [RunChanged(before=last, after=RunState.ROLLING_BACK)])


def test_nor_may_one_that_died_in_the_middle_be_passed_over(open_journal, samples):
    first = open_journal()
    run = samples.begin(first)
    first.commit(run.id, [RunChanged(before=RunState.RUNNING, after=RunState.FAILED, exit_code=1)])
    _no_such_pid(first)
    with pytest.raises(HostsHeld):
        samples.begin(open_journal(), samples.run("second"))


def test_a_run_is_resumed_at_once_when_its_writer_left(open_journal, samples):
    first, second = open_journal(), open_journal()
    run = samples.begin(first)
    first.leave(run.id, release_hosts=False)
    second.resume(run.id, BOB)
    second.commit(run.id, samples.intent(run.id, "stop@web-1"))
    assert second.nodes(run.id)[0].state is NodeState.RUNNING
    assert second.find(run.id).operator == "alice@control"


def test_closing_the_journal_is_leaving(open_journal, samples):
    first, second = open_journal(), open_journal()
    run = samples.begin(first)
    first.close()
    second.resume(run.id, BOB)


@pytest.mark.parametrize("death", [_reboot, _reuse_pid, _no_such_pid])
def test_a_run_is_resumed_at_once_when_its_writer_is_dead(open_journal, samples, death):
    first, second = open_journal(), open_journal()
    run = samples.begin(first)
    death(first)
    with pytest.raises(HostsHeld) as error:
        samples.begin(second, samples.run("second"))
    assert "its process is gone" in error.value.holders["web-1"]
    second.resume(run.id, BOB)


def test_a_writer_that_has_lost_its_run_does_not_take_the_number_of_the_one_that_has_it(open_journal, samples):
    first, second = open_journal(), open_journal()
    run = samples.begin(first)
    _elsewhere(first, silent=61)
    second.resume(run.id, BOB)
    assert (first.epoch(run.id), second.epoch(run.id), open_journal().epoch(run.id)) == (1, 2, 2)


def test_a_living_writer_is_not_disturbed(open_journal, samples):
    first, second = open_journal(), open_journal()
    run = samples.begin(first, hosts=("web-1", "web-2"))
    for act in (lambda: second.resume(run.id, BOB), lambda: second.abandon(run.id)):
        with pytest.raises(HostsHeld) as error:
            act()
        assert sorted(error.value.holders) == ["web-1", "web-2"]
        assert "alice@control" in error.value.message
    first.commit(run.id, samples.intent(run.id, "stop@web-1"))


def test_a_writer_on_another_machine_lives_as_long_as_it_is_heard(open_journal, samples):
    first, second = open_journal(), open_journal()
    run = samples.begin(first)
    _elsewhere(first, silent=50)
    for act in (lambda: second.resume(run.id, BOB), lambda: second.abandon(run.id)):
        with pytest.raises(HostsHeld):
            act()
    _elsewhere(first, silent=11)
    second.resume(run.id, BOB)


@pytest.mark.parametrize("way", ["commit", "heartbeat"])
def test_the_earlier_writer_is_fenced(open_journal, samples, way):
    first, second = open_journal(), open_journal()
    run = samples.begin(first, hosts=("web-1", "web-2"))
    _reboot(first)
    second.resume(run.id, BOB)
    second.commit(run.id, samples.intent(run.id, "stop@web-1"))

    first._held[run.id].beat = -100.0  # the last one was long ago
    act = {"commit": lambda: first.commit(run.id, samples.intent(run.id, "stop@web-2"))}
    act["heartbeat"] = lambda: first.heartbeat(run.id)
    with pytest.raises(JournalConflict, match="took run 20261124T213015-aaaaa over"):
        act[way]()

    assert [node.state for node in second.nodes(run.id)] == [NodeState.RUNNING, NodeState.PENDING]
    first.leave(run.id, release_hosts=True)  # it has nothing to release any more
    with pytest.raises(HostsHeld):
        samples.begin(first, samples.run("third"))
    second.commit(run.id, samples.intent(run.id, "stop@web-2"))


def test_the_epoch_grows_with_every_change_of_hands(open_journal, samples):
    epochs = []
    run = samples.begin(open_journal())
    for _ in range(3):
        journal = open_journal()
        _reboot(journal)
        journal.resume(run.id, BOB)
        epochs.append(_sql(journal, "SELECT epoch FROM owners").scalar())
    assert epochs == sorted(set(epochs))


def test_who_did_not_begin_or_resume_a_run_cannot_write_it(open_journal, samples):
    run = samples.begin(open_journal())
    other = open_journal()
    for act in (lambda: other.commit(run.id, []), lambda: other.heartbeat(run.id)):
        with pytest.raises(JournalConflict):
            act()
    other.leave(run.id, release_hosts=True)
    with pytest.raises(HostsHeld):
        samples.begin(other, samples.run("second"))


def test_a_writer_that_left_cannot_write(journal, samples):
    run = samples.begin(journal)
    journal.leave(run.id, release_hosts=False)
    journal.leave(run.id, release_hosts=False)
    with pytest.raises(JournalConflict):
        journal.commit(run.id, samples.intent(run.id, "stop@web-1"))


def test_an_abandoned_run_gives_its_hosts_up_and_its_writer_is_fenced(open_journal, samples):
    first, second = open_journal(), open_journal()
    run = samples.begin(first)
    _elsewhere(first, silent=61)
    second.abandon(run.id)
    samples.begin(second, samples.run("second"))
    with pytest.raises(JournalConflict):
        first.commit(run.id, samples.intent(run.id, "stop@web-1"))
    with pytest.raises(HostsHeld):
        second.resume(run.id, BOB)


def test_heartbeats_are_cheap_and_heard(open_journal, samples):
    journal, other = open_journal(), open_journal()
    run = samples.begin(journal)
    _elsewhere(journal, silent=100)
    statements = []
    event.listen(journal.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    for _ in range(100):
        journal.heartbeat(run.id)
    assert statements == []

    journal._held[run.id].beat -= 11
    journal.heartbeat(run.id)
    journal.heartbeat(run.id)
    assert len([s for s in statements if s.startswith("UPDATE")]) == 1
    with pytest.raises(HostsHeld):
        other.resume(run.id, BOB)


def test_a_commit_is_a_sign_of_life(open_journal, samples):
    journal, other = open_journal(), open_journal()
    run = samples.begin(journal, samples.run(state=RunState.RUNNING))
    _elsewhere(journal, silent=100)
    journal.commit(run.id, [])
    with pytest.raises(HostsHeld):
        other.resume(run.id, BOB)
