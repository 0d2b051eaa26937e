"""A backup that `backup_db` made, put back in place of the database."""

import json
from typing import Any

from opsflow import Context, TaskFailed, TransferFailed
from opsflow_tasks.databases.params import Database
from opsflow_tasks.databases.programs import Programs
from opsflow_tasks.databases.shell import act, reason, written


class Written(TaskFailed):
    """What the database holds is not what it held after this run's last change; a restore would lose that."""


def restore(ctx: Context, database: Database, backup: str, programs: Programs, *, begun: bool) -> None:
    """Restore a backup as one operation, its checksum checked first, and whether anything was written since.

    It is one transaction, but for MySQL's: while that lasts a table is there whose name the history's queries know, so
    that half a restore is never taken for a database.

    Args:
        ctx: Where.
        database: What to restore.
        backup: Path of the backup.
        programs: The engine's.
        begun: Whether a restore was begun already: nothing is looked for then.

    Raises:
        Written: it is not restored, since somebody has written; the message names what.
        TaskFailed: it is not restored.
    """
    if why := unusable(ctx, database, backup):
        raise TaskFailed(f"cannot restore {database.database}: {why}")
    values = {
        "backup": backup,
        "sum": str(_manifest(ctx, backup).get("sha256")),
        "run": ctx.run_id,
        "begun": "yes" if begun else "",
        "history": programs.table,
        **programs.restoring(ctx.run_id, ctx.node),
    }
    ctx.log(f"restoring {database.database} from {backup}")
    result = act(ctx, database, "restore", values, what=f"restore {backup}")
    if found := written(result.stdout):
        raise Written(f"written to since the backup was made, beside the migration: {found}")
    if not result.ok:
        raise TaskFailed(f"cannot restore {database.database} from {backup}: {reason(result)}")


def unusable(ctx: Context, database: Database, backup: str) -> str:
    """Why a backup cannot be restored, as far as its manifest tells; empty if it can."""
    found = _manifest(ctx, backup)
    if not found:
        return f"{backup} has no readable manifest"
    name = str(found.get("database"))
    if not found.get("contents"):
        return f"{backup} was made without a record of what it holds: whether anything was written since cannot be told"
    same = name == database.database
    if database.engine == "sqlite":  # the manifest holds the file's absolute path
        same = same or name.endswith("/" + database.database.removeprefix("~/"))
    return "" if same and found.get("engine") == database.engine else f"{backup} is of another database: {name}"


def _manifest(ctx: Context, backup: str) -> dict[str, Any]:
    """The manifest of a backup; empty if there is none."""
    try:
        found = json.loads(ctx.get(f"{backup}.manifest.json"))
    except (TransferFailed, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
