"""Opening: tables are made and upgraded, what cannot be used is refused with a clear word and without the password."""

import os
import sys
import traceback

import pytest
from sqlalchemy import text

from opsflow.errors import JournalUnavailable
from opsflow.journal import SqlJournal
from opsflow.journal.tables import HEAD, VERSION_TABLE, metadata

PASSWORD = "s3cr3t-p4ss"


def _write(journal, statement):
    with journal.engine.connect().execution_options(opsflow_write=True) as connection, connection.begin():
        connection.execute(text(statement))


def test_an_empty_database_gets_the_tables_that_the_program_knows(journal):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    with journal.engine.connect() as connection:
        options = {"compare_type": True, "version_table": VERSION_TABLE}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        assert connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == HEAD


def test_the_program_knows_the_newest_migration():
    from alembic.script import ScriptDirectory

    import opsflow.journal.upgrade as upgrade

    scripts = ScriptDirectory(os.path.join(os.path.dirname(upgrade.__file__), "migrations"))
    assert scripts.get_current_head() == HEAD
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert revisions == sorted(revisions, reverse=True)
    assert all(len(revision) == 4 and revision.isdigit() for revision in revisions)


def test_opening_an_up_to_date_journal_changes_nothing(open_journal, samples):
    first = open_journal()
    run = samples.begin(first)
    assert open_journal().find(None) == run


def test_tables_on_mysql_tell_case_apart_and_are_transactional(mariadb, mariadb_url):
    SqlJournal.open(mariadb_url).close()
    database = mariadb_url.rpartition("/")[2]
    rows = mariadb.execute(
        "SELECT DISTINCT engine, table_collation FROM information_schema.tables "
        f"WHERE table_schema = '{database}' AND table_name <> '{VERSION_TABLE}'"
    )
    assert rows.split() == ["InnoDB", "utf8mb4_bin"]


def _refused(url):
    """The error and everything that a traceback with its causes would show."""
    with pytest.raises(JournalUnavailable) as error:
        SqlJournal.open(url)
    shown = "".join(traceback.format_exception(error.value))
    assert PASSWORD not in str(error.value) + error.value.hint
    return error.value, shown


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "postgresql"])
def test_an_unreachable_server_is_named_without_the_password(scheme):
    error, _ = _refused(f"{scheme}://ops:{PASSWORD}@127.0.0.1:1/journal?charset={PASSWORD}")
    assert "ops:***@127.0.0.1:1/journal" in error.message
    assert error.exit_code == 6


def test_a_wrong_password_is_not_repeated(mariadb):
    error, _ = _refused(f"mysql://{mariadb.user}:{PASSWORD}@127.0.0.1:{mariadb.port}/x")
    assert "denied" in error.message
    assert mariadb.user in error.message


def test_a_missing_database_is_said_to_be_missing(mariadb):
    with pytest.raises(JournalUnavailable, match="nowhere"):
        SqlJournal.open(mariadb.url("nowhere"))


@pytest.mark.parametrize(
    "url", [f"ops:{PASSWORD}@host", f"nonsense://ops:{PASSWORD}@h/x", "", f"mysql://u:{PASSWORD}@h:port/x"]
)
def test_what_is_no_database_url_is_refused_without_repeating_the_password(url):
    _, shown = _refused(url)
    assert PASSWORD not in shown


@pytest.mark.parametrize(
    ("scheme", "module", "extra"), [("mysql", "pymysql", "mysql"), ("postgresql", "psycopg", "postgres")]
)
def test_a_missing_driver_is_named_with_the_command_that_installs_it(monkeypatch, scheme, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    error, _ = _refused(f"{scheme}://ops:{PASSWORD}@127.0.0.1:1/journal")
    assert f"opsflow[{extra}]" in error.hint


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "journal.db").write_text("not a database, but long enough to be looked at " * 20)
    error, _ = _refused(f"sqlite:///{tmp_path}/journal.db")
    assert "not a database" in error.message


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    _refused(f"sqlite:///{tmp_path}/file/journal.db")


def test_a_full_disk_is_unavailable_and_leaves_nothing(tmp_path, samples):
    journal = SqlJournal.open(f"sqlite:///{tmp_path}/journal.db")
    run = samples.begin(journal)
    with journal.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    from sqlalchemy import event

    event.listen(journal.engine, "begin", lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}"))
    journal.commit(run.id, samples.intent(run.id, "stop@web-1"))
    with pytest.raises(JournalUnavailable, match="full"):
        journal.commit(
            run.id, [*samples.outcome(run.id, "stop@web-1"), samples.printed(run.id, "stop@web-1", "x" * 100_000)]
        )
    assert list(journal.output(run.id)) == []
    assert journal.nodes(run.id)[0].attempts[0].finished is None
    journal.commit(run.id, samples.outcome(run.id, "stop@web-1"))
    journal.close()


def test_a_scheme_without_driver_in_it_means_the_supported_one(mariadb, mariadb_url):
    for scheme in ("mysql", "mariadb", "mysql+pymysql"):
        journal = SqlJournal.open(mariadb_url.replace("mysql", scheme, 1))
        assert journal.engine.driver == "pymysql"
        journal.close()
