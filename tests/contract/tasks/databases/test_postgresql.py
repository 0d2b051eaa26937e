"""What is PostgreSQL's own, on a real server: scripts as transactions, and those that none can hold."""

import gzip
import os
import signal
import stat
import threading
import time
from pathlib import Path

import psycopg
import pytest
from pydantic import ValidationError

from opsflow.errors import TaskFailed
from opsflow.model import Action
from opsflow_tasks import backup_db, migrate_db


@pytest.fixture
def migrate(postgresql, node, tmp_path):
    """`migrate(SCRIPTS, **PARAMS)`: a node that migrates to scripts, which are given by name and text."""
    directory = tmp_path / "project" / "scripts"
    directory.mkdir(parents=True)

    def made(scripts, **params):
        for path in directory.iterdir():
            path.unlink()
        for name, text in scripts.items():
            (directory / name).write_text(text)
        return node(
            migrate_db,
            postgresql,
            postgresql.params(scripts="scripts", allow_irreversible=True, **params),
            project=directory.parent,
        )

    return made


def history(postgresql, what="state, statements, position, pending"):
    return postgresql.execute(f"SELECT {what} FROM opsflow_migrations ORDER BY version")


def test_nothing_of_a_script_that_fails_is_applied(migrate, postgresql):
    wrong = migrate({"1_x.sql": "CREATE TABLE a (x int); INSERT INTO a VALUES (1); SELECT nothing FROM nowhere"})
    with pytest.raises(
        TaskFailed, match=r'statement 3 of 3: ERROR:  relation "nowhere" .* \(nothing of the script was'
    ):
        wrong.apply()
    assert postgresql.tables() == []


def test_a_constraint_that_is_checked_at_the_end_fails_the_script(migrate, postgresql):
    deferred = "CREATE TABLE a (x int PRIMARY KEY); CREATE TABLE b (x int REFERENCES a DEFERRABLE INITIALLY DEFERRED)"
    wrong = migrate({"1_x.sql": f"{deferred}; INSERT INTO b VALUES (1)"})
    with pytest.raises(TaskFailed, match="violates foreign key constraint"):
        wrong.apply()
    assert postgresql.tables() == []


def test_a_script_may_leave_its_search_path_and_role_behind(migrate, postgresql):
    """Scripts taken from a dump do; other tools lose their history over it."""
    scripts = {
        "1_x.sql": "CREATE SCHEMA s; SELECT pg_catalog.set_config('search_path', '', false); CREATE TABLE s.a (x int);"
        "SET ROLE NONE",
        "2_y.sql": "CREATE TABLE b (x int)",
        "2_y.undo.sql": "DROP TABLE b",
        "1_x.undo.sql": "SET search_path = s; DROP TABLE a; DROP SCHEMA s",
    }
    node = migrate(scripts)
    before = postgresql.dump()
    preview = node.plan()
    assert node.execute(preview)["version"] == 2
    assert node.plan().action is Action.UNCHANGED
    assert postgresql.tables() == ["b", "opsflow_migrations"]
    node.revert(preview)
    assert postgresql.dump() == before


def test_what_psql_would_take_for_variables_and_commands_goes_through_unharmed(migrate, postgresql):
    text = r":USER :{?USER} \gexec \\ $$ \q"
    script = rf"""
CREATE TABLE t (v text, a int[]);
INSERT INTO t VALUES ('{text}', (ARRAY[1,2,3])[1:2]); -- \q :x
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$
BEGIN
    RETURN 1; -- \gexec
END $body$;
DO $$ BEGIN PERFORM f(); END $$
"""
    migrate({"1_x.sql": script}).apply()
    assert postgresql.execute("SELECT v, a FROM t") == [(text, "{1,2}")]
    assert history(postgresql, "statements") == [("4",)]


CONCURRENTLY = {
    "1_index.sql": "CREATE TABLE a (x int);\nCREATE INDEX CONCURRENTLY i ON a (x);\nVACUUM a;\nINSERT INTO a VALUES (1)",
    "1_index.undo.sql": "DELETE FROM a; SELECT 1; DROP INDEX CONCURRENTLY i; DROP TABLE a",
    "1_index.verify.sql": "SELECT COUNT(*) = 1 FROM a; SELECT true",
}


def test_an_index_is_made_beside_the_work_although_the_lock_is_held(migrate, postgresql):
    """A lock that is held by a transaction would wait for itself for ever, as other tools' users know."""
    before = postgresql.dump()
    node = migrate(CONCURRENTLY)
    preview = node.plan()
    assert node.execute(preview) == {"version": 1, "applied": [1]}
    assert history(postgresql) == [("applied", "4", "4", "0")]
    node.revert(preview)
    node.revert(preview)
    assert postgresql.dump() == before
    assert postgresql.tables() == []


def test_a_script_that_no_transaction_holds_is_gone_on_with_where_it_stopped(migrate, postgresql):
    stopping = {"1_x.sql": "CREATE TABLE a (x int); VACUUM a; INSERT INTO nowhere VALUES (1); CREATE TABLE b (x int)"}
    node = migrate(stopping)
    with pytest.raises(TaskFailed, match=r"statement 3 of 4: .*nowhere.*what was before it is applied"):
        node.apply()
    assert history(postgresql) == [("applying", "4", "2", "0")]
    assert "left half done" in node.again(run_id="other").plan().why
    postgresql.execute("CREATE TABLE nowhere (x int)")
    assert node.again(attempt=2).apply()["version"] == 1
    assert postgresql.tables() == ["a", "b", "nowhere", "opsflow_migrations"]


def test_an_index_that_was_left_useless_needs_a_person(migrate, postgresql):
    postgresql.execute("CREATE TABLE a (x int); INSERT INTO a VALUES (1), (1)")
    node = migrate({"1_x.sql": "CREATE UNIQUE INDEX CONCURRENTLY i ON a (x)", "1_x.undo.sql": "DROP INDEX i"})
    preview = node.plan()
    with pytest.raises(TaskFailed, match="could not create unique index"):
        node.execute(preview)
    assert history(postgresql) == [("applying", "1", "0", "1")]
    with pytest.raises(TaskFailed, match=r"statement 1 of 1_x was begun and nobody saw its end"):
        node.revert(preview)
    postgresql.execute("DROP INDEX i; UPDATE opsflow_migrations SET pending = 0, position = 0 WHERE version = 1")
    node.revert(preview)
    assert postgresql.tables() == ["a"]


def test_a_table_that_others_hold_is_waited_for_no_longer_than_the_lock(migrate, postgresql):
    postgresql.execute("CREATE TABLE a (x int)")
    node = migrate({"1_x.sql": "ALTER TABLE a ADD y int"}, lock_timeout="1s")
    with connected(postgresql) as other:
        other.execute("LOCK TABLE a")
        with pytest.raises(TaskFailed, match=r"statement 1 of 1: .*lock timeout \(nothing of the script was applied\)"):
            node.apply()


def connected(postgresql):
    port, password = postgresql.server.port, postgresql.secrets["env:DATABASE_PASSWORD"]
    return psycopg.connect(host="127.0.0.1", port=port, user="odd", password=password, dbname=postgresql.name)


@pytest.mark.parametrize("compress", ["gzip", "none"])
def test_a_backup_fed_to_another_database_makes_it_equal(postgresql, node, compress):
    postgresql.execute(
        "CREATE TABLE t (id serial PRIMARY KEY, v text, b bytea); CREATE SCHEMA s; CREATE VIEW s.w AS SELECT v FROM t;"
        "INSERT INTO t (v, b) VALUES (E'ä ''x'' 😀\\n\\t\\\\', '\\x00ff0a27'), (NULL, NULL);"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); SELECT lo_from_bytea(0, 'large')"
    )
    outputs = node(backup_db, postgresql, postgresql.params(compress=compress)).apply()
    data = Path(outputs["path"]).read_bytes()
    postgresql.create("scratch")
    postgresql.execute((gzip.decompress(data) if compress == "gzip" else data).decode(), "scratch")
    assert postgresql.dump("scratch") == postgresql.dump()
    assert len(postgresql.dump()) > 50


def test_a_dump_by_older_tools_than_the_server_is_refused_beforehand(postgresql, node, shim):
    shim("pg_dump", "echo 'pg_dump (PostgreSQL) 9.6.24'")
    preview = node(backup_db, postgresql, postgresql.params()).plan()
    assert preview.action is Action.FAIL
    assert "pg_dump is of version 9, older than the server's" in preview.why


def test_the_password_is_on_no_command_line(postgresql, node, migrate, watch):
    migrating = migrate({"1_x.sql": "CREATE TABLE a (x int)"})
    backing_up = node(backup_db, postgresql, postgresql.params())
    _, seen = watch(lambda: (backing_up.apply(), migrating.apply()))
    assert any("pg_dump" in line for line in seen)
    assert any("psql" in line for line in seen)
    assert not any(postgresql.secrets["env:DATABASE_PASSWORD"] in line for line in seen)


def test_the_password_can_be_looked_up_in_a_file_of_the_target(postgresql, node, home):
    file = home / "pass words"
    password = postgresql.secrets["env:DATABASE_PASSWORD"].replace("\\", "\\\\")
    file.write_text(f"127.0.0.1:*:*:odd:{password}\n")
    file.chmod(stat.S_IRUSR)
    connection = {"host": "127.0.0.1", "port": postgresql.server.port, "user": "odd"}
    without = postgresql.params(connection=connection)
    assert "no password supplied" in node(backup_db, postgresql, without).plan().why
    given = postgresql.params(connection=connection | {"password_file": str(file)})
    assert node(backup_db, postgresql, given).plan().action is Action.CHANGE


def test_options_of_another_engine_are_refused():
    with pytest.raises(ValidationError, match=r"`connection\.defaults_file` is for mysql"):
        backup_db.Params(engine="postgres", database="x", connection={"defaults_file": "/x"})


def test_a_restore_that_is_killed_leaves_the_database_as_it_was(postgresql, node, migrate, find_process):
    postgresql.execute("CREATE TABLE big AS SELECT g AS x, repeat('x', 99) AS y FROM generate_series(1, 100000) g")
    backup = node(backup_db, postgresql, postgresql.params(compress="none")).apply()
    node = migrate({"1_x.sql": "DROP TABLE big"}, restore_from=backup["path"], allow_restore=True)
    preview = node.plan()
    node.execute(preview)
    state = postgresql.dump(), history(postgresql)
    # The restore has to wait for this one, and is killed meanwhile.
    with connected(postgresql) as other:
        other.execute("LOCK TABLE opsflow_migrations IN ACCESS SHARE MODE")

        def kill():
            end = time.monotonic() + 30
            while not postgresql.execute("SELECT 1 FROM pg_locks WHERE NOT granted") and time.monotonic() < end:
                time.sleep(0.05)
            os.kill(find_process("psql", "--tuples-only"), signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(TaskFailed, match="cannot restore"):
            node.revert(preview)
        killer.join()
    assert (postgresql.dump(), history(postgresql)) == state
    node.revert(preview)
    assert postgresql.execute("SELECT COUNT(*), SUM(x) FROM big") == [("100000", "5000050000")]
    assert postgresql.tables() == ["big"]
