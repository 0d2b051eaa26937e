"""Commands that a witness on the hosts sees: when each begins and when it has come to its end, in the order of all hosts.

A file beside the hosts' homes takes a line of each, `HOST WHAT STEP ATTEMPT PART`; an appended line is whole. `begin` and
`end` are of a part of execute, `back` and `over` of a revert of that attempt, or `stuck` in place of `over`.
"""

from pydantic import BaseModel, Field

from opsflow import Context, Preview, hookimpl


class Params(BaseModel):
    """What they do."""

    parts: int = Field(1, ge=1, description="How many commands.")
    pace: float = Field(0.0, ge=0, description="Seconds that each takes, and a revert.")
    fails: int = Field(0, ge=0, description="How many attempts fail, in their last command.")
    sticks: bool = Field(default=False, description="Whether the first revert fails.")
    puts: bool = Field(default=True, description="Whether there is anything to put back.")


@hookimpl
def params() -> type[BaseModel]:
    """The schema."""
    return Params


@hookimpl
def plan(ctx: Context, params: Params) -> Preview:
    """Look whether it is done."""
    if params.puts and ctx.probe(f"test -e {ctx.step}.done").ok:
        return Preview.unchanged("it is done")
    return Preview.change("do it")


@hookimpl
def execute(ctx: Context, params: Params, preview: Preview) -> dict:
    """Do it."""
    for part in range(1, params.parts + 1):
        fails = part == params.parts and ctx.attempt <= params.fails
        done = "exit 3" if fails else f"touch {ctx.step}.done" if params.puts else ":"
        ctx.run(
            f"echo {ctx.host} begin {ctx.step} {ctx.attempt} {part} >>../witness; sleep {params.pace}; "
            f"echo {ctx.host} end {ctx.step} {ctx.attempt} {part} >>../witness; {done}"
        )
    return {"attempt": ctx.attempt}


@hookimpl
def revert(ctx: Context, params: Params, preview: Preview, outputs: dict | None) -> None:
    """Put it back."""
    if not params.puts:
        return
    stuck = f"touch {ctx.step}.stuck; echo {ctx.host} stuck {ctx.step} {ctx.attempt} 0 >>../witness; exit 4"
    sticks = f"[ -e {ctx.step}.stuck ] || {{ {stuck}; }}; " if params.sticks else ""
    ctx.run(
        f"echo {ctx.host} back {ctx.step} {ctx.attempt} 0 >>../witness; {sticks}sleep {params.pace}; "
        f"rm -f {ctx.step}.done; echo {ctx.host} over {ctx.step} {ctx.attempt} 0 >>../witness"
    )
