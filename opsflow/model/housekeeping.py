"""What the database of runs as a whole looks like to those who keep it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from opsflow.model.records import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A run that holds hosts.

    Attributes:
        hosts: Their names, sorted.
        operator: Who drives it, or did so last, `USER@MACHINE`.
        pid: Of the process that does or did.
        alive: That process is at work; on another machine: it was heard of within the last minute.
        left: It went in good order, and nobody has come since.
        silent: Seconds since it was heard, by the database's clock.
    """

    run: RunRecord
    hosts: tuple[str, ...]
    operator: str
    pid: int
    alive: bool
    left: bool
    silent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A run that is old and stays. `why`: as a clause."""

    run: RunRecord
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """What is old in a journal.

    Attributes:
        before: What ended before this moment is old.
        removable: Runs that nothing needs any more, oldest first.
        kept: Those that something does, oldest first.
    """

    before: datetime
    removable: tuple[RunRecord, ...]
    kept: tuple[Kept, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What became of a journal's schema.

    Attributes:
        before: Its version as it was found; empty: there was none.
        after: The version that it has now.
        copy: Of a SQLite file, how it was before; None: nothing had to be done, or it is none.
    """

    before: str
    after: str
    copy: Path | None = None
