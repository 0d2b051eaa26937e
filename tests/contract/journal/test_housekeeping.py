"""What is old goes, what anything needs stays; everything can be taken out; who holds what is told."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, func, select, text

from opsflow.errors import HostsHeld, JournalConflict, UnknownRun
from opsflow.journal import Housekeeping
from opsflow.journal.tables import metadata
from opsflow.model import (
    Asked,
    NodeState,
    RequestApplied,
    RollbackRecord,
    RollbackStarted,
    RunChanged,
    RunState,
)

BOB = "bob@control"
DAY = timedelta(days=1)
NOW = datetime.now(UTC)
OLD = NOW - 100 * DAY
QUARTER = 90 * 86400.0


@pytest.fixture
def keeping(url):
    with closing(Housekeeping.open(url)) as keeping:
        yield keeping


@pytest.fixture
def ended(journal, samples):
    """Writes a run that ended so long ago."""

    def write(run_id, ended=OLD, hosts=("web-1",), state=RunState.SUCCEEDED, *, release=True):
        samples.begin(journal, samples.run(run_id, started=ended - timedelta(hours=1)), hosts=hosts)
        changes = [*samples.intent(run_id, f"stop@{hosts[0]}"), samples.printed(run_id, f"stop@{hosts[0]}", "é\n")]
        journal.commit(run_id, [*changes, *samples.outcome(run_id, f"stop@{hosts[0]}", outputs={"n": 1})])
        journal.commit(run_id, [RunChanged(before=RunState.RUNNING, after=state, finished=ended, exit_code=0)])
        journal.leave(run_id, release_hosts=release)
        return run_id

    return write


def removable(keeping, **more):
    return [run.id for run in keeping.old(QUARTER, **more).removable]


def rows(journal, run_id=None):
    """How many rows each table has; of one run, those that it has."""
    found = {}
    with journal.engine.connect() as connection:
        for table in metadata.sorted_tables:
            query = select(func.count()).select_from(table)
            found[table.name] = connection.scalar(query)
    return found


def _elsewhere(journal, silent):
    with journal.engine.connect().execution_options(opsflow_write=True) as connection, connection.begin():
        connection.execute(text(f"UPDATE owners SET machine = 'elsewhere', beat = beat - {int(silent * 1e6)}"))


# Pruning


def test_a_run_that_ended_long_ago_is_removed_with_all_that_belongs_to_it(keeping, journal, samples, ended):
    before = rows(journal)
    ended("old")
    journal.resume("old", BOB)
    number = journal.ask("old", Asked.CANCEL, {"kill": False}, BOB)
    rollback = RollbackRecord(id="old/run", run_id="old", scope="run", nodes=("stop@web-1",), started=OLD)
    journal.commit("old", [RequestApplied(id=number, answer={}), RollbackStarted(rollback=rollback)])
    journal.leave("old", release_hosts=True)
    ended("new", NOW)
    assert min(rows(journal)[name] for name in ("printed", "attempts", "requests", "rollbacks", "plans", "owners")) > 0

    old = keeping.old(QUARTER)
    assert ([run.id for run in old.removable], old.kept) == (["old"], ())
    assert abs((NOW - 90 * DAY) - old.before) < DAY
    keeping.remove(old.removable[0], BOB)

    assert [run.id for run in journal.runs()] == ["new"]
    assert [piece.text for piece in journal.output("new")] == ["é\n"]
    assert len(journal.nodes("new")[0].attempts) == 1
    keeping.remove(replace(journal.find("new")), BOB)
    assert rows(journal) == before, "nothing is left in any table"


def test_the_newest_stay_if_that_is_wanted(keeping, ended):
    for n in range(4):
        ended(f"run-{n}", hosts=(f"h{n}",))
    assert removable(keeping) == ["run-0", "run-1", "run-2", "run-3"]
    assert removable(keeping, keep=3) == ["run-0"]
    assert removable(keeping, keep=9) == []


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.SUSPENDED, RunState.FAILED, RunState.ROLLBACK_INCOMPLETE])
def test_an_open_run_stays_and_so_does_what_changed_its_hosts_after_it(keeping, journal, ended, state):
    ended("before")
    ended("open", hosts=("web-1", "web-2"), state=state, release=False)
    for run_id, hosts in (("other", ("db-1",)), ("after", ("web-2", "db-2")), ("far", ("db-2",))):
        ended(run_id, hosts=hosts) if run_id != "after" else _after(journal, ended, hosts)
    old = keeping.old(QUARTER)
    assert [run.id for run in old.removable] == ["before", "other"]
    why = {kept.run.id: kept.why for kept in old.kept}
    assert "opsflow unlock open" in why["open"]
    assert "run open changed before it" in why["after"]
    assert "run after changed before it" in why["far"]


def _after(journal, ended, hosts):
    """A run on a host of the open one, which was given up for a moment."""
    journal.abandon("open")
    ended("after", hosts=hosts)
    journal.resume("open", BOB)
    journal.leave("open", release_hosts=False)


def test_a_run_that_was_given_up_goes(keeping, journal, ended):
    ended("open", state=RunState.RUNNING, release=False)
    assert removable(keeping) == []
    journal.abandon("open")
    assert removable(keeping) == ["open"]


def test_a_run_that_has_no_hosts_to_hold_is_open_until_it_is_at_its_end(keeping, ended):
    ended("interrupted", hosts=("localhost",), state=RunState.SUSPENDED)
    ended("done", hosts=("localhost",), state=RunState.FAILED)
    assert removable(keeping) == ["done"]
    assert "opsflow resume interrupted" in keeping.old(QUARTER).kept[0].why


def test_a_run_that_somebody_drives_stays(keeping, journal, ended):
    ended("old")
    journal.resume("old", BOB)
    old = keeping.old(QUARTER)
    assert [(kept.run.id, kept.why) for kept in old.kept] == [("old", "somebody drives it")]
    with pytest.raises(HostsHeld):
        keeping.remove(old.kept[0].run, BOB)
    assert journal.nodes("old")[0].state is NodeState.SUCCEEDED


def test_a_run_that_somebody_has_gone_on_with_since_stays(keeping, journal, ended):
    ended("old")
    (found,) = keeping.old(QUARTER).removable
    journal.resume("old", BOB)
    journal.commit("old", [RunChanged(before=RunState.SUCCEEDED, after=RunState.ROLLED_BACK, frees=True)])
    journal.leave("old", release_hosts=True)
    with pytest.raises(JournalConflict, match="gone on with run old"):
        keeping.remove(found, BOB)
    assert [piece.text for piece in journal.output("old")] == ["é\n"]
    journal.resume("old", BOB)  # and nobody is in the way


def test_nobody_goes_on_with_a_run_while_it_is_removed(keeping, journal, ended, monkeypatch):
    ended("old")
    tried = []

    def meanwhile(connection):
        if not tried:
            tried.append(1)
            with pytest.raises(HostsHeld):
                journal.resume("old", BOB)

    first = keeping._database.write
    calls = []

    def write(work):
        calls.append(1)
        if len(calls) == 2:
            meanwhile(None)
        return first(work)

    monkeypatch.setattr(keeping._database, "write", write)
    keeping.remove(keeping.old(QUARTER).removable[0], BOB)
    assert tried
    with pytest.raises(UnknownRun):
        journal.nodes("old")


def test_output_is_removed_in_pieces(keeping, journal, samples, ended, monkeypatch):
    monkeypatch.setattr("opsflow.journal.pruning._PIECE", 10)
    ended("old")
    journal.resume("old", BOB)
    journal.commit("old", samples.intent("old", "stop@web-1", n=2, before=NodeState.SUCCEEDED))
    for n in range(35):
        journal.commit("old", [samples.printed("old", "stop@web-1", f"{n}\n", n=2)])
    journal.leave("old", release_hosts=True)
    statements = []
    event.listen(keeping._database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    keeping.remove(keeping.old(QUARTER).removable[0], BOB)
    assert len([s for s in statements if s.startswith("DELETE FROM printed")]) == 4
    assert rows(journal)["printed"] == 0


def test_one_that_dies_in_the_middle_leaves_a_run_that_is_removed_the_next_time(keeping, journal, ended, monkeypatch):
    ended("old")
    monkeypatch.setattr("opsflow.journal.pruning.remove", None)
    with pytest.raises(TypeError):
        keeping.remove(keeping.old(QUARTER).removable[0], BOB)
    monkeypatch.undo()
    assert journal.nodes("old")[0].state is NodeState.SUCCEEDED, "it is whole but for what it printed"
    _elsewhere(journal, silent=100)
    keeping.remove(keeping.old(QUARTER).removable[0], BOB)
    assert journal.runs() == []


def test_a_file_gives_its_space_back_when_it_is_told_to(tmp_path, samples):
    from opsflow.journal import SqlJournal

    path = tmp_path / "journal.db"
    with closing(SqlJournal.open(f"sqlite:///{path}")) as journal:
        samples.begin(journal, samples.run("old", started=OLD))
        journal.commit("old", samples.intent("old", "stop@web-1"))
        journal.commit("old", [samples.printed("old", "stop@web-1", "x" * 1_000_000)])
        end = RunChanged(before=RunState.RUNNING, after=RunState.FAILED, finished=OLD, frees=True)
        journal.commit("old", [end])
    with closing(Housekeeping.open(f"sqlite:///{path}")) as keeping:
        assert keeping.free() < 100_000
        size = path.stat().st_size
        keeping.remove(keeping.old(QUARTER).removable[0], BOB)
        assert keeping.free() > 1_000_000
        keeping.vacuum()
        assert keeping.free() == 0
    assert path.stat().st_size < size - 1_000_000


def test_servers_look_after_their_space_themselves(server_url):
    with closing(Housekeeping.open(server_url)) as keeping:
        assert keeping.free() is None
        keeping.vacuum()


# Taking out


def test_everything_of_a_run_is_taken_out_bit_by_bit(keeping, journal, samples, monkeypatch):
    monkeypatch.setattr("opsflow.journal.housekeeping._NODES", 7)
    run = samples.begin(journal, hosts=[f"h{n}" for n in range(20)])
    for n in (0, 6, 7, 19):
        journal.commit(run.id, [*samples.intent(run.id, f"stop@h{n}"), samples.printed(run.id, f"stop@h{n}", f"{n}\n")])
    begins = []
    event.listen(keeping._database.engine, "begin", lambda *a: begins.append(1))
    taken = keeping.records(run.id)
    assert next(taken) == ("run", run)
    assert next(taken) == ("plan", {"number": 0, "plan": journal.plan(run.id)})
    few = len(begins)
    nodes = [next(taken)[1] for _ in range(7)]
    assert len(begins) == few + 2, "no more is read than is asked for"
    rest = list(taken)
    assert nodes + [record for kind, record in rest if kind == "node"] == journal.nodes(run.id)
    assert [record for kind, record in rest if kind == "output"] == list(journal.output(run.id))
    assert {kind for kind, _ in rest} == {"node", "output"}


def test_what_is_not_there_cannot_be_taken_out(keeping):
    assert keeping.runs() == []
    with pytest.raises(UnknownRun):
        next(keeping.records("none"))


# Holding


def test_who_holds_hosts_is_told(keeping, journal, samples):
    assert keeping.holders() == []
    first = samples.begin(journal, samples.run("first"), hosts=("b", "a"))
    samples.begin(journal, samples.run("second"), hosts=("c",))
    journal.leave("second", release_hosts=False)
    samples.begin(journal, samples.run("third"), hosts=("d",))
    journal.leave("third", release_hosts=True)

    one, two = keeping.holders()
    assert (one.run, one.hosts, one.alive, one.left) == (first, ("a", "b"), True, False)
    assert (two.run.id, two.hosts, two.alive, two.left) == ("second", ("c",), False, True)
    assert 0 <= one.silent < 60

    _elsewhere(journal, silent=3600)
    one, two = keeping.holders()
    assert (one.alive, one.left, round(one.silent / 600)) == (False, False, 6)
    keeping.abandon("first")
    assert [holder.run.id for holder in keeping.holders()] == ["second"]


def test_a_hold_of_a_living_run_is_not_taken_away(keeping, journal, samples):
    samples.begin(journal)
    with pytest.raises(HostsHeld):
        keeping.abandon(samples.run().id)
