"""Artifacts of `deploy_app` on the control machine: checked member by member, and repacked for the target.

What is sent is never the archive that was given but one written here, as GNU tar, from members that were checked: so
that the target's tar cannot read it differently from us. Owners are left out, and of modes all but the permissions.
"""

import gzip
import hashlib
import json
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from calendar import timegm
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MARKER = ".opsflow-release"
"""File in a release by which the target knows it; an artifact may not bring one."""
_MOST_MEMBERS = 1_000_000
_LONGEST_PATH = 4096
_BLOCK = 1024 * 1024
_BROKEN = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError)


class BadArtifact(Exception):
    """The artifact cannot be read, or is not safe to unpack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file, directory or symbolic link (`target` is set) of an artifact. `open` gives a file's content."""

    name: str
    mode: int
    size: int = 0
    mtime: float = 0.0
    directory: bool = False
    target: str | None = None
    open: Callable[[], IO[bytes]] | None = None


def digest(path: Path, limit: int) -> str:
    """SHA-256 of an artifact, after a check of all its members: of a file's bytes, or of what a directory holds.

    A directory's does not depend on times and owners.

    Args:
        path: A file or directory.
        limit: Bytes that it may take when unpacked.

    Raises:
        BadArtifact: it cannot be read or is not safe.
    """
    try:
        with ExitStack() as stack:
            members = checked(_members(path, stack), limit)
            if path.is_dir():
                return _digest_of_members(members)
            for _ in members:
                pass
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except _BROKEN as error:
        raise BadArtifact(f"{path}: {error}") from error


def repack(path: Path, target: Path, limit: int) -> None:
    """Write an artifact as a `.tar.gz` that any tar unpacks safely. Raises `BadArtifact`."""
    try:
        with (
            ExitStack() as stack,
            # Neither time nor name in it: packed again after an interruption, it is the same.
            target.open("wb") as raw,
            gzip.GzipFile("", "wb", 1, raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|", format=tarfile.GNU_FORMAT) as tar,
        ):
            for member in checked(_members(path, stack), limit):
                _add(tar, member)
    except _BROKEN as error:
        raise BadArtifact(f"{path}: {error}") from error


def checked(members: Iterable[Member], limit: int) -> Iterator[Member]:
    """The members with their names made plain, while they are safe.

    Links may point to what is inside, and nothing lies behind a link: a `..` is only taken where it begins the
    target, from a directory that is certainly a real one, so that no chain of links leads out.

    Raises:
        BadArtifact: a member is not safe, or all of them together are too large.
    """
    links: dict[str, bool] = {}  # every name met, parents too: whether something else than a directory
    total = 0
    for member in members:
        name = _plain(member.name)
        if not name:
            continue
        parents = ["/".join(name.split("/")[:n]) for n in range(1, name.count("/") + 1)]
        if any(links.get(parent) for parent in parents):
            raise BadArtifact(f"member {member.name!r} lies behind a link or a file")
        if name in links and (links[name] or not member.directory):
            raise BadArtifact(f"member {member.name!r} is there twice")
        if member.target is not None:
            _check_link(name, member.target)
        total += member.size
        if total > limit or len(links) > _MOST_MEMBERS:
            raise BadArtifact(f"it would take more than {limit} bytes or {_MOST_MEMBERS} files (see `max_size`)")
        links.update(dict.fromkeys(parents, False))
        links[name] = not member.directory
        mode = member.mode & 0o777 | (0o700 if member.directory else 0o400)
        yield replace(member, name=name, mode=mode)


def _plain(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise BadArtifact(f"member {name!r} would be unpacked outside of the release")
    plain = "/".join(part for part in name.split("/") if part not in {"", "."})
    if plain == MARKER:
        raise BadArtifact(f"member {name!r} has a name that opsflow uses")
    return plain


def _check_link(name: str, target: str) -> None:
    parts = [part for part in target.split("/") if part not in {"", "."}]
    ups = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    if not target or target.startswith("/") or ".." in parts[ups:] or ups > name.count("/"):
        raise BadArtifact(f"link {name!r} points to {target!r}, outside of the release or by a way that may lead there")


def _members(path: Path, stack: ExitStack) -> Iterator[Member]:
    if path.is_dir():
        return _of_directory(path)
    if path.name.endswith(TAR):
        return _of_tar(stack.enter_context(tarfile.open(path, "r:*")))
    if path.name.endswith(".zip"):
        return _of_zip(stack.enter_context(zipfile.ZipFile(path)))
    return iter([_of_file(path, path.name)])


def _of_file(path: Path, name: str) -> Member:
    found = path.lstat()
    member = Member(name=name, mode=found.st_mode, mtime=found.st_mtime)
    if stat.S_ISLNK(found.st_mode):
        return replace(member, target=str(path.readlink()))
    if stat.S_ISDIR(found.st_mode):
        return replace(member, directory=True)
    if not stat.S_ISREG(found.st_mode):
        raise BadArtifact(f"{path} is neither a file, nor a directory, nor a link")
    return replace(member, size=found.st_size, open=lambda: path.open("rb"))


def _of_directory(path: Path, prefix: str = "") -> Iterator[Member]:
    for child in sorted(path.iterdir()):
        member = _of_file(child, prefix + child.name)
        yield member
        if member.directory:
            yield from _of_directory(child, f"{member.name}/")


def _of_tar(tar: tarfile.TarFile) -> Iterator[Member]:
    for info in tar:
        member = Member(name=info.name, mode=info.mode, mtime=float(info.mtime))
        if info.isdir():
            yield replace(member, directory=True)
        elif info.issym():
            yield replace(member, target=info.linkname)
        elif info.isreg() or info.islnk():
            content = _content(tar, info)
            yield replace(member, size=content.size, open=partial(_open, tar, content))
        else:
            raise BadArtifact(f"member {info.name!r} is a device or something else that is not unpacked")


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> tarfile.TarInfo:
    """The member with the content: a hard link's is that of a file before it."""
    if not info.islnk():
        return info
    original = next((m for m in tar.getmembers() if m.name == info.linkname and m.isreg()), None)
    if original is None:
        raise BadArtifact(f"hard link {info.name!r} points to {info.linkname!r}, which is no file of the archive")
    return original


def _open(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = tar.extractfile(info)
    assert stream
    return stream


def _of_zip(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        mode = info.external_attr >> 16  # as Unix programs pack it; 0: another system did
        member = Member(name=info.filename, mode=mode or 0o755, mtime=timegm((*info.date_time, 0, 0, 0)))
        if info.is_dir():
            yield replace(member, directory=True)
        elif stat.S_ISLNK(mode) and info.file_size <= _LONGEST_PATH:
            yield replace(member, target=os.fsdecode(archive.read(info)))
        elif stat.S_IFMT(mode) in {0, stat.S_IFREG}:
            yield replace(member, mode=mode or 0o644, size=info.file_size, open=partial(archive.open, info))
        else:
            raise BadArtifact(f"member {info.filename!r} is a device or something else that is not unpacked")


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


def _digest_of_members(members: Iterable[Member]) -> str:
    whole = hashlib.sha256()
    for m in members:
        content = _content_digest(m.open()) if m.open else None
        line = json.dumps([os.fsencode(m.name).hex(), m.mode, m.directory, m.target, m.size, content])
        whole.update(line.encode() + b"\n")
    return whole.hexdigest()


def _content_digest(stream: IO[bytes]) -> str:
    with stream:
        found = hashlib.sha256()
        while block := stream.read(_BLOCK):
            found.update(block)
        return found.hexdigest()
