"""SQL texts taken apart: statements, as the databases' own command line clients would see them."""

import re
from collections.abc import Iterable

from opsflow_tasks.databases.dialects import Dialect

_WORD = re.compile(r"(?:/\*M?!\d*\s*)?([A-Za-z]+|[.\\])")


class SqlError(ValueError):
    """A text that cannot be taken apart, or holds what a migration may not."""


def split(text: str, dialect: Dialect) -> tuple[str, ...]:
    """The statements of a text, without their delimiters; what is only comment is left out.

    Raises:
        SqlError: a string, comment or body has no end.
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
            if not dialect.bare(statement) or dialect.complete(statement):
                found.append(statement)
                start = at
        elif kind == "directive" and not dialect.bare(text[start : token.start()]):
            delimiter = token["delimiter"]
            start = at
    rest = text[start:]
    if dialect.bare(rest) and not dialect.complete(rest):
        begin = len(text) - len(dialect.bare(rest))
        raise SqlError(f"line {_line(text, begin)}: the statement that begins here has no end")
    return tuple(s.strip() for s in (*found, rest) if dialect.bare(s))


def check(statements: Iterable[str], dialect: Dialect) -> None:
    """Refuse what would break the frame: own transactions, other databases, commands of the client.

    Raises:
        SqlError: which statement, and why.
    """
    for number, statement in enumerate(statements, 1):
        word = first_word(statement, dialect)
        if word in {".", "\\"}:
            raise SqlError(f"statement {number} is a command of the command line client, which a script may not hold")
        if dialect.never.match(dialect.plain(statement)):
            raise SqlError(
                f"statement {number} is {word}: scripts may not begin or end transactions, lock tables, leave their"
                " database or read from elsewhere, since opsflow runs each under its own lock and records how far it"
                " came"
            )


def first_word(statement: str, dialect: Dialect) -> str:
    """The first word of a statement, in capitals; `.` or a backslash for a command of a client."""
    word = _WORD.match(dialect.bare(statement))
    return word[1].upper() if word else ""


def _scanner(dialect: Dialect, delimiter: str) -> re.Pattern[str]:
    directive = (
        r"^[ \t]*(?i:delimiter)[ \t]+(?P<delimiter>\S+)[ \t]*$" if dialect.delimiters else r"(?!)(?P<delimiter>)"
    )
    return re.compile(
        rf"(?P<directive>{directive})|(?P<skip>{dialect.comment}|{dialect.quoted})"
        rf"|(?P<open>{dialect.openers})|(?P<end>{re.escape(delimiter)})",
        re.DOTALL | re.MULTILINE,
    )


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
