"""The directory of migration scripts on the control machine."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from opsflow_tasks.databases.dialects import Dialect
from opsflow_tasks.databases.sql import SqlError, check, first_word, split

_NAME = re.compile(r"(\d{1,18})_([A-Za-z0-9][A-Za-z0-9_-]*)(\.undo|\.verify)?\.sql")
_LARGEST_UNDO = 256 * 1024
"""Bytes; an undo text is read back from the database through the output of a command, which is bounded."""


class ScriptError(ValueError):
    """A script that cannot be used; the message names its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    r"""One migration.

    Attributes:
        version: Its number; scripts are applied in the order of their numbers.
        name: Its file's name without `.sql`.
        text: What it says, line ends as `\n`.
        statements: The same, taken apart.
        undo: Text that undoes it, None if there is none.
        verify: Queries of one value each that must be neither NULL, 0 nor empty afterwards.
    """

    version: int
    name: str
    text: str
    statements: tuple[str, ...]
    undo: str | None
    verify: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """SHA-256 of the text: a checkout with other line ends is the same script."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def load(directory: str, dialect: Dialect) -> tuple[Script, ...]:
    """All scripts of a directory, by version.

    Raises:
        ScriptError: the directory or a file in it cannot be used.
    """
    files = _files(Path(directory))
    found: dict[int, Script] = {}
    for stem, kinds in files.items():
        version = int(stem.partition("_")[0])
        if "" not in kinds:
            raise ScriptError(f"{next(iter(kinds.values())).name}: there is no {stem}.sql")
        if version in found:
            raise ScriptError(f"{stem}.sql and {found[version].name}.sql have the same version")
        found[version] = _script(version, stem, kinds, dialect)
    return tuple(found[version] for version in sorted(found))


def statements(text: str, dialect: Dialect, where: str) -> tuple[str, ...]:
    """The statements of a script.

    Args:
        text: The script.
        dialect: Its language.
        where: Its file, for messages.

    Raises:
        ScriptError: it has none, or some that a script may not hold.
    """
    try:
        found = split(text, dialect)
        check(found, dialect)
    except SqlError as error:
        raise ScriptError(f"{where}: {error}") from None
    if not found:
        raise ScriptError(f"{where}: there is no statement in it")
    return found


def _files(directory: Path) -> dict[str, dict[str, Path]]:
    """Files by the name of their script, then by kind: nothing, `.undo`, `.verify`."""
    found: dict[str, dict[str, Path]] = {}
    try:
        names = sorted(path for path in directory.iterdir() if path.suffix == ".sql")
    except OSError as error:
        raise ScriptError(f"{directory}: {error.strerror}") from None
    for path in names:
        match = _NAME.fullmatch(path.name)
        if match is None or not int(match[1]):
            raise ScriptError(f"{path.name}: scripts are called NUMBER_NAME.sql, .undo.sql or .verify.sql, from 1")
        found.setdefault(f"{match[1]}_{match[2]}", {})[match[3] or ""] = path
    if not found:
        raise ScriptError(f"{directory}: there are no scripts")
    return found


def _script(version: int, stem: str, kinds: dict[str, Path], dialect: Dialect) -> Script:
    text = _read(kinds[""])
    undo = _read(kinds[".undo"]) if ".undo" in kinds else None
    if undo is not None:
        statements(undo, dialect, f"{stem}.undo.sql")
        if len(undo.encode()) > _LARGEST_UNDO:
            raise ScriptError(f"{stem}.undo.sql: is larger than {_LARGEST_UNDO // 1024} KiB")
    verify = statements(_read(kinds[".verify"]), dialect, f"{stem}.verify.sql") if ".verify" in kinds else ()
    if any(first_word(query, dialect) not in {"SELECT", "WITH"} for query in verify):
        raise ScriptError(f"{stem}.verify.sql: may only hold SELECT")
    return Script(
        version=version,
        name=stem,
        text=text,
        statements=statements(text, dialect, f"{stem}.sql"),
        undo=undo,
        verify=verify,
    )


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"{path.name}: {error}") from None
    if "\0" in text:
        raise ScriptError(f"{path.name}: holds a NUL character")
    return text
