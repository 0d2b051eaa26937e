"""migrate_db on real databases: each script once, recorded as it goes, undone in reverse."""

import os
import re
import signal
import sqlite3
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pymysql
import pytest
from pydantic import ValidationError

from opsflow.errors import TaskFailed
from opsflow.model import Action
from opsflow_tasks import backup_db, migrate_db
from opsflow_tasks.databases import ledger
from opsflow_tasks.databases.shell import tag

SCRIPTS = {
    "0001_tables.sql": "CREATE TABLE a (x INT);\n-- it's; a comment\nCREATE TABLE b (x INT);\n",
    "0001_tables.undo.sql": "DROP TABLE b; DROP TABLE a;",
    "0002_rows.sql": "INSERT INTO a VALUES (1); INSERT INTO a VALUES (2); INSERT INTO b VALUES (3) -- the last",
    "0002_rows.undo.sql": "DELETE FROM b;\nDELETE FROM a WHERE x = 2;\nDELETE FROM a WHERE x = 1;\n",
    "0002_rows.verify.sql": "SELECT COUNT(*) = 2 FROM a;\nWITH w AS (SELECT 1 AS y) SELECT y FROM w; -- both\n",
    "0010_column.sql": "ALTER TABLE a ADD COLUMN z TEXT;",
    "0010_column.undo.sql": "ALTER TABLE a DROP COLUMN z;",
}


@pytest.fixture
def project(tmp_path):
    path = tmp_path / "project"
    (path / "scripts").mkdir(parents=True)
    write(path, SCRIPTS)
    return path


@pytest.fixture
def migrate(database, node, project):
    database.execute("CREATE TABLE old (x INT)")
    return node(migrate_db, database, database.params(scripts="scripts", allow_irreversible=True), project=project)


def write(project, scripts):
    for name, text in scripts.items():
        (project / "scripts" / name).write_text(text)


def only(project, scripts):
    for path in (project / "scripts").iterdir():
        path.unlink()
    write(project, scripts)


def history(database, what="version, run_id"):
    return [tuple(map(str, row)) for row in database.execute(f"SELECT {what} FROM opsflow_migrations ORDER BY version")]


def test_scripts_are_applied_in_the_order_of_their_numbers(migrate, database):
    assert migrate.apply() == {"version": 10, "applied": [1, 2, 10]}
    assert database.tables() == ["a", "b", "old", "opsflow_migrations"]
    assert [v for v, _ in history(database)] == ["1", "2", "10"]


def test_the_preview_names_the_scripts_and_shows_their_text(migrate):
    preview = migrate.plan()
    assert preview.summary.endswith("0 → 10 (0001_tables, 0002_rows, 0010_column)")
    assert "ALTER TABLE a ADD COLUMN z" in preview.diff
    assert preview.reversible
    assert preview.before["version"] == 0
    assert migrate.transport.reads == 1


def test_a_second_plan_is_unchanged_with_the_outputs_of_execute(migrate):
    outputs = migrate.apply()
    settled = migrate.plan()
    assert settled.action is Action.UNCHANGED
    assert settled.outputs == outputs
    other = migrate.again(run_id="other").plan()
    assert other.outputs == {"version": 10, "applied": []}


def test_executing_twice_applies_nothing_twice(migrate, database):
    preview = migrate.plan()
    outputs = migrate.execute(preview)
    state = database.dump()
    assert migrate.execute(preview) == outputs
    assert database.dump() == state


def test_to_stops_at_a_version(migrate):
    first = migrate.again(params={"to": 2})
    assert first.apply() == {"version": 2, "applied": [1, 2]}
    assert first.plan().action is Action.UNCHANGED
    assert migrate.plan().summary.endswith("2 → 10 (0010_column)")


def test_a_database_beyond_the_version_asked_for_is_not_touched(migrate):
    migrate.apply()
    preview = migrate.again(params={"to": 2}).plan()
    assert preview.action is Action.FAIL
    assert "only a rollback goes back" in preview.why
    assert "no script of version 5" in migrate.again(params={"to": 5}, run_id="o").plan().why


def test_a_revert_restores_schema_and_data_and_can_be_repeated(migrate, database):
    before = database.dump(), database.tables()
    preview = migrate.plan()
    outputs = migrate.execute(preview)
    migrate.revert(preview, outputs)
    assert (database.dump(), database.tables()) == before
    migrate.revert(preview, outputs)
    assert (database.dump(), database.tables()) == before


def test_a_revert_goes_back_only_to_the_recorded_version(migrate, database):
    migrate.again(params={"to": 1}, run_id="earlier").apply()
    before = database.dump(), history(database)
    preview = migrate.plan()
    migrate.execute(preview)
    migrate.revert(preview)
    assert (database.dump(), history(database)) == before


def test_a_revert_of_an_attempt_that_applied_nothing_does_nothing(migrate, database):
    migrate.again(run_id="earlier").apply()
    before = database.dump()
    preview = replace(migrate.plan(), before={"version": 0, "history": False, "attempt": 1, "scripts": {}})
    migrate.revert(preview)
    assert database.dump() == before
    assert len(history(database)) == 3


def test_a_revert_refuses_when_a_later_run_built_upon_it(migrate, database, project):
    preview = migrate.plan()
    migrate.execute(preview)
    write(project, {"0011_more.sql": "CREATE TABLE c (x INT)"})
    migrate.again(run_id="later").apply()
    with pytest.raises(TaskFailed, match="0011_more was applied after it by run later"):
        migrate.revert(preview)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_interrupted_anywhere_a_revert_restores_schema_and_data(migrate, database, at, before):
    state = database.dump(), database.tables()
    preview = migrate.plan()
    assert migrate.interrupted(preview, at, before=before)
    migrate.revert(preview)
    migrate.revert(preview)
    assert (database.dump(), database.tables()) == state


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_interrupted_anywhere_executing_again_completes_it(migrate, database, at, before):
    preview = migrate.plan()
    assert migrate.interrupted(preview, at, before=before)
    assert migrate.execute(preview) == {"version": 10, "applied": [1, 2, 10]}
    assert migrate.plan().outputs == {"version": 10, "applied": [1, 2, 10]}


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_an_interrupted_revert_is_finished_by_the_next(migrate, database, at, before):
    state = database.dump(), database.tables()
    preview = migrate.plan()
    migrate.execute(preview)
    migrate.transport.at, migrate.transport.before = at, before
    with pytest.raises(BaseException, match="the link was lost"):
        migrate.revert(preview)
    migrate.transport.at = None
    migrate.revert(preview)
    assert (database.dump(), database.tables()) == state


SLOW = {
    "sqlite": "CREATE TABLE n AS WITH RECURSIVE s (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 3000000)"
    " SELECT MAX(i) FROM s",
    "mysql": "CREATE TABLE n (x INT); DO SLEEP(1)",
    "postgresql": "CREATE TABLE n (x INT); SELECT pg_sleep(1)",
}


def test_a_revert_waits_for_a_script_that_outlived_its_link(migrate, database, project, find_process):
    undo = {"mysql": "DO 1; DROP TABLE n"}.get(database.engine, "DROP TABLE n")
    only(project, {"0001_slow.sql": SLOW[database.engine], "0001_slow.undo.sql": undo})
    preview = migrate.plan()
    results = []
    orphan = threading.Thread(target=lambda: results.append(migrate.again().execute(preview)))
    orphan.start()
    if database.engine == "sqlite":
        find_process("sqlite3", database.name)
        time.sleep(0.3)
    elif database.engine == "mysql":
        _client_in_sleep(database, find_process)
    else:
        _server_in_sleep(database)
    migrate.revert(preview)
    orphan.join()
    assert results == [{"version": 1, "applied": [1]}]
    assert database.tables() == ["old"]


def test_the_undo_is_the_one_that_was_stored(migrate, database, project):
    state = database.dump()
    preview = migrate.plan()
    migrate.execute(preview)
    write(project, {"0010_column.undo.sql": "DROP TABLE old"})
    migrate.revert(preview)
    assert database.dump() == state


BROKEN = {
    "0001_five.sql": "CREATE TABLE a (x INT); INSERT INTO a VALUES (7); INSERT INTO nowhere VALUES (1);"
    "CREATE TABLE d (x INT); CREATE TABLE e (x INT);",
    "0001_five.undo.sql": "DROP TABLE e; DROP TABLE d; DELETE FROM nowhere; DELETE FROM a; DROP TABLE a;",
}


def test_a_script_that_fails_in_the_middle_is_told_and_reverted(migrate, database, project):
    only(project, BROKEN)
    state = database.dump(), database.tables()
    preview = migrate.plan()
    with pytest.raises(TaskFailed, match=r"0001_five\.sql, statement 3 of 5: .*nowhere.* exist|no such table: nowhere"):
        migrate.execute(preview)
    migrate.revert(preview)
    assert (database.dump(), database.tables()) == state
    migrate.revert(preview)


def test_sqlite_applies_nothing_of_a_script_that_fails(sqlite, node, project):
    only(project, BROKEN)
    migrate = node(migrate_db, sqlite, sqlite.params(scripts="scripts", allow_irreversible=True), project=project)
    with pytest.raises(TaskFailed, match="nothing of the script was applied"):
        migrate.apply()
    assert sqlite.tables() == []


@pytest.fixture
def half(mysql, node, project):
    """A MySQL database in which a script stopped at its third statement, and the attempt's preview."""
    only(project, BROKEN)
    migrate = node(migrate_db, mysql, mysql.params(scripts="scripts", allow_irreversible=True), project=project)
    preview = migrate.plan()
    with pytest.raises(TaskFailed):
        migrate.execute(preview)
    return migrate, preview


def test_mysql_records_the_statement_that_was_reached(half, mysql):
    assert history(mysql, "state, statements, position, pending") == [("applying", "5", "2", "0")]


def test_another_attempt_of_the_node_goes_on_where_a_script_stopped(half, mysql):
    mysql.execute("CREATE TABLE nowhere (x INT)")
    assert half[0].again(attempt=2).apply() == {"version": 1, "applied": [1]}
    assert mysql.execute("SELECT COUNT(*) FROM a") == [("1",)]
    assert mysql.tables() == ["a", "d", "e", "nowhere", "opsflow_migrations"]


def test_another_run_refuses_a_database_that_was_left_half_migrated(half):
    preview = half[0].again(run_id="another").plan()
    assert preview.action is Action.FAIL
    assert "0001_five was left half done by run 20261124T213000Z-aaaa (applying, 2 of 5" in preview.why


def test_a_half_applied_script_whose_undo_does_not_mirror_it_needs_a_person(half, mysql):
    migrate, preview = half
    mysql.execute("UPDATE opsflow_migrations SET undo_sql = 'DROP TABLE a;'")
    with pytest.raises(TaskFailed, match=r"only 2 of 5 statements of 0001_five were applied") as caught:
        migrate.revert(preview)
    assert "1. 0001_five: undo its first 2 of 5 statements by hand, then: DELETE FROM" in caught.value.hint
    assert "2. then: opsflow rollback 20261124T213000Z-aaaa" in caught.value.hint
    mysql.execute("DROP TABLE a; DELETE FROM opsflow_migrations WHERE version = 1;")
    migrate.revert(preview)
    assert mysql.tables() == []


def test_an_undo_that_fails_tells_what_is_left_to_do(half, mysql):
    migrate, preview = half
    mysql.execute("UPDATE opsflow_migrations SET undo_sql = 'DO 1; DO 2; DO 3; DROP TABLE missing; DROP TABLE a'")
    for _ in range(2):
        with pytest.raises(
            TaskFailed, match=r"the undo of 0001_five .*, statement 4 of 5: ERROR 1051 .*missing'"
        ) as caught:
            migrate.revert(preview)
        assert "0001_five had come to statement 2 of 5" in caught.value.hint
        assert "do by hand what statements 4 to 5 of that undo were to do, then: DELETE FROM" in caught.value.hint
    mysql.execute("DROP TABLE a; DELETE FROM opsflow_migrations WHERE version = 1;")
    migrate.revert(preview)
    assert mysql.tables() == []


def test_a_client_killed_in_a_statement_leaves_its_fate_unknown(mysql, node, project, find_process):
    only(
        project, {"0001_slow.sql": "CREATE TABLE a (x INT); DO SLEEP(90);", "0001_slow.undo.sql": "DO 1; DROP TABLE a;"}
    )
    migrate = node(migrate_db, mysql, mysql.params(scripts="scripts", allow_irreversible=True), project=project)
    preview = migrate.plan()

    def kill():
        os.kill(_client_in_sleep(mysql, find_process), signal.SIGKILL)
        for line in mysql.server.execute("SHOW PROCESSLIST").splitlines():
            if "SLEEP" in line:
                mysql.server.execute(f"KILL {line.split()[0]}")  # which would sleep on

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(TaskFailed, match=r"0001_slow\.sql, statement 2 of 2"):
        migrate.execute(preview)
    killer.join()
    with pytest.raises(TaskFailed, match=r"statement 2 of 0001_slow was begun and nobody saw its end") as caught:
        migrate.revert(preview)
    assert "SET pending = 0, position = 1 (or 2, if it did) WHERE version = 1;" in caught.value.hint
    mysql.execute("UPDATE opsflow_migrations SET pending = 0, position = 2 WHERE version = 1")
    migrate.revert(preview)
    assert mysql.tables() == []


def _client_in_sleep(mysql, find_process):
    end = time.monotonic() + 60
    while "SLEEP" not in mysql.server.execute("SHOW PROCESSLIST"):
        assert time.monotonic() < end
        time.sleep(0.02)
    return find_process("mariadb", "--binary-mode")


def _server_in_sleep(postgresql):
    end = time.monotonic() + 30
    while not postgresql.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_verify_that_is_not_satisfied_fails_the_script(migrate, database, project):
    write(project, {"0002_rows.verify.sql": "SELECT 1; SELECT COUNT(*) - 2 FROM a;"})
    preview = migrate.plan()
    with pytest.raises(TaskFailed, match=r"0002_rows\.verify\.sql, statement 2: the value is NULL, 0 or empty"):
        migrate.execute(preview)
    assert migrate.plan().action is not Action.UNCHANGED
    migrate.revert(preview)
    assert database.tables() == ["old"]


@pytest.mark.parametrize("value", ["NULL", "0", "''", "'0'", "0.0", "(SELECT x FROM old)"])
def test_a_verify_is_not_satisfied_by(migrate, project, value):
    write(project, {"0001_tables.verify.sql": f"SELECT {value}"})
    with pytest.raises(TaskFailed, match="statement 1: the value is NULL, 0 or empty"):
        migrate.apply()


def test_a_verify_is_satisfied_by_any_other_value(migrate, project):
    write(project, {"0001_tables.verify.sql": "SELECT 1; SELECT -1; SELECT 0.5; SELECT 'ok'; SELECT '00ff'; SELECT 10"})
    assert migrate.again(params={"to": 1}).apply()["version"] == 1


def test_an_edited_script_is_refused(migrate, project):
    migrate.apply()
    write(project, {"0002_rows.sql": "SELECT 1;"})
    preview = migrate.plan()
    assert preview.action is Action.FAIL
    assert "0002_rows.sql was edited after it was applied" in preview.why


def test_other_line_ends_are_no_edit(migrate, project):
    migrate.apply()
    path = project / "scripts" / "0001_tables.sql"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert migrate.plan().action is Action.UNCHANGED


def test_a_missing_script_is_refused(migrate, project):
    migrate.apply()
    for path in (project / "scripts").glob("0002*"):
        path.unlink()
    assert "0002_rows.sql is missing" in migrate.plan().why


def test_a_script_out_of_order_is_refused(migrate, project):
    migrate.apply()
    write(project, {"0005_late.sql": "CREATE TABLE late (x INT)"})
    assert "0005_late.sql is out of order: version 10 is applied" in migrate.plan().why


def test_a_script_edited_after_the_plan_is_not_applied(migrate, project, database):
    preview = migrate.plan()
    write(project, {"0001_tables.sql": "CREATE TABLE other (x INT)"})
    with pytest.raises(TaskFailed, match="0001_tables is not what it was when the migration was planned"):
        migrate.execute(preview)
    assert database.tables() == ["old"]


@pytest.mark.parametrize(
    ("scripts", "message"),
    [
        ({"0002_other.sql": "SELECT 1"}, "have the same version"),
        ({"three.sql": "SELECT 1"}, "three.sql: scripts are called"),
        ({"0003_x.undo.sql": "SELECT 1"}, "0003_x.undo.sql: there is no script 3 that it is the undo of"),
        ({"0003_x.sql": "-- nothing\n"}, "0003_x.sql: there is no statement"),
        ({"0003_x.sql": "SELECT 'open"}, "line 1: ' has no end"),
        ({"0003_x.sql": "SELECT 1;\nCOMMIT;"}, "0003_x.sql: statement 2 is COMMIT"),
        ({"0003_x.sql": "SELECT 1", "0003_x.verify.sql": "DELETE FROM a"}, "0003_x.verify.sql: may only hold SELECT"),
        (
            {"0003_x.sql": "", "0004_y.sql": "SELECT 'a"},
            "0003_x.sql: there is no statement in it; 0004_y.sql: line 1: '",
        ),
        ({"three.sql": "", "four.sql": ""}, "numbers are whole, from 1; three.sql: scripts are"),
    ],
)
def test_a_script_that_cannot_be_used_is_named(sqlite, node, project, scripts, message):
    write(project, scripts)
    preview = node(
        migrate_db, sqlite, sqlite.params(scripts="scripts", allow_irreversible=True), project=project
    ).plan()
    assert preview.action is Action.FAIL
    assert message in preview.why


def test_a_script_that_cannot_be_read_is_named(sqlite, node, project):
    (project / "scripts" / "0003_x.sql").write_bytes(b"SELECT 1;\nSELECT '\xe4'")
    (project / "scripts" / "0004_y.sql").mkdir()
    why = node(migrate_db, sqlite, sqlite.params(scripts="scripts"), project=project).plan().why
    assert "0003_x.sql: line 2: byte 0xe4 is not UTF-8; 0004_y.sql: Is a directory" in why


@pytest.mark.parametrize(
    "statement", [".tables", "ATTACH 'x' AS y", "PRAGMA user_version = 1", "/* ; */ begin", "VACUUM"]
)
def test_sqlite_scripts_may_not_leave_their_transaction(sqlite, node, project, statement):
    write(project, {"0003_x.sql": f"SELECT 1;\n{statement};\n"})
    preview = node(
        migrate_db, sqlite, sqlite.params(scripts="scripts", allow_irreversible=True), project=project
    ).plan()
    assert "statement 2 is" in preview.why


@pytest.mark.parametrize("statement", ["USE other", "START TRANSACTION", "SET autocommit=0", "LOCK TABLES a WRITE"])
def test_mysql_scripts_may_not_leave_their_frame(mysql, node, project, statement):
    write(project, {"0003_x.sql": f"SELECT 1; # ;\n{statement};\n"})
    preview = node(migrate_db, mysql, mysql.params(scripts="scripts", allow_irreversible=True), project=project).plan()
    assert "statement 2 is" in preview.why


def test_a_missing_directory_is_named(migrate):
    assert "/nowhere: No such file" in migrate.again(params={"scripts": "nowhere"}).plan().why


def test_a_missing_database_fails_the_preview(migrate):
    assert "nowhere" in migrate.again(params={"database": "nowhere"}).plan().why


def test_a_table_name_that_is_no_name_is_refused():
    with pytest.raises(ValidationError, match="table"):
        migrate_db.Params(engine="sqlite", database="x", scripts="s", table="a; b")


def test_sqlite_triggers_are_one_statement(sqlite, node, project):
    trigger = "CREATE TRIGGER tr AFTER INSERT ON a BEGIN UPDATE b SET x = 1; DELETE FROM b WHERE x = ';'; END;"
    write(project, {"0011_trigger.sql": f"{trigger}\nINSERT INTO b VALUES (5);"})
    assert (
        node(migrate_db, sqlite, sqlite.params(scripts="scripts", allow_irreversible=True), project=project).apply()[
            "version"
        ]
        == 11
    )


def test_mysql_routines_are_one_statement(mysql, node, project):
    write(
        project,
        {
            "0011_routine.sql": "DELIMITER //\nCREATE PROCEDURE p()\nBEGIN -- it's ok\n  SELECT '//'; SELECT \"\\\";\";\nEND//\n"
            "delimiter ;\nINSERT INTO a (x) VALUES (9); /*!40101 SET @x = 1 */; CALL p()"
        },
    )
    assert (
        node(migrate_db, mysql, mysql.params(scripts="scripts", allow_irreversible=True), project=project).apply()[
            "version"
        ]
        == 11
    )
    assert history(mysql, "statements")[-1] == ("4",)


def test_text_of_any_kind_goes_through_unharmed(migrate, database, project):
    text = "ä ''; -- \" ` # /* $o0$ 😀"
    write(
        project,
        {
            "0011_text.sql": f"CREATE TABLE odd (t TEXT); INSERT INTO odd VALUES ('{text}');",
            "0011_text.undo.sql": f"DELETE FROM odd WHERE t = '{text}'; DROP TABLE odd;",
        },
    )
    if database.engine == "mysql":
        database.execute(f"ALTER DATABASE {database.quoted} CHARACTER SET utf8mb4")
    state = database.dump()
    preview = migrate.plan()
    migrate.execute(preview)
    assert database.execute("SELECT t FROM odd") == [(text.replace("''", "'"),)]
    migrate.revert(preview)
    assert database.dump() == state


def test_two_migrations_at_once_apply_each_script_once(migrate, database):
    nodes = [migrate.again(run_id=f"run-{n}") for n in range(2)]
    previews = [node.plan() for node in nodes]
    results, barrier = [], threading.Barrier(2)

    def execute(node, preview):
        barrier.wait()
        results.append(node.execute(preview))

    threads = [threading.Thread(target=execute, args=pair) for pair in zip(nodes, previews, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(v for result in results for v in result["applied"]) == [1, 2, 10]
    assert {result["version"] for result in results} == {10}
    assert database.execute("SELECT COUNT(*) FROM a") in ([(2,)], [("2",)])


def test_a_script_begun_between_the_look_at_the_lock_and_that_at_the_rows_is_not_taken_for_left(
    migrate, database, monkeypatch
):
    """The first answer is of a moment at which nobody held the lock yet, but somebody's row was there already."""
    first = migrate.again(run_id="first")
    first.apply()
    real, moments = ledger.parse, []

    def parsed(text):
        history = real(text)
        moments.append(history)
        if len(moments) > 1:
            return history
        return replace(history, rows=(*history.rows[:-1], replace(history.rows[-1], state="applying")))

    monkeypatch.setattr(ledger, "parse", parsed)
    assert migrate.again(run_id="second").plan().action is Action.UNCHANGED
    assert len(moments) == 2


def test_a_migration_waits_for_one_in_the_middle_of_a_script(mysql, node, project):
    only(project, {"0001_slow.sql": "CREATE TABLE a (x INT); DO SLEEP(1); CREATE TABLE b (x INT)"})
    migrate = node(migrate_db, mysql, mysql.params(scripts="scripts", allow_irreversible=True), project=project)
    first, second = migrate.again(run_id="first"), migrate.again(run_id="second")
    thread = threading.Thread(target=first.apply)
    thread.start()
    while "SLEEP" not in mysql.server.execute("SHOW PROCESSLIST"):
        time.sleep(0.02)
    preview = second.plan()
    assert preview.action is Action.CHANGE
    assert second.execute(preview) == {"version": 1, "applied": []}
    thread.join()
    assert first.plan().outputs == {"version": 1, "applied": [1]}


def test_a_lock_that_is_held_too_long_fails_with_nothing_done(migrate, database):
    impatient = migrate.again(params={"lock_timeout": "1s"})
    preview = impatient.plan()
    with (
        holding(database),
        pytest.raises(TaskFailed, match=r"(another migration|somebody else) held the lock .* for more than 1 s"),
    ):
        impatient.execute(preview)
    assert database.tables() == ["old"]


class holding:
    """Holds the lock of migrations."""

    def __init__(self, database):
        self.database = database

    def __enter__(self):
        if self.database.engine == "sqlite":
            self.connection = sqlite3.connect(self.database.path, isolation_level=None)
            self.connection.execute("BEGIN IMMEDIATE")
        elif self.database.engine == "postgresql":
            self.connection = psycopg.connect(
                host="127.0.0.1",
                port=self.database.server.port,
                user="odd",
                password=self.database.secrets["env:DATABASE_PASSWORD"],
                dbname=self.database.name,
            )
            self.connection.execute("SELECT pg_advisory_xact_lock(x'6f7073666c6f77'::bigint)")
        else:
            server = self.database.server
            self.connection = pymysql.connect(
                host="127.0.0.1",
                port=server.port,
                user=server.user,
                password=server.password,
                database=self.database.name,
            )
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT GET_LOCK(CONCAT('opsflow:', MD5(DATABASE())), 5)")
                assert cursor.fetchone() == (1,)

    def __exit__(self, *_):
        self.connection.close()


def test_the_password_is_on_no_command_line(mysql, node, project, watch):
    migrate = node(migrate_db, mysql, mysql.params(scripts="scripts", allow_irreversible=True), project=project)
    outputs, seen = watch(migrate.apply)
    assert outputs["version"] == 10
    assert any("--binary-mode" in line for line in seen)
    assert not any(mysql.secrets["env:DATABASE_PASSWORD"] in line for line in seen)


@pytest.mark.parametrize("password", ["status", "CREATE"])
def test_a_password_that_is_a_word_of_the_scripts_is_no_secret_in_a_command(server_with, node, project, password):
    """Test sites have them; only where it is the user's name as well would it be seen."""
    database, connection = server_with(password)
    text = f"CREATE TABLE a (x INT);\n-- {'and so on ' * 500}\n"
    only(project, {"1_a.sql": text, "1_a.undo.sql": "DROP TABLE a"})
    migrate = node(migrate_db, database, database.params(scripts="scripts", connection=connection), project=project)
    preview = migrate.plan()
    assert migrate.execute(preview)["version"] == 1
    migrate.revert(preview)
    backup = node(backup_db, database, database.params(connection=connection))
    assert backup.apply()["bytes"]


@pytest.fixture(params=["mysql", "postgresql"])
def server_with(request):
    """`server_with(PASSWORD)`: a database, and the connection of an account with that password."""
    database = request.getfixturevalue(request.param)

    def made(password):
        if database.engine == "mysql":
            database.server.execute(
                f"CREATE OR REPLACE USER 'weak'@'127.0.0.1' IDENTIFIED BY '{password}';"
                " GRANT ALL PRIVILEGES ON *.* TO 'weak'@'127.0.0.1'"
            )
        else:
            database.server.execute("DROP ROLE IF EXISTS weak")
            database.server.execute(f"CREATE ROLE weak SUPERUSER LOGIN PASSWORD '{password}'")
        database.secrets = {"env:WEAK": password}
        return database, database.params()["connection"] | {"user": "weak", "password": {"$secret": "env:WEAK"}}

    return made


def test_without_undo_a_migration_says_that_it_is_irreversible_and_why(migrate, project):
    (project / "scripts" / "0002_rows.undo.sql").unlink()
    preview = migrate.plan()
    assert not preview.reversible
    assert preview.why == "no undo script: 0002_rows"


def test_without_undo_a_revert_stops_with_the_steps_for_a_person(migrate, database, project):
    (project / "scripts" / "0002_rows.undo.sql").unlink()
    preview = migrate.plan()
    migrate.execute(preview)
    state = database.dump()
    with pytest.raises(TaskFailed, match="0002_rows has no undo script") as caught:
        migrate.revert(preview)
    assert database.dump() == state
    assert "DELETE FROM opsflow_migrations WHERE version = 2;" in caught.value.hint


@pytest.fixture
def restorable(migrate, database, project, node):
    """A migration without undo whose backup was made just before."""
    database.execute("INSERT INTO old VALUES (1)")
    if database.engine != "sqlite":  # data that looks like a dump's remarks, after which a section would begin
        text = "\n-- Dumping data for table `opsflow_migrations`\n"
        name = "-- Name: opsflow_migrations; Type: TABLE; Schema: public; Owner: odd"
        database.execute(f"CREATE TABLE looks (x VARCHAR(99)); INSERT INTO looks VALUES ('{text}'), ('{name}')")
    if database.engine == "mysql":
        database.execute("CREATE VIEW v AS SELECT * FROM old; CREATE PROCEDURE q() SELECT 1;")
    elif database.engine == "postgresql":
        database.execute(
            "CREATE VIEW v AS SELECT * FROM old; CREATE FUNCTION q(int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
            "CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN dom AS int; CREATE SEQUENCE seq; CREATE SCHEMA s;"
            "CREATE MATERIALIZED VIEW mv AS SELECT 1 AS one; CREATE AGGREGATE agg(int) (SFUNC = int4pl, STYPE = int);"
            "CREATE TYPE span AS RANGE (subtype = int); CREATE TABLE own (i int GENERATED ALWAYS AS IDENTITY, j serial);"
            "CREATE TABLE s.t (m mood, i serial PRIMARY KEY); CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)"
        )
    for path in (project / "scripts").glob("*.undo.sql"):
        path.unlink()
    backup = node(backup_db, database, database.params(compress="zstd")).apply()
    return migrate.again(params={"restore_from": backup["path"], "allow_restore": True})


def test_without_undo_a_revert_restores_the_backup_if_that_is_allowed(restorable, database):
    state = database.dump(), database.tables()
    preview = restorable.plan()
    assert preview.reversible
    restorable.execute(preview)
    assert (database.dump(), database.tables()) != state
    restorable.revert(preview)
    assert (database.dump(), database.tables()) == state
    restorable.revert(preview)
    assert (database.dump(), database.tables()) == state


def test_a_script_that_fails_is_not_taken_for_applied_where_a_backup_may_be_restored(restorable, database, project):
    state = database.dump(), database.tables()
    only(
        project,
        {"0001_a.sql": "CREATE TABLE a (x INT)", "0002_b.sql": "CREATE TABLE b (x INT); UPDATE nowhere SET x = 1"},
    )
    preview = restorable.plan()
    with pytest.raises(TaskFailed, match=r"0002_b\.sql, statement 2 of 2: .*nowhere"):
        restorable.execute(preview)
    assert restorable.again(run_id="another").plan().action is not Action.UNCHANGED
    restorable.revert(preview)
    assert (database.dump(), database.tables()) == state


def test_what_a_killed_script_left_is_removed_by_the_next_look_and_what_another_one_uses_is_not(
    restorable, tmp_path, monkeypatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    directories = [tmp_path / "tmp", Path(restorable.given["restore_from"]).parent]
    directories[0].mkdir()
    mine = tag(restorable.context(None))
    with subprocess.Popen(["true"]) as killed:
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has asked for it yet
        left = [f".opsflow.{mine}.{killed.pid}.aaaa"]
        used = [f".opsflow.{mine}.{os.getpid()}.aaaa", f".opsflow.01234567.{killed.pid}.aaaa"]
        for path in (directory / name for directory in directories for name in (*left, *used)):
            path.mkdir()
            (path / "data").touch()
        restorable.plan()
    assert [sorted(path.name for path in directory.glob(".*")) for directory in directories] == [sorted(used)] * 2


@pytest.mark.parametrize("when", ["before the migration", "after it"])
def test_a_backup_is_not_restored_over_what_somebody_wrote_until_told_so(restorable, database, when):
    state = database.dump(), database.tables()
    if when == "before the migration":
        database.execute("INSERT INTO old VALUES (77)")
    preview = restorable.plan()
    restorable.execute(preview)
    if when == "after it":
        table = "old" if database.engine == "sqlite" else "looks"
        database.execute(f"INSERT INTO {table} VALUES ('77')")
    written = database.dump()
    with pytest.raises(
        TaskFailed, match=r"is not restored from .*written to since the backup.*\b(old|looks)\b"
    ) as caught:
        restorable.revert(preview)
    assert database.dump() == written
    # The steps that it says, done as they are there.
    (step,) = re.findall(r"^2\. on localhost: (.*)$", caught.value.hint, re.MULTILINE)
    subprocess.run(["sh", "-c", step], check=True, cwd=database.home)
    restorable.revert(preview)
    assert (database.dump(), database.tables()) == state


def test_after_a_restore_the_next_attempt_can_be_restored_as_well(restorable, database):
    state = database.dump(), database.tables()
    for attempt in (1, 2):
        node = restorable.again(attempt=attempt)
        preview = node.plan()
        node.execute(preview)
        node.revert(preview)
        assert (database.dump(), database.tables()) == state


def test_a_backup_is_not_restored_unless_that_is_allowed(restorable, database):
    forbidden = restorable.again(params={"allow_restore": False})
    preview = forbidden.plan()
    assert not preview.reversible
    forbidden.execute(preview)
    state = database.dump()
    with pytest.raises(TaskFailed) as caught:
        forbidden.revert(preview)
    assert database.dump() == state
    assert "or restore" in caught.value.hint


def test_a_damaged_backup_is_not_restored(restorable, database):
    preview = restorable.plan()
    restorable.execute(preview)
    state = database.dump()
    with open(restorable.given["restore_from"], "ab") as file:
        file.write(b"x")
    with pytest.raises(TaskFailed, match="wrong SHA-256"):
        restorable.revert(preview)
    assert database.dump() == state


def test_a_backup_of_another_database_does_not_make_a_migration_reversible(restorable, database, node):
    if database.engine == "sqlite":
        (database.home / "other.db").touch()
    elif database.engine == "mysql":
        database.server.create("other.db")
    else:
        database.create("other.db")
    other = node(backup_db, database, database.params(database="other.db"), run_id="o").apply()
    preview = restorable.again(params={"restore_from": other["path"]}).plan()
    assert not preview.reversible
    assert "is of another database" in preview.why


def test_an_interrupted_restore_of_a_server_is_begun_again(mysql, node, project):
    mysql.execute("CREATE TABLE aa (x INT); INSERT INTO aa VALUES (4); CREATE TABLE zz (x INT)")
    only(project, {"0001_x.sql": "DROP TABLE aa"})
    backup = node(backup_db, mysql, mysql.params()).apply()
    params = mysql.params(scripts="scripts", allow_irreversible=True, restore_from=backup["path"], allow_restore=True)
    migrate = node(migrate_db, mysql, params, project=project)
    state = mysql.dump()
    preview = migrate.plan()
    migrate.execute(preview)
    # As a restore leaves it that died after the tables were dropped.
    mysql.execute("CREATE TABLE opsflow_migrations_restoring (run_id VARCHAR(99), node VARCHAR(99))")
    mysql.execute(f"INSERT INTO opsflow_migrations_restoring VALUES ('{migrate.run_id}', 'db@localhost')")
    mysql.execute("DROP TABLE opsflow_migrations; DROP TABLE zz")
    assert "is not finished" in migrate.again(run_id="other").plan().why
    migrate.revert(preview)
    assert mysql.dump() == state
    assert mysql.tables() == ["aa", "zz"]


def test_a_statement_of_a_script_that_does_not_arrive_whole_is_not_run(sqlite, node, project, monkeypatch):
    migrate = node(migrate_db, sqlite, sqlite.params(scripts="scripts", allow_irreversible=True), project=project)
    preview = migrate.plan()
    run = type(migrate.transport).run

    def cut(self, command, **options):
        if options.get("input"):
            options["input"] = options["input"][:-40]
        return run(self, command, **options)

    monkeypatch.setattr(type(migrate.transport), "run", cut)
    with pytest.raises(TaskFailed, match="did not arrive whole: nothing of it was run"):
        migrate.execute(preview)
    assert sqlite.tables() == []
