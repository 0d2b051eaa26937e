"""The use cases about the database of runs as a whole, and about what dead runs hold."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from opsflow.app import wiring
from opsflow.app.driving import NOT_CONFIRMED
from opsflow.app.settings import Settings
from opsflow.errors import ApprovalNeeded, HostsHeld, UnknownRun
from opsflow.journal import Housekeeping, upgraded
from opsflow.model import Holder, Old, Upgrade
from opsflow.ports import Confirm
from opsflow.report.data import plain
from opsflow.report.housekeeping import sentence
from opsflow.report.text import moment, plural, some


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What came of pruning.

    Attributes:
        old: What was found.
        removed: Ids of the runs that are gone.
        free: Bytes of a SQLite file that hold nothing now; None: it is none.
        exit_code: 1: the operator said no.
    """

    old: Old
    removed: tuple[str, ...] = ()
    free: int | None = None
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocked:
    """What came of unlocking.

    Attributes:
        holders: The runs that hold hosts; only the one that is meant, if one is.
        freed: The one that holds none any more.
        exit_code: 1: the operator said no.
    """

    holders: tuple[Holder, ...]
    freed: Holder | None = None
    exit_code: int = 0


def upgrade_journal(settings: Settings) -> tuple[str, Upgrade]:
    """Bring the journal's schema to this version's; the journal's URL to show, and what was done.

    Raises:
        JournalTooNew: it was written by a newer opsflow.
        JournalUnavailable: it cannot be used.
    """
    return upgraded(settings.journal)


def export(runs: Sequence[str], settings: Settings) -> Iterator[dict[str, Any]]:
    """Everything of runs (none named: of all, oldest first), bit by bit: what is put out by `journal export`.

    Raises:
        UnknownRun: there is no such run; before anything is put out.
    """
    with closing(Housekeeping.open(settings.journal)) as journal:
        for run in [journal.find(name).id for name in runs] if runs else journal.runs():
            for kind, record in journal.records(run):
                yield {"kind": kind, "run": run} | plain(record)


def prune(
    age: float,
    settings: Settings,
    *,
    keep: int = 0,
    dry_run: bool = False,
    vacuum: bool = False,
    confirm: Confirm | None = None,
) -> Pruned:
    """Remove runs that ended more than `age` seconds ago and that nothing needs any more.

    Args:
        age: Seconds.
        settings: How.
        keep: So many of the newest runs stay in any case.
        dry_run: Only look.
        vacuum: Also give a SQLite file's free space back.
        confirm: Asks the operator; None: nobody needs to be asked.

    Raises:
        ApprovalNeeded: nobody is there to be asked.
        HostsHeld, JournalConflict: somebody has just gone on with one of them; those before it are gone.
        HostsHeld: for `vacuum`, somebody drives a run.
    """
    with closing(Housekeeping.open(settings.journal)) as journal:
        old = journal.old(age, keep=keep)
        if dry_run:
            return Pruned(old=old, free=journal.free())
        found = old.removable
        if found and confirm and not confirm(_question(old)):
            return Pruned(old=old, exit_code=NOT_CONFIRMED)
        for run in found:
            journal.remove(run, wiring.operator())
        if vacuum:
            _refuse_driven(journal.holders())
            journal.vacuum()
        return Pruned(old=old, removed=tuple(run.id for run in found), free=journal.free())


def unlock(which: str | None, settings: Settings, *, confirm: Confirm | None = None) -> Unlocked:
    """Free the hosts that a run holds which nobody drives any more.

    Args:
        which: A host that is held, or the id of a run or its beginning; None: the only run that holds hosts, if it is
            dead and the operator, asked, says so; else they are only told.
        settings: How.
        confirm: Asks the operator; None: nobody needs to be asked.

    Raises:
        UnknownRun: neither a host that is held nor a run is called so.
        HostsHeld: somebody drives that run.
        ApprovalNeeded: nobody is there to be asked about the one that was named.
    """
    with closing(Housekeeping.open(settings.journal)) as journal:
        holders = journal.holders()
        if which is not None:
            holders = [h for h in holders if which in h.hosts] or _of_run(which, holders, journal)
        if len(holders) != 1:
            return Unlocked(holders=tuple(holders))
        (holder,) = holders
        named = which is not None or confirm is None
        if not named and holder.alive:
            return Unlocked(holders=(holder,))
        _refuse_driven(holders)
        try:
            free = not confirm or confirm(f"{sentence(holder)} What it left half done stays so. Free its hosts?")
        except ApprovalNeeded:
            if named:
                raise
            return Unlocked(holders=(holder,))
        if not free:
            return Unlocked(holders=(holder,), exit_code=NOT_CONFIRMED)
        journal.abandon(holder.run.id)
        return Unlocked(holders=(holder,), freed=holder)


def _question(old: Old) -> str:
    ids = [run.id for run in old.removable]
    which = f"run {ids[0]}" if len(ids) == 1 else f"{plural(len(ids), 'run')} ({some(ids, 5)})"
    return f"Remove {which} that ended before {moment(old.before)}, with all that was printed?"


def _of_run(which: str, holders: Sequence[Holder], journal: Housekeeping) -> list[Holder]:
    try:
        run = journal.find(which)
    except UnknownRun as error:
        raise UnknownRun(
            f"no host {which} is held, and {error.message}", hint="opsflow unlock lists what is held"
        ) from error
    return [holder for holder in holders if holder.run.id == run.id]


def _refuse_driven(holders: Sequence[Holder]) -> None:
    for holder in holders:
        if holder.alive:
            raise HostsHeld(
                sentence(holder).removesuffix("."),
                holders=dict.fromkeys(holder.hosts, sentence(holder)),
                hint=f"wait for it, or end it first: opsflow cancel {holder.run.id}",
            )
