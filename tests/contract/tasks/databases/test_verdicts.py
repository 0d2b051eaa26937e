"""What an operator can say to migrate_db: that an edit is right, how far a script came, what is there already."""

import pytest
from pydantic import ValidationError

from opsflow.errors import TaskFailed
from opsflow.model import Action
from opsflow_tasks import backup_db, migrate_db

FIVE = {
    "1_five.sql": "CREATE TABLE a (x INT); INSERT INTO a VALUES (7); INSERT INTO nowhere VALUES (1);"
    "CREATE TABLE d (x INT); CREATE TABLE e (x INT);",
    "1_five.undo.sql": "DROP TABLE e; DROP TABLE d; DELETE FROM nowhere; DELETE FROM a; DROP TABLE a;",
}
TWO = {
    "1_a.sql": "CREATE TABLE a (x INT)",
    "1_a.undo.sql": "DROP TABLE a",
    "2_b.sql": "CREATE TABLE b (x INT)",
    "2_b.undo.sql": "DROP TABLE b",
}


@pytest.fixture
def project(tmp_path):
    path = tmp_path / "project"
    (path / "scripts").mkdir(parents=True)
    return path


@pytest.fixture
def migrate(node, project):
    """`migrate(DATABASE, SCRIPTS, **PARAMS)`: a node that migrates to scripts, which are given by name and text."""

    def made(database, scripts, **params):
        for path in (project / "scripts").iterdir():
            path.unlink()
        for name, text in scripts.items():
            (project / "scripts" / name).write_text(text)
        return node(migrate_db, database, database.params(scripts="scripts", **params), project=project)

    return made


@pytest.fixture
def dirty(migrate, mysql):
    """A node whose script stopped at its third of five statements."""
    half = migrate(mysql, FIVE)
    with pytest.raises(TaskFailed, match="statement 3 of 5"):
        half.apply()
    return half


def history(database, what="version, state"):
    return [tuple(map(str, row)) for row in database.execute(f"SELECT {what} FROM opsflow_migrations ORDER BY version")]


def test_a_dirty_database_tells_version_statement_and_the_ways_out(dirty):
    """Users of golang-migrate read "Dirty database version 1. Fix and force version." and are alone with it."""
    why = dirty.again(run_id="other").plan().why
    assert "1_five was left half done by run 20261124T213000Z-aaaa (applying, 2 of 5 statements)" in why
    assert "finish that run's rollback" in why
    assert 'mark = { 1 = "applied" }, "absent", or the number of statements that took effect' in why


def test_a_script_can_be_gone_on_with_from_where_the_operator_says(dirty, mysql):
    mysql.execute("CREATE TABLE nowhere (x INT); INSERT INTO nowhere VALUES (1)")
    other = dirty.again(run_id="other", params={"mark": {"1": 3}})
    preview = other.plan()
    assert preview.summary.startswith("record 1_five as 3 statements; migrate ")
    assert history(mysql, "position") == [("2",)]
    assert other.execute(preview) == {"version": 1, "applied": [1]}
    assert other.plan().action is Action.UNCHANGED
    assert mysql.execute("SELECT COUNT(*) FROM nowhere") == [("1",)]
    other.revert(preview)
    assert mysql.tables() == ["nowhere", "opsflow_migrations"]


def test_what_the_operator_has_taken_away_is_applied_anew(dirty, mysql):
    mysql.execute("DROP TABLE a; CREATE TABLE nowhere (x INT)")
    other = dirty.again(run_id="other", params={"mark": {1: "absent"}})
    assert other.apply() == {"version": 1, "applied": [1]}
    assert mysql.tables() == ["a", "d", "e", "nowhere", "opsflow_migrations"]
    assert other.plan().action is Action.UNCHANGED


def test_what_the_operator_has_finished_is_applied(dirty, mysql):
    mysql.execute("CREATE TABLE d (x INT); CREATE TABLE e (x INT)")
    other = dirty.again(run_id="other", params={"mark": {1: "applied"}})
    preview = other.plan()
    assert preview.summary == "record 1_five as applied"
    assert other.execute(preview) == {"version": 1, "applied": []}
    assert history(mysql) == [("1", "applied")]
    assert other.plan().action is Action.UNCHANGED


def test_a_half_done_script_that_was_edited_is_told_as_that_and_its_new_text_is_applied_once_it_is_absent(
    migrate, dirty, mysql
):
    mended = FIVE | {"1_five.sql": "CREATE TABLE a (x INT)", "1_five.undo.sql": "DROP TABLE a"}
    why = migrate(mysql, mended).plan().why
    assert "1_five was left half done by run 20261124T213000Z-aaaa (applying, 2 of 5 statements)" in why
    assert "edited since: put the old text back; or finish that run's rollback, or take back by hand" in why
    mysql.execute("DROP TABLE a")
    other = migrate(mysql, mended, mark={1: "absent"}).again(run_id="other")
    preview = other.plan()
    assert other.execute(preview) == {"version": 1, "applied": [1]}
    other.revert(preview)  # by the undo of the new text
    assert mysql.tables() == ["opsflow_migrations"]


def test_a_half_done_script_that_was_finished_by_hand_may_be_edited_meanwhile(migrate, dirty, mysql):
    mysql.execute("CREATE TABLE d (x INT); CREATE TABLE e (x INT)")
    mended = FIVE | {"1_five.sql": FIVE["1_five.sql"].replace("INSERT INTO nowhere VALUES (1);", "")}
    other = migrate(mysql, mended, mark={1: "applied"}, repair=True).again(run_id="other")
    assert other.apply() == {"version": 1, "applied": []}
    assert migrate(mysql, mended).plan().action is Action.UNCHANGED


@pytest.mark.parametrize(
    ("mark", "message"),
    [({1: 6}, "1_five has 5 statements"), ({9: "absent"}, "mark: there is no script of version 9")],
)
def test_a_mark_that_cannot_be_is_refused(dirty, mark, message):
    assert message in dirty.again(run_id="other", params={"mark": mark}).plan().why


def test_a_mark_that_means_nothing_is_refused():
    with pytest.raises(ValidationError, match="mark"):
        migrate_db.Params(engine="sqlite", database="x", scripts="s", mark={"1": "perhaps"})


def test_a_database_that_was_there_before_is_adopted_and_a_revert_leaves_it(migrate, database):
    """Users of Flyway call it a baseline."""
    database.execute("CREATE TABLE a (x INT)")
    node = migrate(database, TWO, mark={1: "applied"})
    preview = node.plan()
    assert preview.summary.startswith("record 1_a as applied; migrate ")
    assert node.execute(preview) == {"version": 2, "applied": [2]}
    node.revert(preview)
    assert database.tables() == ["a", "opsflow_migrations"]
    assert history(database) == [("1", "applied")]
    node.revert(preview)
    assert node.again(run_id="later", params={"mark": {}}).apply() == {"version": 2, "applied": [2]}


def test_an_edit_is_taken_over_by_repair_without_running_anything(migrate, database):
    preview = migrate(database, TWO).plan()
    migrate(database, TWO).execute(preview)
    edited = TWO | {"1_a.sql": "CREATE TABLE a (x INT) -- with a comment", "1_a.undo.sql": "SELECT 1"}
    refused = migrate(database, edited, to=2).plan()
    assert "let the new one count by repair = true" in refused.why
    repairing = migrate(database, edited, repair=True).again(run_id="other")
    assert repairing.plan().summary == "record 1_a as applied"
    assert repairing.apply() == {"version": 2, "applied": []}
    assert migrate(database, edited).plan().action is Action.UNCHANGED
    migrate(database, edited).revert(preview)  # by the undo that belongs to what was run
    assert "a" not in database.tables()


def test_a_script_that_is_gone_is_forgotten_by_repair(migrate, sqlite):
    migrate(sqlite, TWO).apply()
    rest = {name: text for name, text in TWO.items() if name.startswith("1")}
    assert "let it be forgotten by repair = true" in migrate(sqlite, rest).plan().why
    repairing = migrate(sqlite, rest, repair=True)
    assert repairing.plan().summary == "record 2_b as absent"
    assert repairing.apply()["version"] == 1
    assert sqlite.tables() == ["a", "b", "opsflow_migrations"]


def test_an_interrupted_word_is_said_again(migrate, sqlite):
    migrate(sqlite, TWO).apply()
    edited = TWO | {"1_a.sql": "CREATE TABLE a (x INT) -- edited"}
    for before in (True, False):
        node = migrate(sqlite, edited, repair=True)
        preview = node.plan()
        assert node.interrupted(preview, 1, before=before)
        assert node.execute(preview)["version"] == 2
        sqlite.execute("UPDATE opsflow_migrations SET checksum = 'x'")


@pytest.mark.parametrize(
    "scripts",
    [
        {"V1__a.sql": TWO["1_a.sql"], "U1__undo_a.sql": TWO["1_a.undo.sql"], "V1__a.verify.sql": "SELECT 1"},
        {"000001_a.up.sql": TWO["1_a.sql"], "000001_a.down.sql": TWO["1_a.undo.sql"]},
    ],
)
def test_scripts_may_have_the_names_that_other_tools_give_them(migrate, sqlite, scripts):
    node = migrate(sqlite, scripts)
    preview = node.plan()
    assert preview.reversible
    assert node.execute(preview)["version"] == 1
    node.revert(preview)
    assert sqlite.tables() == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("V1.2__x.sql", "numbers are whole"),
        ("R__views.sql", "scripts are called"),
        ("V1__other.sql", "have the same version"),
        ("U7__x.sql", "there is no script 7 that it is the undo of"),
        ("1_other.undo.sql", "there is no script 1 that it is the undo of"),
    ],
)
def test_a_name_that_fits_nowhere_is_told(migrate, sqlite, name, message):
    assert message in migrate(sqlite, {"1_a.sql": "SELECT 1", name: "SELECT 1"}).plan().why


def test_a_missing_undo_is_refused_before_anything_is_touched(migrate, sqlite, node):
    scripts = {"1_a.sql": TWO["1_a.sql"], "2_b.sql": TWO["2_b.sql"], "2_b.undo.sql": TWO["2_b.undo.sql"]}
    preview = migrate(sqlite, scripts).plan()
    assert preview.action is Action.FAIL
    assert "no undo script: 1_a; to apply it nevertheless say allow_irreversible = true" in preview.why
    allowed = migrate(sqlite, scripts, allow_irreversible=True).plan()
    assert (allowed.action, allowed.reversible) == (Action.CHANGE, False)
    backup = node(backup_db, sqlite, sqlite.params()).apply()
    restorable = migrate(sqlite, scripts, restore_from=backup["path"], allow_restore=True).plan()
    assert (restorable.action, restorable.reversible) == (Action.CHANGE, True)


def test_hosts_that_name_one_database_migrate_it_once_and_revert_it_whole_in_any_order(migrate, database):
    node = migrate(database, TWO)
    here, there = node.again(host="here", params={"to": 1}), node.again(host="there")
    first, second = here.plan(), there.plan()
    assert here.execute(first) == {"version": 1, "applied": [1]}
    assert there.execute(second) == {"version": 2, "applied": [2]}
    here.revert(first)
    there.revert(second)
    assert database.tables() == []


def test_a_host_is_told_which_other_one_of_its_run_failed_at_the_database_they_share(migrate, mysql):
    node = migrate(mysql, FIVE | {"1_five.sql": "INSERT INTO nowhere VALUES (1); DO 1; DO 1; DO 1; DO 1"})
    here, there = node.again(host="here"), node.again(host="there")
    first, second = here.plan(), there.plan()
    with pytest.raises(TaskFailed, match=r"statement 1 of 5: ERROR 1146 [^()]*\([^()]*\)[^()]*doesn't exist$"):
        here.execute(first)
    with pytest.raises(TaskFailed, match=r"left half done by \S*here of this run \(applying, 0 of 5 statements\)"):
        there.execute(second)
    there.revert(second)
    here.revert(first)
    assert mysql.tables() == []


SLOW = {"sqlite": "SELECT 1", "mysql": "DO SLEEP(0.2)", "postgresql": "SELECT pg_sleep(0.2)"}


def test_the_history_tells_how_long_a_script_took(migrate, database):
    migrate(database, {"1_slow.sql": SLOW[database.engine], "1_slow.undo.sql": "SELECT 1"}).apply()
    took = int(history(database, "milliseconds")[0][0])
    assert took >= (0 if database.engine == "sqlite" else 190)
