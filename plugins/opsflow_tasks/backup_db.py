"""Back up a database: a consistent copy, checked, with its SHA-256 and a manifest beside it."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from posixpath import basename, splitext
from typing import Any

from pydantic import Field

from opsflow import Context, Preview, TaskFailed, hookimpl
from opsflow_tasks.databases.params import Compression, Database, Plain
from opsflow_tasks.databases.shell import act, look, reason

idempotent = True

_PACKING = {"gzip": ("gzip -c", "gzip -dc", ".gz"), "none": ("cat", "cat", "")}
_SPACE = {
    ("sqlite", "gzip"): 1.5,
    ("sqlite", "none"): 2.0,
    ("mysql", "gzip"): 0.5,
    ("mysql", "none"): 1.0,
    ("postgresql", "gzip"): 0.5,
    ("postgresql", "none"): 1.0,
}
"""What a backup may take on disk, of the database's size: SQLite is copied first, a dump is streamed."""
_KIB = 1024
_CHECKING = 6 * 3600.0
"""Seconds for a look, which reads the whole of a backup that this run has made already."""


class Params(Database):
    """Back up a database."""

    directory: Plain = Field("backups", description="Where on the target backups are kept; made with mode 0700.")
    compress: Compression = Field("gzip", description="`gzip` or `none`.")
    keep: int | None = Field(
        None,
        ge=1,
        description="How many backups of this database to keep in the directory, this one included. None: all. Backups"
        " of this run stay in any case: an open run may need them, and it is the only open one of its hosts.",
    )
    protect: list[Plain] = Field(default_factory=list, description="Absolute paths of backups that are never removed.")


@hookimpl
def params() -> type[Params]:
    """The schema."""
    return Params


@hookimpl
def plan(ctx: Context, params: Params) -> Preview:
    """Is the database there, is there space, and has this run made the backup already?"""
    tag = hashlib.sha256(f"{ctx.run_id}/{ctx.node}".encode()).hexdigest()[:8]
    result = look(ctx, params, "look", {"tag": tag, "directory": params.directory}, patience=_CHECKING)
    if not result.ok:
        return Preview.fail(f"cannot back up {params.database}: {reason(result)}")
    lines = [line.partition(" ")[::2] for line in result.stdout.splitlines()]
    facts = dict(lines)
    for done in (value for key, value in lines if key == "prior"):
        if outputs := _of_this_run(ctx, params, facts, done):
            return Preview.unchanged(f"{outputs['path']} was made by this run", outputs=outputs)
    size = int(facts["size"])
    needed = int(size * _SPACE[params.engine, params.compress]) // _KIB + 64
    if facts["free"] and int(facts["free"]) < needed:
        free = _human(int(facts["free"]) * _KIB)
        return Preview.fail(
            f"not enough space for a backup of {params.database} in {facts['directory']}: {free} free,"
            f" {_human(needed * _KIB)} needed"
        )
    now = ctx.now()
    name = _name(ctx, params, tag, now)
    loose = int(facts["loose"])
    warning = f"; {loose} of its tables are not transactional and may be inconsistent" if loose else ""
    return Preview.change(
        f"back up {_stem(params)} ({params.engine}, {_human(size)}) to {params.directory.rstrip('/')}/{name}{warning}",
        before={
            "name": name,
            "created": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "directory": facts["directory"],
            "database": facts["database"],
            "needed_kib": needed,
        },
    )


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict[str, Any]:
    """Copy, check, publish; then remove old ones."""
    before = preview.before
    pack, unpack, _ = _PACKING[params.compress]
    values = {
        "directory": before["directory"],
        "name": before["name"],
        "needed_kib": before["needed_kib"],
        "manifest": _manifest(ctx, params, before),
        "packer": pack,
        "unpacker": unpack,
    }
    made = act(ctx, params, "backup", values, what=f"back up {params.database}")
    facts = dict(line.partition(" ")[::2] for line in made.stdout.splitlines())
    if not made.ok or "sha256" not in facts:
        raise TaskFailed(f"cannot back up {params.database}: {reason(made)}")
    outputs = _outputs(params, before, facts["sha256"], int(facts["bytes"]))
    if params.keep is not None:
        try:
            _prune(ctx, params, before, params.keep)
        except TaskFailed as error:
            ctx.log(f"old backups stay: {error.message}")
    return outputs


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: Mapping[str, Any] | None) -> None:
    """Remove what was left unfinished. A finished backup is kept."""
    del outputs  # what is on the disk counts
    before = preview.before
    values = {"directory": before["directory"], "name": before["name"]}
    gone = act(ctx, params, "forget", values, what=f"clean up after the backup of {params.database}")
    if not gone.ok:
        raise TaskFailed(f"cannot clean up {before['directory']}: {reason(gone)}")


def _prune(ctx: Context, params: Params, before: Mapping[str, Any], keep: int) -> None:
    """Remove the oldest backups of this database. What goes wrong is only said: the new backup is good."""
    listed = look(ctx, params, "list", {"directory": before["directory"]})
    mine = []
    for line in listed.stdout.splitlines():
        path, _, text = line.partition("\t")
        manifest = _parsed(text)
        if (manifest.get("engine"), manifest.get("database")) == (params.engine, before["database"]):
            mine.append((str(manifest.get("created")), path, manifest.get("run")))
    old = [
        path for _, path, run in sorted(mine, reverse=True)[keep:] if run != ctx.run_id and path not in params.protect
    ]
    if not old or listed.truncated:
        return
    removed = act(ctx, params, "remove", {"paths": "\n".join(old)}, what="remove old backups")
    ctx.log(f"removed {len(old)} old backups" if removed.ok else f"old backups stay: {reason(removed)}")


def _of_this_run(ctx: Context, params: Params, facts: Mapping[str, str], done: str) -> dict[str, Any] | None:
    """Outputs of a backup that this node has made and that is what its manifest says."""
    checksum, _, text = done.partition(" ")
    manifest = _parsed(text)
    expected = (ctx.run_id, ctx.node, params.engine, facts["database"], checksum)
    if tuple(manifest.get(key) for key in ("run", "node", "engine", "database", "sha256")) != expected:
        return None
    there = {"directory": facts["directory"], "name": manifest["file"], "database": facts["database"]}
    return _outputs(params, there, checksum, int(manifest["bytes"]))


def _outputs(params: Params, before: Mapping[str, Any], checksum: str, size: int) -> dict[str, Any]:
    path = f"{before['directory']}/{before['name']}"
    return {
        "path": path,
        "sha256": checksum,
        "bytes": size,
        "manifest": f"{path}.manifest.json",
        "engine": params.engine,
        "database": before["database"],
    }


def _manifest(ctx: Context, params: Params, before: Mapping[str, Any]) -> str:
    """The manifest as JSON, a key a line, open at its end: the target adds what it measures."""
    known = {
        "file": before["name"],
        "engine": params.engine,
        "database": before["database"],
        "created": before["created"],
        "run": ctx.run_id,
        "node": ctx.node,
        "attempt": ctx.attempt,
        "compress": params.compress,
    }
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in known.items())


def _parsed(text: str) -> dict[str, Any]:
    """A manifest; empty if it is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _name(ctx: Context, params: Params, tag: str, now: datetime) -> str:
    """A name that no other attempt takes, whichever run or node it is of; names of one database sort by time."""
    kind = "sqlite" if params.engine == "sqlite" else "sql"
    return f"{_stem(params)}-{now:%Y%m%dT%H%M%SZ}-{tag}-{ctx.attempt}.{kind}{_PACKING[params.compress][2]}"


def _stem(params: Params) -> str:
    """The database's name as a part of a file's."""
    plain = splitext(basename(params.database))[0] if params.engine == "sqlite" else params.database
    return re.sub(r"[^A-Za-z0-9._-]", "_", plain).lstrip(".-")[:64] or "database"


def _human(size: int) -> str:
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < _KIB:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _KIB
    return f"{amount:.1f} TiB"
