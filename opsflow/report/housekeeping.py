"""The database of runs as a whole: what is held, what is old, for people and for programs."""

from collections.abc import Iterable, Sequence

from opsflow.model import Holder, Old, Upgrade
from opsflow.report.data import Data, run_data
from opsflow.report.text import DIM, Paint, clean, columns, duration, moment, one_line, plural, some

_NAMED = 10


def sentence(holder: Holder) -> str:
    """A run that holds hosts: since when, for whom, and whether anybody drives it."""
    run = holder.run
    begun = f"begun by {run.operator} at {moment(run.started)}, state {run.state}"
    return one_line(
        f"Run {run.id} ({run.command} of {run.playbook}, {begun}) holds {_hosts(holder)}; {_driver(holder)}."
    )


def holder_lines(holders: Sequence[Holder], paint: Paint) -> list[str]:
    """A table of runs that hold hosts."""
    if not holders:
        return ["no host is held"]
    head = [paint(word, DIM) for word in ("RUN", "STATE", "STARTED", "HOLDS", "DRIVEN BY")]
    rows = [
        [h.run.id, paint.state(h.run.state), moment(h.run.started), one_line(_hosts(h)), one_line(_driver(h))]
        for h in holders
    ]
    return columns([head, *rows])


def holder_data(holder: Holder) -> Data:
    """A run that holds hosts, for programs."""
    driver = {"operator": holder.operator, "pid": holder.pid, "alive": holder.alive, "silent": round(holder.silent, 1)}
    return run_data(holder.run) | {"hosts": list(holder.hosts), "driver": None if holder.left else driver}


def old_lines(old: Old) -> Iterable[str]:
    """What is old and stays, and why; then what may go."""
    for kept in old.kept:
        yield f"{kept.run.id} stays: {clean(kept.why)}"
    for run in old.removable:
        yield f"{run.id}  {run.state}  {run.command}  {one_line(run.playbook)}  {moment(run.finished or run.started)}"


def old_data(old: Old, removed: Sequence[str], free: int | None) -> Data:
    """The same for programs. `removable`: what was found; `removed`: what is gone; `free`: bytes in a SQLite file."""
    return {
        "removable": [run.id for run in old.removable],
        "removed": list(removed),
        "kept": [{"run": kept.run.id, "why": kept.why} for kept in old.kept],
        "free": free,
    }


def upgrade_line(shown: str, done: Upgrade) -> str:
    """What became of a journal's schema."""
    if done.before == done.after:
        return f"journal {shown}: it has schema {done.after} already"
    before = f"schema {done.before} → {done.after}" if done.before else f"new, with schema {done.after}"
    kept = f"; as it was before it is in {done.copy}" if done.copy else ""
    return clean(f"journal {shown}: {before}{kept}")


def _hosts(holder: Holder) -> str:
    return f"{plural(len(holder.hosts), 'host')} ({some(holder.hosts, _NAMED)})"


def _driver(holder: Holder) -> str:
    who = f"{holder.operator}, process {holder.pid}"
    heard = f"heard of {duration(holder.silent)} ago"
    if holder.left:
        return f"nobody drives it, since {duration(holder.silent)}"
    return f"{who} is at work on it, {heard}" if holder.alive else f"its process is gone ({who}, last {heard})"
