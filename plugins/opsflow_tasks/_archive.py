"""Artifacts of `deploy_app` on the control machine, read member by member, each of them checked.

Archives come from strangers. Of what is in them nothing is trusted: neither names, nor links, sizes, kinds and modes,
nor that headers are short.
"""

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from calendar import timegm
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal, cast

TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MARKER = ".opsflow-release"
"""How the names of files begin by which the target knows a release; an artifact may not bring such ones."""
BROKEN = (OSError, EOFError, ValueError, tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, RuntimeError)
"""What reading an artifact can raise that is damaged, or made to do damage."""
_MOST_MEMBERS = 1_000_000
_LONGEST_PATH = 4096
_LONGEST_HEADER = 16 * 1024  # `tarfile` searches headers in quadratic time
_COMPRESSIONS: Mapping[bytes, Callable[[Path, Literal["rb"]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
"""How files that begin so are unpacked."""


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


def checked(members: Iterable[Member], limit: int) -> Iterator[Member]:
    """The members with their names made plain, while they are safe.

    Links may point to what is inside, and nothing lies behind a link: a `..` is only taken where it begins the
    target, from a directory that is certainly a real one, so that no chain of links leads out.

    Raises:
        BadArtifact: a member is not safe, or all of them together are too large.
    """
    others: dict[str, bool] = {}  # every name met, parents too: whether something else than a directory
    total = 0
    for number, member in enumerate(members):
        if member.size < 0:
            raise BadArtifact(f"member {member.name!r} says that it has {member.size} bytes")
        total += member.size
        if total > limit or max(number, len(others)) > _MOST_MEMBERS:
            raise BadArtifact(f"it would take more than {limit} bytes or {_MOST_MEMBERS} files (see `max_size`)")
        name = _plain(member.name)
        if not name:
            continue
        parents = ["/".join(name.split("/")[:n]) for n in range(1, name.count("/") + 1)]
        if any(others.get(parent) for parent in parents):
            raise BadArtifact(f"member {member.name!r} lies behind a link or a file")
        if name in others and (others[name] or not member.directory):
            raise BadArtifact(f"member {member.name!r} is there twice")
        if member.target is not None:
            _check_link(name, member.target)
        others.update(dict.fromkeys(parents, False))
        others[name] = not member.directory
        mode = member.mode & 0o777 | (0o700 if member.directory else 0o400)
        yield replace(member, name=name, mode=mode)


def _plain(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise BadArtifact(f"member {name!r} would be unpacked outside of the release")
    plain = "/".join(part for part in name.split("/") if part not in {"", "."})
    if len(os.fsencode(plain)) > _LONGEST_PATH:
        raise BadArtifact(f"member {name[:60]!r}… has a name of more than {_LONGEST_PATH} bytes")
    if plain.startswith(MARKER):
        raise BadArtifact(f"member {name!r} has a name that opsflow uses")
    return plain


def _check_link(name: str, target: str) -> None:
    parts = [part for part in target.split("/") if part not in {"", "."}]
    ups = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    if not target or target.startswith("/") or ".." in parts[ups:] or ups > name.count("/") or "\0" in target:
        raise BadArtifact(f"link {name!r} points to {target!r}, outside of the release or by a way that may lead there")
    if len(os.fsencode(target)) > _LONGEST_PATH:
        raise BadArtifact(f"link {name!r} points to a name of more than {_LONGEST_PATH} bytes")


def members(path: Path, stack: ExitStack) -> Iterator[Member]:
    """What an artifact holds, unchecked; what is opened for it is closed with `stack`. Raises `BROKEN`."""
    if path.is_dir():
        return _of_directory(path)
    if path.name.endswith(TAR):
        stream = stack.enter_context(_uncompressed(path))
        bounded = cast("IO[bytes]", _Bounded(stream))
        return _of_tar(stack.enter_context(tarfile.open(fileobj=bounded, mode="r:", errors="surrogateescape")))
    if path.name.endswith(".zip"):
        return _of_zip(stack.enter_context(zipfile.ZipFile(path)))
    return iter([_of_file(path, path.name)])


def _uncompressed(path: Path) -> IO[bytes]:
    """A tar archive's own bytes, by what it is and not by what it is called."""
    with path.open("rb") as stream:
        begins = stream.read(6)
    return next((read for magic, read in _COMPRESSIONS.items() if begins.startswith(magic)), Path.open)(path, "rb")


class _Bounded:
    """A stream of which `tarfile` reads no more at a time than a header may take: it trusts what headers say.

    Args:
        stream: Where the archive is.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        """The next bytes. Raises `BadArtifact`."""
        if not 0 <= size <= _LONGEST_HEADER:
            raise BadArtifact(f"a header in it is longer than {_LONGEST_HEADER} bytes")
        return self._stream.read(size)


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
    files: dict[str, tarfile.TarInfo] = {}  # what hard links may be of
    for info in tar:
        member = Member(name=info.name, mode=info.mode, mtime=float(info.mtime))
        if info.isdir():
            yield replace(member, directory=True)
        elif info.issym():
            yield replace(member, target=info.linkname)
        elif info.islnk() and info.linkname not in files:
            raise BadArtifact(f"hard link {info.name!r} points to {info.linkname!r}, which is no file of the archive")
        elif info.isreg() or info.islnk():
            content = files[info.linkname] if info.islnk() else info
            files[info.name] = content
            yield replace(member, size=content.size, open=partial(_open, tar, content))
        else:
            raise BadArtifact(f"member {info.name!r} is a device or something else that is not unpacked")


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
