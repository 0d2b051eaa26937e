"""What `deploy_app` sends: never the archive that was given, but one written here, of members that were checked.

It is GNU tar, so that the target's tar cannot read it differently from us. Owners are left out, and of modes all but
the permissions.
"""

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from opsflow_tasks._archive import BROKEN, MARKER, BadArtifact, Member, checked, members

MANIFEST = f"{MARKER}.files"
"""File in a release that says what its files were when it was unpacked."""
_BLOCK = 16 * 1024  # what is read of an archive at a time is bounded
_LISTED = re.compile(r"[^\x00-\x1f\x7f\\]+")
"""Names that stand on a line as they are. Files with others are sent each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """An artifact as it was read.

    Attributes:
        sha256: Of a file's bytes, or of what a directory holds, times and owners left out.
        count, size: How many files it has, and how many bytes they take when they are unpacked.
        files: The names in the manifest, in its order.
        manifest: `SHA256 MODE NAME` a line, of the files of which nothing but these counts.
    """

    sha256: str
    count: int = 0
    size: int = 0
    files: tuple[str, ...] = ()
    manifest: bytes = b""

    @classmethod
    def of(cls, path: Path, limit: int) -> "Measured":
        """Read an artifact, and check all its members.

        Args:
            path: A file or directory.
            limit: Bytes that it may take when unpacked.

        Raises:
            BadArtifact: it cannot be read or is not safe.
        """
        whole, count, size, files, lines = hashlib.sha256(), 0, 0, [], []
        try:
            with ExitStack() as stack:
                for m in checked(members(path, stack), limit):
                    content = _digest(m.open()) if m.open else None
                    line = json.dumps([os.fsencode(m.name).hex(), m.mode, m.directory, m.target, m.size, content])
                    whole.update(line.encode() + b"\n")
                    count += content is not None
                    size += m.size
                    if content and _LISTED.fullmatch(m.name):
                        files.append(m.name)
                        lines.append(b"%s %04o %s\n" % (content.encode(), m.mode, os.fsencode(m.name)))
            sha256 = whole.hexdigest() if path.is_dir() else _digest(path.open("rb"))
        except BROKEN as error:
            raise BadArtifact(f"{path}: {getattr(error, 'strerror', None) or error}") from error
        return cls(sha256=sha256, count=count, size=size, files=tuple(files), manifest=b"".join(lines))

    def at(self, lines: str) -> frozenset[str]:
        """Names of files by the numbers of their lines in the manifest, from 1: `2,5-9`."""
        found: set[str] = set()
        for span in filter(None, lines.split(",")):
            first, _, last = span.partition("-")
            found.update(self.files[int(first) - 1 : int(last or first)])
        return frozenset(found)


def pack(path: Path, target: Path, limit: int, *, manifest: bytes | None, without: Collection[str] = ()) -> None:
    """Write an artifact as a `.tar.gz` that any tar unpacks safely.

    Args:
        path: The artifact.
        target: What is written.
        limit: Bytes that it may take when unpacked.
        manifest: Is put into it, too; None: the host has it.
        without: Files that need not be in it.

    Raises:
        BadArtifact: it cannot be read or is not safe.
    """
    try:
        with (
            ExitStack() as stack,
            # Neither time nor name in it: packed again after an interruption, it is the same.
            target.open("wb") as raw,
            gzip.GzipFile("", "wb", 1, raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as tar,
        ):
            for member in checked(members(path, stack), limit):
                if member.name not in without or member.open is None:
                    _add(tar, member)
            if manifest is not None:
                opener = partial(io.BytesIO, manifest)
                _add(tar, Member(name=MANIFEST, mode=0o600, size=len(manifest), open=opener))
    except BROKEN as error:
        raise BadArtifact(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def _add(tar: tarfile.TarFile, member: Member) -> None:
    info = tarfile.TarInfo(member.name)
    info.mode, info.mtime = member.mode, int(member.mtime)
    if member.directory:
        info.type = tarfile.DIRTYPE
    elif member.target is not None:
        info.type, info.linkname = tarfile.SYMTYPE, member.target
    if member.open is None:
        tar.addfile(info)
        return
    info.size = member.size
    with member.open() as stream:
        tar.addfile(info, stream)


def _digest(stream: IO[bytes]) -> str:
    with stream:
        found = hashlib.sha256()
        while block := stream.read(_BLOCK):
            found.update(block)
        return found.hexdigest()
