"""The backups of a directory: their names, their manifests, and which of them are old."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from posixpath import basename, splitext
from typing import Any

from opsflow import Context, TaskFailed
from opsflow_tasks.databases.params import Database
from opsflow_tasks.databases.shell import act, look, reason

PACKERS = {
    "gzip": ("gzip -c", "gzip -dc", ".gz"),
    "zstd": ("zstd -qc", "zstd -qdc", ".zst"),
    "none": ("cat", "cat", ""),
}
"""What packs, what unpacks, and the end of the file's name."""
TIME = "%Y-%m-%dT%H:%M:%SZ"


def named(database: Database, tag: str, attempt: int, now: datetime, compress: str) -> str:
    """A name that no other attempt takes, whichever run or node it is of; names of one database sort by time."""
    kind = "sqlite" if database.engine == "sqlite" else "sql"
    return f"{stem(database)}-{now:%Y%m%dT%H%M%SZ}-{tag}-{attempt}.{kind}{PACKERS[compress][2]}"


def stem(database: Database) -> str:
    """The database's name as a part of a file's."""
    plain = splitext(basename(database.database))[0] if database.engine == "sqlite" else database.database
    return re.sub(r"[^A-Za-z0-9._-]", "_", plain).lstrip(".-")[:64] or "database"


def opened(facts: Mapping[str, object]) -> str:
    """A manifest as JSON, a key a line, open at its end: the target adds what it measures."""
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in facts.items())


def parsed(text: str) -> dict[str, Any]:
    """A manifest; empty if it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Staying:
    """Which backups stay.

    Attributes:
        keep: How many, the new one included; None: age counts alone.
        keep_for: How old one may be, in seconds; None: number counts alone.
        keep_others: How old one that was made for another host may be in any case, in seconds.
        protect: Paths.
    """

    keep: int | None
    keep_for: float | None
    keep_others: float
    protect: Sequence[str]


def prune(ctx: Context, database: Database, before: Mapping[str, Any], staying: Staying) -> None:
    """Remove old backups of a database. What goes wrong is only said: the new backup is good.

    A run that is open may need its backups. This one is the only open one of its host; of others nothing is known here.

    Args:
        ctx: Where.
        database: Of which database.
        before: What was found before the new one was made: `directory`, `database`, `created`.
        staying: What is not removed.
    """
    listed = look(ctx, database, "list", {"directory": before["directory"]})
    mine = []
    for line in listed.stdout.splitlines():
        path, _, text = line.partition("\t")
        manifest = parsed(text)
        if (manifest.get("engine"), manifest.get("database")) == (database.engine, before["database"]):
            foreign = _host(str(manifest.get("node"))) != _host(ctx.node)
            mine.append((str(manifest.get("created")), path, manifest.get("run"), foreign))
    mine.sort(reverse=True)
    kept = {path for _, path, run, _ in mine if run == ctx.run_id} | set(staying.protect)
    kept |= {path for _, path, *_ in mine[: staying.keep or 0]}
    others = _ago(before, staying.keep_others)
    kept |= {path for created, path, _, foreign in mine if foreign and created >= others}
    if staying.keep_for is not None:
        oldest = _ago(before, staying.keep_for)
        kept |= {path for created, path, *_ in mine if created >= oldest}
    old = [path for _, path, *_ in mine if path not in kept]
    if not old or listed.truncated:
        return
    try:
        removed = act(ctx, database, "remove", {"paths": "\n".join(old)}, what="remove old backups")
    except TaskFailed as error:
        ctx.log(f"old backups stay: {error.message}")
        return
    away = sum(foreign for _, path, _, foreign in mine if path not in kept)
    told = f"removed {len(old)} old backups" + (f", {away} of them made for other hosts" if away else "")
    ctx.log(told if removed.ok else f"old backups stay: {reason(removed)}")


def _host(node: str) -> str:
    """The host of a node's name."""
    return node.rpartition("@")[2]


def _ago(before: Mapping[str, Any], seconds: float) -> str:
    """When it was that long before the new backup, as manifests have it."""
    return f"{datetime.strptime(before['created'], TIME) - timedelta(seconds=seconds):{TIME}}"  # noqa: DTZ007 - all UTC
