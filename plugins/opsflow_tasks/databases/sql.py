"""SQL texts taken apart: statements, as the databases' own command line clients would see them."""

import re
import sqlite3
from dataclasses import dataclass

_NEVER_IN_SQLITE = frozenset(
    "ATTACH BEGIN COMMIT DETACH END PRAGMA RELEASE ROLLBACK SAVEPOINT VACUUM".split()  # noqa: SIM905 - reads better
)
_NEVER_IN_MYSQL = frozenset(
    "BEGIN COMMIT LOCK RELEASE ROLLBACK SAVEPOINT SOURCE START UNLOCK USE XA".split()  # noqa: SIM905 - reads better
)
_AUTOCOMMIT = re.compile(r"SET\s+(?:@@)?(?:(?:SESSION|LOCAL|GLOBAL)[\s.]+)?autocommit\b", re.IGNORECASE)
_WORD = re.compile(r"(?:/\*M?!\d*\s*)?([A-Za-z]+|\.)")


class SqlError(ValueError):
    """A text that cannot be taken apart, or holds what a migration may not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What strings and comments look like.

    Attributes:
        quoted: Pattern of strings and quoted names.
        comment: Pattern of comments.
        openers: Pattern of what begins a string or comment; met alone, it has no end.
        never: First words of statements that would break the frame in which a script is run.
        mysql: Whether it is MySQL's: `DELIMITER` lines are honoured. SQLite's triggers are kept whole.
    """

    quoted: str
    comment: str
    openers: str
    never: frozenset[str]
    mysql: bool


SQLITE = Dialect(
    quoted=r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]",
    comment=r"--[^\n]*|/\*.*?\*/",
    openers=r"['\"`\[]|/\*",
    never=_NEVER_IN_SQLITE,
    mysql=False,
)
MYSQL = Dialect(
    # `/*! ... */` is no comment but code for servers that know it.
    quoted=r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`(?:[^`]|``)*`|/\*M?!.*?\*/",
    comment=r"--(?=\s|$)[^\n]*|\#[^\n]*|/\*(?!M?!).*?\*/",
    openers=r"['\"`]|/\*",
    never=_NEVER_IN_MYSQL,
    mysql=True,
)


def split(text: str, dialect: Dialect) -> tuple[str, ...]:
    """The statements of a text, without their delimiters; what is only comment is left out.

    Raises:
        SqlError: a string, comment or trigger has no end.
    """
    found: list[str] = []
    delimiter = ";"
    start = at = 0
    while token := _scanner(dialect, delimiter).search(text, at):
        kind, at = token.lastgroup, token.end()
        if kind == "open":
            raise SqlError(f"line {_line(text, token.start())}: {token[0]} has no end")
        if kind == "end":
            statement = text[start : token.start()]
            if dialect.mysql or sqlite3.complete_statement(f"{statement};") or _empty(statement, dialect):
                found.append(statement)
                start = at
        elif kind == "directive" and _empty(text[start : token.start()], dialect):
            delimiter = token["delimiter"]
            start = at
    rest = text[start:]
    if not (dialect.mysql or _empty(rest, dialect) or sqlite3.complete_statement(f"{rest}\n;")):
        begin = len(text) - len(_bare(rest, dialect))
        raise SqlError(f"line {_line(text, begin)}: the statement that begins here has no end")
    return tuple(s.strip() for s in (*found, rest) if not _empty(s, dialect))


def check(statements: tuple[str, ...], dialect: Dialect) -> None:
    """Refuse what would break the frame: own transactions, other databases, commands of the client.

    Raises:
        SqlError: which statement, and why.
    """
    for number, statement in enumerate(statements, 1):
        word = first_word(statement, dialect)
        if word == ".":
            raise SqlError(f"statement {number} is a command of the sqlite3 shell, which a script may not hold")
        compound = word == "BEGIN" and re.match(r"BEGIN\s+NOT\s+ATOMIC\b", _bare(statement, dialect), re.IGNORECASE)
        if (word in dialect.never and not compound) or (dialect.mysql and _AUTOCOMMIT.match(_bare(statement, dialect))):
            raise SqlError(
                f"statement {number} is {word}: scripts may not begin or end transactions, lock tables or leave their"
                " database, since opsflow runs each under its own lock and records how far it came"
            )


def first_word(statement: str, dialect: Dialect) -> str:
    """The first word of a statement, in capitals; `.` for a command of the sqlite3 shell."""
    word = _WORD.match(_bare(statement, dialect))
    return word[1].upper() if word else ""


def _scanner(dialect: Dialect, delimiter: str) -> re.Pattern[str]:
    directive = r"^[ \t]*(?i:delimiter)[ \t]+(?P<delimiter>\S+)[ \t]*$" if dialect.mysql else r"(?!)(?P<delimiter>)"
    return re.compile(
        rf"(?P<directive>{directive})|(?P<skip>{dialect.comment}|{dialect.quoted})"
        rf"|(?P<open>{dialect.openers})|(?P<end>{re.escape(delimiter)})",
        re.DOTALL | re.MULTILINE,
    )


def _bare(statement: str, dialect: Dialect) -> str:
    """A statement from its first character that is neither space nor comment."""
    lead = re.match(rf"(?:\s+|{dialect.comment})*", statement, re.DOTALL | re.MULTILINE)
    return statement[lead.end() :] if lead else statement


def _empty(statement: str, dialect: Dialect) -> bool:
    return not _bare(statement, dialect)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
