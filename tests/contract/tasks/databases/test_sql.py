"""Statements are taken apart as the databases' own clients would."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsflow_tasks.databases.dialects import MYSQL, POSTGRESQL, SQLITE
from opsflow_tasks.databases.sql import SqlError, check, first_word, split

PIECES = st.sampled_from(
    [
        "'",
        '"',
        "`",
        "[",
        "]",
        ";",
        "--",
        "-- x\n",
        "/*",
        "*/",
        "\n",
        " ",
        "a",
        "\\",
        "CREATE TRIGGER t BEGIN",
        "END",
        "''",
    ]
)


@pytest.mark.parametrize("dialect", [SQLITE, MYSQL, POSTGRESQL])
@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", ()),
        (" -- only ; this\n/* and ; that */ ;; ", ()),
        ("a;b", ("a", "b")),
        ("a ';' b;c", ("a ';' b", "c")),
        ("a 'it''s;' ; c", ("a 'it''s;'", "c")),
        ('a ";" ; c;', ('a ";"', "c")),
        ("a -- it's; \n b; c", ("a -- it's; \n b", "c")),
        ("a /* ' ; */ b; c -- d", ("a /* ' ; */ b", "c -- d")),
    ],
)
def test_delimiters_in_strings_and_comments_do_not_count(dialect, text, statements):
    assert split(text, dialect) == statements


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        (r"a '\';' ; b", (r"a '\';'", "b")),
        ("a # it's;\n; b", ("a # it's;", "b")),
        ("a --b; c", ("a --b", "c")),
        ("a `;` ; c", ("a `;`", "c")),
        ("DELIMITER //\na; b//\ndelimiter ;\nc;d", ("a; b", "c", "d")),
        ("a '\nDELIMITER x\n'; b", ("a '\nDELIMITER x\n'", "b")),
        ("/*!50000 a; b */; c", ("/*!50000 a; b */", "c")),
    ],
)
def test_mysql_has_escapes_and_delimiters_of_its_own(text, statements):
    assert split(text, MYSQL) == statements


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        (r"a E'\';' ; b '\' ; c", (r"a E'\';'", r"b '\'", "c")),
        ("a $$ ; ' $$; b $x$ ; $$ ; $x$; c", ("a $$ ; ' $$", "b $x$ ; $$ ; $x$", "c")),
        ("a $1; b$c$; d$c$", ("a $1", "b$c$", "d$c$")),
        ("a /* ; /* ; */ ; */ b; c", ("a /* ; /* ; */ ; */ b", "c")),
        ("a[1:2] :'x' \\; b", ("a[1:2] :'x' \\", "b")),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN 1 = 1 THEN 1 END; SELECT 2; END; b",
            ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN 1 = 1 THEN 1 END; SELECT 2; END", "b"),
        ),
    ],
)
def test_postgresql_has_dollar_quotes_nested_comments_and_bodies(text, statements):
    assert split(text, POSTGRESQL) == statements


def test_a_postgresql_text_without_end_is_refused():
    for text in ("a $x$ b", "a /* /* */ b", "CREATE PROCEDURE p() BEGIN ATOMIC SELECT 1;"):
        with pytest.raises(SqlError, match="has no end"):
            split(text, POSTGRESQL)


@pytest.mark.parametrize(
    "statement", ["COPY t (a) FROM /* x */ stdin", r"\i x", "commit", "PREPARE TRANSACTION 'x'", "END", "savepoint x"]
)
def test_a_postgresql_statement_that_breaks_the_frame_is_refused(statement):
    with pytest.raises(SqlError, match="statement 2 is"):
        check(("SELECT 1", statement), POSTGRESQL)


def test_postgresql_may_copy_from_elsewhere_and_prepare_statements():
    check(("COPY t FROM '/x'", "PREPARE x AS SELECT 'FROM STDIN'", "INSERT INTO c VALUES (' FROM STDIN')"), POSTGRESQL)


def test_sqlite_knows_no_escapes_and_quotes_names_in_brackets():
    assert split(r"a '\' ; [;'] b", SQLITE) == (r"a '\'", "[;'] b")


@pytest.mark.parametrize("text", ["a 'b", 'a; "b', "a `b", "a /* b"])
@pytest.mark.parametrize("dialect", [SQLITE, MYSQL])
def test_what_has_no_end_is_refused(dialect, text):
    with pytest.raises(SqlError, match=r"line 1: .* has no end"):
        split(text, dialect)


def test_a_trigger_without_end_is_refused():
    with pytest.raises(SqlError, match="line 2: the statement that begins here has no end"):
        split("a;\nCREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1;", SQLITE)


@given(st.lists(PIECES, max_size=30).map("".join))
def test_sqlite_agrees_that_each_statement_is_complete(text):
    try:
        found = split(text, SQLITE)
    except SqlError:
        return
    for statement in found:
        assert sqlite3.complete_statement(f"{statement}\n;")


def test_the_first_word_comes_after_comments():
    assert first_word("-- x\n /* y */ select 1", SQLITE) == "SELECT"
    assert first_word("/*!40101 set x */", MYSQL) == "SET"
    assert first_word("1", SQLITE) == ""


def test_a_compound_statement_is_no_transaction():
    check(("BEGIN NOT ATOMIC SELECT 1; END",), MYSQL)
    with pytest.raises(SqlError, match="statement 1 is BEGIN"):
        check(("BEGIN WORK",), MYSQL)
