"""Who writes a run, and which run holds a host.

A run is written by one process. The `owners` row names it, with a token that every commit must show: whoever takes
the run over sets another one, and the earlier writer is fenced, however long it sleeps.
"""

import os
import platform
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from opsflow.errors import HostsHeld
from opsflow.journal.columns import DatabaseTime
from opsflow.journal.tables import leases, owners, runs
from opsflow.model import EXIT_ROLLED_BACK, LOCALHOST, OVER, RunState

STALE_SECONDS = 60
"""A writer on another machine that was silent for longer counts as dead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A process, so that others can tell whether it still lives.

    Attributes:
        machine: Machine id, node name and process id namespace: where `pid` means something.
        boot: Boot id of the kernel.
        pid: Process id.
        pid_started: When it started, in ticks after boot; with `pid` it is unique within a boot. Empty: not known.
    """

    machine: str
    boot: str
    pid: int
    pid_started: str


def this_process() -> Writer:
    """The calling process."""
    machine = _first_line("/etc/machine-id") or _first_line("/var/lib/dbus/machine-id")
    try:
        namespace = Path("/proc/self/ns/pid").readlink().name
    except OSError:
        namespace = ""
    return Writer(
        machine=f"{machine} {platform.node()} {namespace}"[:255],
        boot=_first_line("/proc/sys/kernel/random/boot_id"),
        pid=os.getpid(),
        pid_started=_start_of(os.getpid()) or "",
    )


def new_token() -> str:
    """What a writer shows to prove that the run is still its own."""
    return secrets.token_hex(16)


def own(connection: Connection, run: int, token: str, operator: str) -> None:
    """Make this process the first writer of a new run."""
    row = {"run": run, "epoch": 1, "serial": 0, **_mark(token, operator)}
    connection.execute(insert(owners).values(**row))


def living_epoch(connection: Connection, run: int) -> int | None:
    """Number of the run's writer; None: it has none, or its process is gone."""
    row = _row(connection, run)
    return int(row.epoch) if alive(row) else None


def take(connection: Connection, run: int, token: str, operator: str) -> None:
    """Make this process the writer of an existing run.

    Raises:
        HostsHeld: its writer is alive.
    """
    row = _row(connection, run)
    if row.token == token:  # a lost COMMIT that did arrive
        return
    refuse_living(connection, run)
    query = update(owners).where(owners.c.run == run)
    connection.execute(query.values(epoch=owners.c.epoch + 1, **_mark(token, operator)))


def epoch(connection: Connection, run: int) -> int:
    """How often a run has changed hands, from 1."""
    return int(connection.execute(select(owners.c.epoch).where(owners.c.run == run)).scalar_one())


def refuse_living(connection: Connection, run: int) -> None:
    """Raise `HostsHeld` if the run's writer is alive."""
    row = _row(connection, run)
    if not alive(row):
        return
    held = connection.scalars(select(leases.c.host).where(leases.c.run == run)).all()
    raise HostsHeld(
        f"run {row.id} is being worked on by {row.operator} (process {row.pid})",
        holders=dict.fromkeys(held, _describe(row)),
        hint=f"wait for it, or end it first: opsflow cancel {row.id}",
    )


def disown(connection: Connection, run: int) -> None:
    """Leave a run without a writer, fencing the one it may have had."""
    connection.execute(update(owners).where(owners.c.run == run).values(token=None))


def abandon(connection: Connection, run: int) -> None:
    """Free a run's hosts, and fence whatever writer it had. Raises `HostsHeld` if that is alive."""
    refuse_living(connection, run)
    disown(connection, run)
    release(connection, run)


def hold(connection: Connection, run: int, hosts: Sequence[str]) -> None:
    """Hold exactly these hosts. Another run's hold is an integrity error: see `refuse_held`."""
    release(connection, run)
    # In order, so that two runs with common hosts wait for each other instead of locking each other out.
    rows = [{"host": host, "run": run} for host in sorted(set(hosts) - {LOCALHOST})]
    if rows:
        connection.execute(insert(leases), rows)


def release(connection: Connection, run: int) -> None:
    """Hold no hosts any more."""
    connection.execute(delete(leases).where(leases.c.run == run))


def refuse_held(connection: Connection, run_id: str, hosts: Sequence[str]) -> None:
    """Raise `HostsHeld` if another run holds some of the hosts."""
    query = with_age().add_columns(leases.c.host).join(leases, leases.c.run == runs.c.key).where(runs.c.id != run_id)
    wanted = set(hosts)
    rows = {row.host: row for row in connection.execute(query) if row.host in wanted}
    if not rows:
        return
    # Sorted by id. An incomplete rollback never goes forward again.
    way_on = {RunState.ROLLBACK_INCOMPLETE: "rollback"}
    ids = {run: way_on.get(state, "resume") for run, state in sorted({(row.id, row.state) for row in rows.values()})}
    names = ", ".join(sorted(rows)[:3]) + (", ..." if len(rows) > 3 else "")
    raise HostsHeld(
        f"{names}: held by {'run' if len(ids) == 1 else 'runs'} {', '.join(ids)}",
        holders={host: _describe(row) for host, row in sorted(rows.items())},
        hint="\n".join(f"opsflow {command} {run}, or give it up with --abandon {run}" for run, command in ids.items()),
    )


def free_ended(connection: Connection, hosts: Sequence[str]) -> bool:
    """Free what runs hold that are over; whether any of the hosts was among it.

    A writer that takes such a run up again, to roll it back or to make its end once more, holds its hosts before it
    writes anything, and may die in between: nothing is at work then.
    """
    over = runs.c.state.in_(OVER)
    only_back = (runs.c.state == RunState.FAILED) & (runs.c.exit_code == EXIT_ROLLED_BACK)
    query = with_age().add_columns(runs.c.key, leases.c.host).join(leases, leases.c.run == runs.c.key)
    rows = connection.execute(query.where(over | only_back)).all()
    wanted = set(hosts)
    ended = {row.key for row in rows if row.host in wanted and not alive(row)}
    for run in sorted(ended):
        abandon(connection, run)
    return bool(ended)


def _mark(token: str, operator: str) -> dict[str, Any]:
    me = this_process()
    return {
        "token": token,
        "operator": operator,
        "machine": me.machine,
        "boot": me.boot,
        "pid": me.pid,
        "pid_started": me.pid_started,
        "beat": DatabaseTime(),
    }


def with_age() -> Any:
    """Runs with their writers, and for how many microseconds each was silent (`age`)."""
    columns = (runs.c.id, runs.c.state, runs.c.started, owners)
    age = (DatabaseTime() - owners.c.beat).label("age")
    return select(*columns, age).join_from(runs, owners, owners.c.run == runs.c.key)


def _row(connection: Connection, run: int) -> Row[Any]:
    return connection.execute(with_age().where(runs.c.key == run).with_for_update(of=owners)).one()


def alive(row: Row[Any]) -> bool:
    """Whether the writer in a row of `with_age` lives."""
    if row.token is None:
        return False
    me = this_process()
    if row.machine != me.machine:
        return bool(row.age <= STALE_SECONDS * 1_000_000)
    return bool(row.boot == me.boot and _start_of(row.pid) == row.pid_started)


def _describe(row: Row[Any]) -> str:
    since = row.started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"run {row.id} by {row.operator} since {since}, state {row.state}"
    if row.token is not None and not alive(row):
        text += ", its process is gone"
    return text


def _start_of(pid: int) -> str | None:
    """When a process started; None if it does not live, a zombie included. Source: proc_pid_stat(5), fields 3, 22."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return "" if not Path("/proc/self/stat").exists() and _exists(pid) else None
    state, *rest = text.rpartition(")")[2].split()
    return None if state in ("Z", "X") else rest[18]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
