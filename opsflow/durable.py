"""Files of the control machine that are there whole and for good, or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A stream whose content takes the place of a file, for its owner only, once the block has ended well.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".opsflow-", delete=False) as stream:  # mode 0600
        try:
            yield cast("BinaryIO", stream)
            stream.flush()
            os.fsync(stream.fileno())
            Path(stream.name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(stream.name).unlink()
            raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make durable which files are in a directory. Raises `OSError`."""
    opened = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
