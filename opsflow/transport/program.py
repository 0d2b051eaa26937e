"""What is sent to a target's `sh`: the files of `runner/`, joined, with words put in front."""

from functools import cache
from importlib.resources import files

from opsflow.transport.opening import GUARD

PARTS = ("shells", "processes", "records", "slots", "mouth", "ending", "keeping", "main")
"""The files, in the order in which a shell has to read them; `main` is the one to begin with for people."""


def program(nonce: str, run: str, epoch: int, holder: str, *, shared: bool) -> bytes:
    """The program of one connection, as one brace group: what arrives in part is a syntax error and does nothing.

    Args:
        nonce: What marks its answers.
        run: Id of the run.
        epoch: Number of the run's owner.
        holder: Who that is.
        shared: Several runs may be at work on the host.
    """
    name = "".join(c for c in holder if c.isalnum() or c in "@._-")
    words = f"{nonce} {run} {epoch} '{name}'{' shared' if shared else ''}"
    return f"{GUARD}\n{{ set -- {words}\n{text()}}}\n".encode()


@cache
def text() -> str:
    """The files joined, comments and empty lines left out."""
    folder = files("opsflow.transport").joinpath("runner")
    joined = "\n".join(folder.joinpath(f"{part}.sh").read_text(encoding="utf-8") for part in PARTS)
    return "".join(f"{line}\n" for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#"))
