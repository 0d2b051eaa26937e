"""Back up a database: a consistent copy, checked, with its SHA-256 and a manifest beside it."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from opsflow import Context, Duration, Preview, TaskFailed, hookimpl
from opsflow_tasks.databases.backups import PACKERS, TIME, Staying, named, opened, parsed, prune, stem
from opsflow_tasks.databases.fetching import fetch, fetched, space
from opsflow_tasks.databases.params import Compression, Database, Plain
from opsflow_tasks.databases.shell import act, look, reason, tag

idempotent = True

_KIB = 1024
_CHECKING = 6 * 3600.0
"""Seconds for a look, which reads the whole of a backup that this run has made already."""


class Params(Database):
    """Back up a database."""

    directory: Plain = Field("backups", description="Where on the target backups are kept; made with mode 0700.")
    compress: Compression = Field("gzip", description="`gzip`, `zstd` or `none`.")
    verify: Literal["checksum", "restore"] = Field(
        "checksum",
        description="`checksum`: the backup is read again to its last line. `restore`: it is also loaded into a"
        " database made for that and dropped again, and the rows of each table are counted there and compared; the"
        " account must be allowed to make databases. A backup of sqlite is always compared byte by byte.",
    )
    nontransactional: Literal["refuse", "lock"] = Field(
        "refuse",
        description="What to do if tables are in storage engines without transactions, as MyISAM (mysql): `refuse`, or"
        " `lock` all tables of the database against writers while the backup is made.",
    )
    keep: int | None = Field(
        None,
        ge=1,
        description="How many backups of this database to keep in the directory, this one included. None: all, unless"
        " `keep_for` is given. Backups of this run stay in any case: an open run may need them, and it is the only open"
        " one of its host.",
    )
    keep_for: Duration | None = Field(
        None, description="How long to keep them. With `keep`: what is as young as that, or among the newest, stays."
    )
    keep_others: Duration = Field(
        7 * 86400.0,
        description="How long backups of this database that were made for another host stay in any case, if the"
        " directory is shared: that host's run may be open still, which cannot be seen here.",
    )
    fetch: Plain | None = Field(
        None,
        description="Directory of the control machine to which the finished backup and its manifest are copied, too,"
        " below the host's name; a relative one begins where the playbook is. Nothing is ever removed there.",
    )
    protect: list[Plain] = Field(default_factory=list, description="Absolute paths of backups that are never removed.")


class Outputs(BaseModel):
    """The backup."""

    path: str = Field(description="The file, on the target.")
    sha256: str = Field(description="SHA-256 of the file.")
    bytes: int = Field(description="Its size in bytes.")
    manifest: str = Field(description="Its manifest, JSON, beside it.")
    engine: str = Field(description="What the database is of.")
    database: str = Field(description="What was backed up.")
    fetched: str = Field("", description="With `fetch`: the copy on the control machine.")


@hookimpl
def params() -> type[Params]:
    """The schema."""
    return Params


@hookimpl
def outputs() -> type[BaseModel]:
    """What it gives."""
    return Outputs


@hookimpl
def plan(ctx: Context, params: Params) -> Preview:
    """Is the database there, is there space, and has this run made the backup already?"""
    values = {"directory": params.directory, "packer": PACKERS[params.compress][0]}
    result = look(ctx, params, "look", values, patience=_CHECKING)
    if not result.ok:
        return Preview.fail(f"cannot back up {params.database}: {reason(result)}")
    lines = [line.partition(" ")[::2] for line in result.stdout.splitlines()]
    facts = dict(lines)
    for done in (value for key, value in lines if key == "prior"):
        if outputs := _of_this_run(ctx, params, facts, done):
            if params.fetch and not (outputs := fetched(ctx, params.fetch, outputs)).get("fetched"):
                return _only_fetch(params.fetch, outputs)
            return Preview.unchanged(f"{outputs['path']} was made by this run", outputs=outputs)
    needed = _needed(params, int(facts["size"]))
    if trouble := _unfit(ctx, params, facts, needed):
        return Preview.fail(f"cannot back up {params.database}: {trouble}")
    now = ctx.now()
    name = named(params, tag(ctx), ctx.attempt, now, params.compress)
    locked = "; its tables are locked against writers meanwhile" if facts["loose"] else ""
    return Preview.change(
        f"back up {stem(params)} ({params.engine}, {_human(int(facts['size']))}) to"
        f" {params.directory.rstrip('/')}/{name}{locked}",
        before={
            "name": name,
            "created": f"{now:{TIME}}",
            "directory": facts["directory"],
            "database": facts["database"],
            "needed_kib": needed,
            "lock": bool(locked),
        },
    )


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict[str, Any]:
    """Copy, check, publish; then remove old ones."""
    before = preview.before
    if made := before.get("made"):
        return fetch(ctx, str(params.fetch), made)
    pack, unpack, _ = PACKERS[params.compress]
    values = {
        "directory": before["directory"],
        "name": before["name"],
        "needed_kib": before["needed_kib"],
        "manifest": opened(_known(ctx, params, before)),
        "packer": pack,
        "unpacker": unpack,
        "locking": "yes" if before["lock"] else "",
        "verify": params.verify,
        "scratch": _scratch(ctx),
    }
    made = act(ctx, params, "backup", values, what=f"back up {params.database}")
    facts = dict(line.partition(" ")[::2] for line in made.stdout.splitlines())
    if not made.ok or "sha256" not in facts:
        raise TaskFailed(f"cannot back up {params.database}: {reason(made)}")
    if facts.get("written"):
        ctx.log(f"written to while the backup was made, so their rows were not compared: {facts['written']}")
    outputs = _outputs(params, before, facts["sha256"], int(facts["bytes"]))
    if params.fetch:
        outputs = fetch(ctx, params.fetch, outputs)
    if params.keep is not None or params.keep_for is not None:
        staying = Staying(
            keep=params.keep, keep_for=params.keep_for, keep_others=params.keep_others, protect=params.protect
        )
        prune(ctx, params, before, staying)
    return outputs


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: Mapping[str, Any] | None) -> None:
    """Remove what was left unfinished. A finished backup is kept."""
    del outputs  # what is on the disk counts
    before = preview.before
    values = {"directory": before["directory"], "scratch": _scratch(ctx), "verify": params.verify}
    gone = act(ctx, params, "forget", values, what=f"clean up after the backup of {params.database}")
    if not gone.ok:
        raise TaskFailed(f"cannot clean up after the backup of {params.database}: {reason(gone)}")


def _scratch(ctx: Context) -> str:
    """Name of the database into which a backup is loaded to see whether it can be."""
    return f"opsflow_verify_{tag(ctx)}"


def _only_fetch(directory: str, outputs: Mapping[str, Any]) -> Preview:
    there, _, name = str(outputs["path"]).rpartition("/")
    return Preview.change(
        f"fetch {outputs['path']}, which was made by this run, to {directory}",
        before={"made": dict(outputs), "name": name, "directory": there},
    )


def _needed(params: Params, size: int) -> int:
    """KiB that a backup may take: SQLite is copied first, a dump is streamed."""
    packed = 1.0 if params.compress == "none" else 0.5
    return int(size * (packed + (params.engine == "sqlite"))) // _KIB + 64


def _unfit(ctx: Context, params: Params, facts: Mapping[str, str], needed: int) -> str:
    """Why the database cannot be backed up as things are; empty if it can."""
    if facts["loose"] and params.nontransactional == "refuse":
        return (
            f"these tables are not transactional, a backup of them would not be consistent: {facts['loose']};"
            ' convert them (ALTER TABLE ... ENGINE=InnoDB), or say nontransactional = "lock"'
        )
    if facts["free"] and int(facts["free"]) < needed:
        free = _human(int(facts["free"]) * _KIB)
        return f"not enough space in {facts['directory']}: {free} free, {_human(needed * _KIB)} needed"
    if params.fetch and (room := space(ctx, params.fetch)) < needed * _KIB:
        return f"not enough space here in {params.fetch}: {_human(room)} free, {_human(needed * _KIB)} needed"
    return ""


def _of_this_run(ctx: Context, params: Params, facts: Mapping[str, str], done: str) -> dict[str, Any] | None:
    """Outputs of a backup that this node has made and that is what its manifest says."""
    checksum, _, text = done.partition(" ")
    manifest = parsed(text)
    expected = (ctx.run_id, ctx.node, params.engine, facts["database"], params.verify, checksum)
    if tuple(manifest.get(key) for key in ("run", "node", "engine", "database", "verified", "sha256")) != expected:
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


def _known(ctx: Context, params: Params, before: Mapping[str, Any]) -> dict[str, object]:
    """What the manifest says before anything is measured."""
    return {
        "file": before["name"],
        "engine": params.engine,
        "database": before["database"],
        "created": before["created"],
        "run": ctx.run_id,
        "node": ctx.node,
        "attempt": ctx.attempt,
        "compress": params.compress,
        "verified": params.verify,
    }


def _human(size: int) -> str:
    amount = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < _KIB:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _KIB
    return f"{amount:.1f} TiB"
