"""The directory of migration scripts on the control machine."""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from opsflow_tasks.databases.dialects import Dialect
from opsflow_tasks.databases.sql import SqlError, check, first_word, split

_T = TypeVar("_T")
_R = TypeVar("_R")
_NAME = re.compile(r"(\d{1,18})_[A-Za-z0-9][A-Za-z0-9_-]*(\.up|\.undo|\.down|\.verify)?\.sql")
_FLYWAY = re.compile(r"([VU])(\d{1,18})__[A-Za-z0-9][A-Za-z0-9_-]*(\.verify)?\.sql")
_KINDS = {"": "do", ".up": "do", "V": "do", ".undo": "undo", ".down": "undo", "U": "undo", ".verify": "verify"}
_LARGEST_UNDO = 256 * 1024
"""Bytes; an undo text is read back from the database through the output of a command, which is bounded."""


_TOLD = 8
"""How many scripts that cannot be used are told at once."""


class ScriptError(ValueError):
    """A script that cannot be used; the message names its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    r"""One migration.

    Attributes:
        version: Its number; scripts are applied in the order of their numbers.
        name: Its file's name up to the first dot.
        file: Its file's name.
        text: What it says, line ends as `\n`.
        statements: The same, taken apart.
        undo: Text that undoes it, None if there is none.
        verify: Queries of one value each that must be neither NULL, 0 nor empty afterwards.
    """

    version: int
    name: str
    file: str
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
    return tuple(_each(lambda version: _script(version, files[version], dialect), sorted(files)))


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


def _each(read: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
    """What is read of each. What cannot be is told together."""
    found, wrong = [], []
    for item in items:
        try:
            found.append(read(item))
        except ScriptError as error:
            wrong.append(str(error))
    if wrong:
        more = f"; and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        raise ScriptError("; ".join(wrong[:_TOLD]) + more)
    return found


def _files(directory: Path) -> dict[int, dict[str, Path]]:
    """Files by version, then by kind: `do`, `undo`, `verify`."""
    found: dict[int, dict[str, Path]] = {}
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".sql")
    except OSError as error:
        raise ScriptError(f"{directory}: {error.strerror}") from None
    for path, (version, kind) in zip(paths, _each(_named, paths), strict=True):
        kinds = found.setdefault(version, {})
        if kind in kinds:
            raise ScriptError(f"{path.name} and {kinds[kind].name} have the same version")
        kinds[kind] = path
    if not found:
        raise ScriptError(f"{directory}: there are no scripts")
    for version, kinds in found.items():
        for kind, path in kinds.items():
            if "do" not in kinds or (not _FLYWAY.fullmatch(path.name) and _stem(path) != _stem(kinds["do"])):
                raise ScriptError(f"{path.name}: there is no script {version} that it is the {kind} of")
    return found


def _named(path: Path) -> tuple[int, str]:
    """Version and kind of a file."""
    if match := _NAME.fullmatch(path.name):
        version, kind = int(match[1]), _KINDS[match[2] or ""]
    elif match := _FLYWAY.fullmatch(path.name):
        version, kind = int(match[2]), "verify" if match[3] else _KINDS[match[1]]
    else:
        version, kind = 0, ""
    if not version:
        raise ScriptError(
            f"{path.name}: scripts are called NUMBER_NAME.sql, .undo.sql or .verify.sql; VNUMBER__NAME.sql and"
            " UNUMBER__NAME.sql; or NUMBER_NAME.up.sql and .down.sql; numbers are whole, from 1"
        )
    return version, kind


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def _script(version: int, kinds: dict[str, Path], dialect: Dialect) -> Script:
    path = kinds["do"]
    text = _read(path)
    undo = _read(kinds["undo"]) if "undo" in kinds else None
    if undo is not None:
        statements(undo, dialect, kinds["undo"].name)
        if len(undo.encode()) > _LARGEST_UNDO:
            raise ScriptError(f"{kinds['undo'].name}: is larger than {_LARGEST_UNDO // 1024} KiB")
    verify = statements(_read(kinds["verify"]), dialect, kinds["verify"].name) if "verify" in kinds else ()
    if any(first_word(query, dialect) not in {"SELECT", "WITH"} for query in verify):
        raise ScriptError(f"{kinds['verify'].name}: may only hold SELECT")
    return Script(
        version=version,
        name=_stem(path),
        file=path.name,
        text=text,
        statements=statements(text, dialect, path.name),
        undo=undo,
        verify=verify,
    )


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ScriptError(f"{path.name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ScriptError(f"{path.name}: line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8") from None
    if "\0" in text:
        raise ScriptError(f"{path.name}: holds a NUL character")
    return text
