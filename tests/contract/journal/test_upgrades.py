"""From every earlier schema to this one, with what is in it; and who may do that when."""

import os
import sqlite3
import stat
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData, event, insert, inspect, make_url, text

from opsflow.errors import JournalTooNew, JournalUnavailable
from opsflow.journal import SqlJournal, upgrade
from opsflow.journal.columns import pack, to_json
from opsflow.journal.database import Database
from opsflow.journal.tables import HEAD, VERSION_TABLE
from opsflow.model import Asked, AttemptState, NodeState, RunState

BOB = "bob@control"
MIGRATIONS = Path(upgrade.__file__).parent / "migrations"
VERSIONS = sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("0*.py"))
EARLIER = VERSIONS[:-1]
AT = 1_764_000_000_123_456

ROWS = {
    "runs": {
        "key": 7, "id": "old", "state": "suspended", "playbook": "p", "inventory": "i", "fingerprint": "f",
        "command": "apply", "operator": "ålice", "started": AT, "hosts": pack(["web-1"]),
    },
    "owners": {
        "run": 7, "epoch": 3, "serial": 9, "token": None, "operator": "ålice", "machine": "m", "boot": "b", "pid": 1,
        "pid_started": "1", "beat": 0,
    },
    "leases": {"host": "web-1", "run": 7},
    "plans": {"run": 7, "part": 0, "data": pack({"nodes": ["stop@web-1"]})},
    "nodes": {
        "run": 7, "n": 0, "id": "stop@web-1", "step": "stop", "host": "web-1", "task": "command", "state": "running",
    },
    "attempts": {
        "key": 5, "run": 7, "node": 0, "phase": "execute", "n": 1, "state": "running", "started": AT, "machine": "",
        "params": to_json({"run": "é🎮"}), "preview": "{}",
    },
    "printed": {
        "run": 7, "n": 1, "node": 0, "phase": "execute", "attempt": 1, "stream": "stdout", "at": AT, "text": "é🎮".encode(),
    },
    "rollbacks": {"key": 2, "run": 7, "id": "old/run", "scope": "run", "nodes": pack(["stop@web-1"]), "started": AT},
    "requests": {
        "key": 4, "run": 7, "epoch": 1, "what": "cancel", "operator": BOB, "at": AT, "data": to_json({"kill": True}),
    },
    "later_plans": {"run": 7, "number": 1, "part": 0, "at": AT, "operator": BOB, "data": pack({"nodes": ["stop@web-1"]})},
}  # fmt: skip
"""A row of each table with the columns that it began with; a new table needs one here."""


def version(url):
    with closing(Database(url)) as database:
        return database.read(upgrade.current)


def set_version(url, number):
    with closing(Database(url)) as database:
        database.write(lambda c: c.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{number}'")))


def at_version(url, number):
    """A database as the opsflow of that version left it, with a run in it."""
    from alembic import command
    from alembic.config import Config

    def fill(connection):
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, number)
        tables = MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            if table.name != VERSION_TABLE:
                connection.execute(insert(table).values(**ROWS[table.name]))

    with closing(Database(url)) as database:
        database.write(fill)


def check(url, samples):
    """What was there is there, and the run goes on."""
    with closing(SqlJournal.open(url)) as journal:
        assert version(url) == HEAD
        run = journal.find(None)
        assert (run.id, run.state, run.operator) == ("old", RunState.SUSPENDED, "ålice")
        assert run.started == datetime(2025, 11, 24, 16, 0, 0, 123456, tzinfo=UTC)
        assert journal.plan("old") == {"nodes": ["stop@web-1"]}
        (node,) = journal.nodes("old")
        (attempt,) = node.attempts
        assert (node.state, attempt.state, attempt.params) == (NodeState.RUNNING, AttemptState.RUNNING, {"run": "é🎮"})
        assert [(piece.text, piece.cut) for piece in journal.output("old")] == [("é🎮", 0)]
        assert [rollback.nodes for rollback in journal.rollbacks("old")] == [("stop@web-1",)]
        journal.resume("old", BOB)
        assert journal.epoch("old") == 4
        number = journal.ask("old", Asked.CANCEL, {"kill": False}, BOB)
        journal._held["old"].heard = -100.0
        assert [request.id for request in journal.heartbeat("old")] == [number]
        journal.commit("old", [samples.printed("old", "stop@web-1", "more"), *samples.outcome("old", "stop@web-1")])
        journal.commit("old", samples.intent("old", "stop@web-1", n=2, before=NodeState.SUCCEEDED))
        assert journal.printed("old", "old/stop@web-1/execute/2") == {}


@pytest.mark.parametrize("number", EARLIER)
def test_every_earlier_schema_is_upgraded_with_what_is_in_it(url, samples, number):
    at_version(url, number)
    _, done = upgrade.upgraded(url)
    assert (done.before, done.after) == (number, HEAD)
    check(url, samples)
    _, again = upgrade.upgraded(url)
    assert again == upgrade.Upgrade(before=HEAD, after=HEAD)


def test_every_table_has_a_row_in_these_tests(url):
    at_version(url, HEAD)
    with closing(Database(url)) as database, database.engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {*ROWS, VERSION_TABLE}


@pytest.mark.parametrize("number", EARLIER)
def test_an_upgrade_that_died_before_it_wrote_the_version_is_done_again(url, samples, number):
    # MySQL commits every statement by itself. Elsewhere that cannot happen, and does no harm.
    at_version(url, number)
    upgrade.upgraded(url)
    set_version(url, number)
    upgrade.upgraded(url)
    check(url, samples)


def test_the_first_opening_that_died_in_the_middle_is_done_again(url):
    SqlJournal.open(url).close()
    with closing(Database(url)) as database:
        database.write(lambda c: c.execute(text("DROP TABLE rollbacks")))
        database.write(lambda c: c.execute(text(f"DELETE FROM {VERSION_TABLE}")))
    SqlJournal.open(url).close()
    assert version(url) == HEAD
    with closing(Database(url)) as database, database.engine.connect() as connection:
        assert inspect(connection).has_table("rollbacks")


@pytest.mark.parametrize("number", EARLIER)
def test_the_first_opening_that_died_between_two_migrations_is_done_again(url, number):
    SqlJournal.open(url).close()
    set_version(url, number)
    SqlJournal.open(url).close()
    assert version(url) == HEAD


def test_many_that_upgrade_at_once_upgrade_once(url, samples):
    at_version(url, "0001")
    found = []
    threads = [threading.Thread(target=lambda: found.append(upgrade.upgraded(url)[1])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done.before for done in found) == ["0001", HEAD, HEAD, HEAD]
    assert len({done.copy for done in found} - {None}) == (make_url(url).drivername == "sqlite")
    check(url, samples)


def test_who_is_next_in_line_sees_what_was_done(url):
    at_version(url, "0001")
    seen = []

    def released(_connection, _cursor, statement, *_):
        if "RELEASE_LOCK" in statement:
            seen.append(version(url))

    event.listen(Engine, "after_cursor_execute", released)
    try:
        upgrade.upgraded(url)
    finally:
        event.remove(Engine, "after_cursor_execute", released)
    assert seen == ([HEAD] if make_url(url).get_backend_name() in {"mysql", "mariadb"} else [])


def test_a_file_is_upgraded_when_it_is_opened_and_a_private_copy_stays(tmp_path, samples):
    path = tmp_path / "journal.db"
    url = f"sqlite:///{path}"
    at_version(url, "0003")
    check(url, samples)
    copy = tmp_path / "journal.db.schema-0003"
    assert [file for file in tmp_path.iterdir() if "schema" in file.name] == [copy]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [("0003",)]
        assert connection.execute("SELECT state FROM attempts").fetchall() == [("running",)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_copy_replaces_no_earlier_one(tmp_path):
    url = f"sqlite:///{tmp_path}/journal.db"
    at_version(url, "0004")
    (tmp_path / "journal.db.schema-0004").write_text("mine")
    _, done = upgrade.upgraded(url)
    assert done.copy == tmp_path / "journal.db.schema-0004-2"
    assert (tmp_path / "journal.db.schema-0004").read_text() == "mine"


def test_what_cannot_be_copied_is_not_upgraded(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/journal.db"
    at_version(url, "0003")
    before = os.listdir(tmp_path)

    class Full(sqlite3.Connection):
        def backup(self, target):
            target.execute("CREATE TABLE half (a)")
            raise sqlite3.OperationalError("database or disk is full")

    real = sqlite3.connect
    monkeypatch.setattr("opsflow.journal.upgrade.sqlite3.connect", lambda path: real(path, factory=Full))
    with pytest.raises(JournalUnavailable, match="disk is full"):
        SqlJournal.open(url)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == before
    assert version(url) == "0003"


def test_a_server_is_upgraded_only_when_somebody_says_so(server_url, samples):
    at_version(server_url, "0003")
    with pytest.raises(JournalUnavailable, match=f"schema 0003, and this opsflow needs {HEAD}") as error:
        SqlJournal.open(server_url)
    assert "opsflow journal upgrade" in error.value.hint
    assert version(server_url) == "0003"
    shown, done = upgrade.upgraded(server_url)
    assert (done.before, done.copy) == ("0003", None)
    assert make_url(server_url).password not in shown
    check(server_url, samples)


@pytest.mark.parametrize("act", [SqlJournal.open, upgrade.upgraded])
def test_a_journal_of_a_newer_opsflow_is_refused_and_left_alone(url, act):
    SqlJournal.open(url).close()
    set_version(url, "9999")
    with pytest.raises(JournalTooNew, match=f"schema 9999, this opsflow knows schemas up to {HEAD}") as error:
        act(url)
    assert error.value.exit_code == 6
    assert error.value.hint == "use the newer opsflow that wrote it"
    assert version(url) == "9999"


def test_a_process_of_an_earlier_version_goes_on_writing(url):
    # As a migration promises: what the earlier statements do not name has a default.
    at_version(url, "0001")
    tables = MetaData()
    with closing(Database(url)) as database:
        database.read(tables.reflect)
        upgrade.upgraded(url)

        def write(connection):
            first, second = tables.tables["attempts"], tables.tables["printed"]
            connection.execute(insert(first).values(**ROWS["attempts"] | {"key": 6, "n": 2}))
            connection.execute(insert(second).values(**ROWS["printed"] | {"n": 2}))

        database.write(write)
    with closing(SqlJournal.open(url)) as journal:
        assert [attempt.n for attempt in journal.nodes("old")[0].attempts] == [1, 2]
        assert [piece.n for piece in journal.output("old")] == [1, 2]
