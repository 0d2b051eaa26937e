"""The scripts for the target: texts beside this file, with the values they expect before them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from opsflow import CommandFailed, CommandResult, Context, TaskFailed
from opsflow_tasks._target import unlike
from opsflow_tasks.databases.connecting import connected, environment
from opsflow_tasks.databases.params import Database

Values = Mapping[str, str | int]
"""Shell variables."""

_PATIENCE = 60.0
_WRITTEN = "opsflow-written "
_NAMED = 8


def look(
    ctx: Context, database: Database, action: str, values: Values, *, patience: float = _PATIENCE
) -> CommandResult:
    """Run the text of an action as a read, of at most `patience` seconds."""
    env = environment(ctx, database)
    return ctx.probe(_script(ctx, database, action, values), timeout=patience, env=env)


def act(
    ctx: Context, database: Database, action: str, values: Values, *, what: str, given: str | None = None
) -> CommandResult:
    """Run the text of an action as one operation.

    Args:
        ctx: Where.
        database: On which database.
        action: Name of the text.
        values: Its shell variables.
        what: What it does, for the message: "back up game".
        given: Its standard input.

    Raises:
        TaskFailed: its time was over. Any other end is the caller's to judge.
    """
    env = environment(ctx, database)
    command = _script(ctx, database, action, values)
    try:
        return ctx.run(command, check=False, input=given, timeout=database.timeout, env=env)
    except CommandFailed as error:  # its message would be the whole script
        raise TaskFailed(f"cannot {what}: {error.hint or 'it took too long'}") from None


def tag(ctx: Context) -> str:
    """What names of files and databases hold that are of this node of this run."""
    return hashlib.sha256(f"{ctx.run_id}/{ctx.node}".encode()).hexdigest()[:8]


def reason(result: CommandResult) -> str:
    """What a script said why it failed: the first lines, where the cause is."""
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip(" ^")]
    return "; ".join(lines[:3]) or f"it ended with status {result.exit_status} and said nothing"


def written(stdout: str) -> str:
    """Which parts of the database a script found to be written to by somebody; empty if none."""
    lines = stdout.splitlines()
    names = [line.removeprefix(_WRITTEN) for line in lines if line.startswith(_WRITTEN)]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _script(ctx: Context, database: Database, action: str, values: Values) -> str:
    given = {"database": database.database, "tag": tag(ctx), "lock_ms": 15_000, **values}
    assigned = (f"{name}={ctx.quote(value)}" for name, value in given.items())
    text = unlike("\n".join(map(_text, ("common", database.engine, action))), environment(ctx, database).values())
    return "\n".join((*assigned, connected(ctx, database), text))


def _text(name: str) -> str:
    return Path(__file__).with_name(f"{name}.sh").read_text("utf-8")
