"""Copies of backups on the control machine."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opsflow import Context, TaskFailed


def fetch(ctx: Context, directory: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a backup and its manifest; the outputs with where the copy is.

    Raises:
        TaskFailed: what came is not the backup, or cannot be written.
    """
    copy = _place(ctx, directory, outputs)
    ctx.fetch(outputs["manifest"], copy.with_name(Path(outputs["manifest"]).name))
    if ctx.fetch(outputs["path"], copy) != outputs["sha256"]:
        raise TaskFailed(f"{outputs['path']} was changed after it was made: the copy in {copy} is not the backup")
    return {**outputs, "fetched": str(copy)}


def fetched(ctx: Context, directory: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs with where the copy is, if it is there and is what it should be."""
    copy = _place(ctx, directory, outputs)
    try:
        with copy.open("rb") as file:
            there = hashlib.file_digest(file, "sha256").hexdigest() == outputs["sha256"]
    except OSError:
        there = False
    return {**outputs, "fetched": str(copy)} if there else dict(outputs)


def space(ctx: Context, directory: str) -> int:
    """Free bytes where copies are to be."""
    place = ctx.project / directory
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _place(ctx: Context, directory: str, outputs: Mapping[str, Any]) -> Path:
    return ctx.project / directory / ctx.host / Path(outputs["path"]).name
