"""The backups of a directory: their names, their manifests, and which of them are old."""

import json
import re
from collections.abc import Mapping
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


def prune(
    ctx: Context,
    database: Database,
    before: Mapping[str, Any],
    *,
    keep: int | None,
    keep_for: float | None,
    protect: list[str],
) -> None:
    """Remove old backups of a database. What goes wrong is only said: the new backup is good.

    Args:
        ctx: Where.
        database: Of which database.
        before: What was found before the new one was made: `directory`, `database`, `created`.
        keep: How many stay, the new one included; None: age counts alone.
        keep_for: How old one may be and stay, in seconds; None: number counts alone.
        protect: Paths that stay.
    """
    listed = look(ctx, database, "list", {"directory": before["directory"]})
    mine = []
    for line in listed.stdout.splitlines():
        path, _, text = line.partition("\t")
        manifest = parsed(text)
        if (manifest.get("engine"), manifest.get("database")) == (database.engine, before["database"]):
            mine.append((str(manifest.get("created")), path, manifest.get("run")))
    mine.sort(reverse=True)
    staying = {path for _, path, run in mine if run == ctx.run_id} | set(protect)
    staying |= {path for _, path, _ in mine[: keep or 0]}
    if keep_for is not None:
        oldest = datetime.strptime(before["created"], TIME) - timedelta(seconds=keep_for)  # noqa: DTZ007 - all are UTC
        staying |= {path for created, path, _ in mine if created >= f"{oldest:{TIME}}"}
    old = [path for _, path, _ in mine if path not in staying]
    if not old or listed.truncated:
        return
    try:
        removed = act(ctx, database, "remove", {"paths": "\n".join(old)}, what="remove old backups")
    except TaskFailed as error:
        ctx.log(f"old backups stay: {error.message}")
        return
    ctx.log(f"removed {len(old)} old backups" if removed.ok else f"old backups stay: {reason(removed)}")
