"""What SQL looks like to each database: strings, comments, where a statement ends, what a migration may not hold."""

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

_CODE = r"/\*M?!"
"""How comments begin that are none, but code for servers that know it (MySQL, MariaDB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A language.

    Attributes:
        quoted: Pattern of strings and quoted names.
        comment: Pattern of comments.
        openers: Pattern of what begins a string or comment; met alone, it has no end.
        never: Pattern of statements that would break the frame in which a script is run.
        alone: Pattern of statements that no transaction may hold, where others are held by one.
        delimiters: Whether `DELIMITER` lines are honoured.
        complete: Whether a statement may end where its delimiter was met: not in the body of a trigger or function.
    """

    quoted: str
    comment: str
    openers: str
    never: re.Pattern[str]
    alone: re.Pattern[str]
    delimiters: bool
    complete: Callable[[str], bool]

    def bare(self, statement: str) -> str:
        """A statement from its first character that is neither space nor comment."""
        lead = re.match(rf"(?:\s+|{self.comment})*", statement, re.DOTALL | re.MULTILINE)
        return statement[lead.end() :] if lead else statement

    def plain(self, statement: str) -> str:
        """A statement without comments, and with nothing in its strings and quoted names."""
        return re.sub(
            rf"({self.comment})|(?:{self.quoted})",
            lambda found: " " if found[1] else found[0] if found[0].startswith("/*") else "''",
            self.bare(statement),
            flags=re.DOTALL | re.MULTILINE,
        )


def _begins(words: str, *patterns: str) -> re.Pattern[str]:
    """Pattern of statements that begin with one of the words, or with one of the patterns."""
    either = "|".join((*words.split(), *patterns))
    return re.compile(rf"(?:{_CODE}\d*\s*)?(?:{either})(?!\w)", re.IGNORECASE | re.DOTALL)


def _nested(depth: int) -> str:
    """Pattern of comments that hold comments; what is tried once is not tried again."""
    pattern = r"(?!)"
    for _ in range(depth):
        pattern = rf"/\*(?>[^*/]|\*(?!/)|/(?!\*)|{pattern})*+\*/"
    return pattern


_FUNCTION = re.compile(
    r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE)\b.*?\bBEGIN\s+ATOMIC\b", re.IGNORECASE | re.DOTALL
)


def _postgresql_complete(statement: str) -> bool:
    """The body of a function in standard SQL ends with the END of its BEGIN; others are strings."""
    text = POSTGRESQL.plain(statement)
    body = _FUNCTION.match(text)
    if body is None:
        return True
    words = re.findall(r"\b(?:BEGIN|CASE|END)\b", text[body.end() :], re.IGNORECASE)
    return 1 + sum(-1 if word.upper() == "END" else 1 for word in words) <= 0


SQLITE = Dialect(
    quoted=r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]",
    comment=r"--[^\n]*|/\*.*?\*/",
    openers=r"['\"`\[]|/\*",
    never=_begins("ATTACH BEGIN COMMIT DETACH END PRAGMA RELEASE ROLLBACK SAVEPOINT VACUUM"),
    alone=re.compile(r"(?!)"),
    delimiters=False,
    complete=lambda statement: sqlite3.complete_statement(f"{statement}\n;"),
)
MYSQL = Dialect(
    quoted=rf"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`(?:[^`]|``)*`|{_CODE}.*?\*/",
    comment=rf"--(?=\s|$)[^\n]*|\#[^\n]*|(?!{_CODE})/\*.*?\*/",
    openers=r"['\"`]|/\*",
    never=_begins(
        "COMMIT LOCK RELEASE ROLLBACK SAVEPOINT SOURCE START UNLOCK USE XA",
        r"BEGIN(?!\s+NOT\s+ATOMIC)",
        r"SET\s+(?:@@)?(?:(?:SESSION|LOCAL|GLOBAL)[\s.]+)?autocommit",
    ),
    alone=re.compile(r"(?!)"),
    delimiters=True,
    complete=lambda _: True,
)
POSTGRESQL = Dialect(
    quoted=r"(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
    r"|(?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$",
    comment=rf"--[^\n]*|{_nested(6)}",
    openers=r"['\"]|/\*|(?<![\w$])\$(?:[^\W\d]\w*)?\$",
    never=_begins(
        "ABORT BEGIN COMMIT DISCARD END RELEASE ROLLBACK SAVEPOINT START",
        r"PREPARE\s+TRANSACTION",
        r"COPY\s.*\sFROM\s+STDIN",
    ),
    alone=_begins(
        "VACUUM",
        r"(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+)INDEX\s+CONCURRENTLY",
        r"REINDEX\s.*\bCONCURRENTLY",
        r"REINDEX\s+(?:\(.*?\)\s*)?(?:DATABASE|SYSTEM|SCHEMA)",
        r"ALTER\s+TABLE\s.*\sDETACH\s+PARTITION\s.*\sCONCURRENTLY",
        r"(?:CREATE|DROP)\s+(?:DATABASE|TABLESPACE)",
        r"ALTER\s+SYSTEM",
    ),
    delimiters=False,
    complete=_postgresql_complete,
)
