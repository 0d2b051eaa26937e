"""Several commands, with files put between them, that a witness on the target counts.

What they say, how they end and what they take follow from their names, so that it can be told from outside.
"""

import hashlib

from pydantic import BaseModel, Field

from opsflow import Context, Preview, hookimpl


class Params(BaseModel):
    """What the commands are."""

    commands: int = Field(1, ge=1, description="How many.")
    files: bool = Field(default=False, description="Whether a file is put before each, which it reads and adds to.")
    pace: float = Field(0.2, description="Seconds that the slowest takes.")
    durable: bool = Field(default=False, description="Whether what they write is on the disk before they go on.")


def number(name, what, below):
    """A number that belongs to a name."""
    return int(hashlib.sha256(f"{what} {name}".encode()).hexdigest(), 16) % below


def put_into(name):
    """The file that is put before a command; one in eight is too large to travel with the message."""
    return f"{name} put\n" * (1 + number(name, "file", 20) + 2000 * (number(name, "large file", 8) == 0))


def added_to(name):
    """What the command adds to it."""
    return f"{name} added\n"


def expected(name, files):
    """How a command ends: status, stdout, stderr."""
    out = f"{name} says\n" * number(name, "out", 40) + "x" * (number(name, "long", 10) // 9 * 300_000)
    return (
        number(name, "status", 3) * 7,
        out + (put_into(name) if files else ""),
        f"{name} complains\n" * number(name, "err", 3),
    )


def command(name, token, params):
    """The command of that name."""
    status, _, err = expected(name, files=False)
    sync = "sync" if params.durable else ":"
    lines = [
        f"echo begin {name} >>witness; {sync} witness; : {token}",
        f"i=0; while [ $i -lt {number(name, 'out', 40)} ]; do echo '{name} says'; i=$((i + 1)); done",
        f"head -c {number(name, 'long', 10) // 9 * 300_000} /dev/zero | tr '\\000' x",
        f"sleep {number(name, 'pace', 1000) / 1000 * params.pace:.3f}",
        f"printf '%s' '{err}' >&2; touch {name}.done",
    ]
    if params.files:
        lines.append(f"cat {name}.conf; echo '{name} added' >>{name}.conf; {sync} {name}.conf")
    return "\n".join([*lines, f"echo end {name} >>witness; {sync} witness; exit {status}"])


@hookimpl
def params() -> type[BaseModel]:
    """The schema."""
    return Params


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict:
    """Do them; a command of which a look tells that it was done is left out, as a careful task would."""
    results = {}
    for k in range(1, params.commands + 1):
        name = f"{ctx.step}.{k}"
        if params.files:
            ctx.write(f"{name}.conf", put_into(name))
        if ctx.probe(f"test -e {name}.done").ok:
            continue
        result = ctx.run(command(name, ctx.random(), params), check=False)
        results[name] = [result.exit_status, *(_digest(text) for text in (result.stdout, result.stderr))]
    return {"results": results}


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: dict | None) -> None:
    """Nothing is reverted here."""


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()
