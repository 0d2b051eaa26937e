"""Files of hosts that become files here."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from opsflow.durable import replaced
from opsflow.errors import TaskFailed


def received(destination: Path, fetch: Callable[[BinaryIO], str]) -> str:
    """What `fetch` writes becomes a file, whole and durable or not at all; its SHA-256.

    Args:
        destination: Where it is to be, for its owner only; its directory is made if need be.
        fetch: Writes the content and says its SHA-256.

    Raises:
        TaskFailed: it cannot be written.
    """
    try:
        destination.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if destination.is_dir():
            raise TaskFailed(f"cannot write {destination}: it is a directory")
        with replaced(destination) as stream:
            digest = fetch(stream)
    except (FileExistsError, NotADirectoryError) as error:
        raise TaskFailed(f"cannot write {destination}: a file is where its directory should be") from error
    except OSError as error:
        raise TaskFailed(f"cannot write {destination}: {error.strerror}") from error
    return digest


def has(destination: Path, digest: str) -> bool:
    """Whether a file is there with that SHA-256."""
    try:
        with destination.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == digest
    except OSError:
        return False
