"""Which host keys are known: files in the format of OpenSSH (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

paramiko can read such a file too, but takes time that grows with the square of its lines, knows no patterns and no
revoked keys, and stops at a damaged line.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from paramiko import HostKeys, PKey, SSHException
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

from opsflow.durable import sync_directory

_SPECIAL = frozenset("|*?!")
_MARKS = {"@revoked": "revoked", "@cert-authority": "authorities"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKeys:
    """What the files say of one host: its keys, keys that it must never have, and who certifies its keys.

    Attributes:
        trusted, revoked: Keys.
        authorities: The lines, as `FILE:NUMBER`, that name a key which certifies the host's. Such certificates are not
            looked at: paramiko does not ask a server for them.
    """

    trusted: tuple[PKey, ...]
    revoked: tuple[PKey, ...]
    authorities: tuple[str, ...] = ()


def known_keys(name: str, files: Iterable[Path]) -> KnownKeys:
    """The keys of a host.

    Args:
        name: As it stands in the files: the address, `[address]:port` unless the port is 22.
        files: Where to look; a missing one is empty.

    Raises:
        OSError: a file is there and cannot be read.
    """
    name = name.lower()
    found: dict[str, list[PKey]] = {kind: [] for kind in ("trusted", *_MARKS.values())}
    authorities: list[str] = []
    for file in files:
        if file.exists():
            stat = file.stat()
            lines = _lines(file, (stat.st_ino, stat.st_size, stat.st_mtime_ns))
            for number, line in (*lines.get(name, ()), *lines.get("", ())):
                kind, key = _read(line.split(), name)
                if key is not None:
                    found[kind].append(key)
                    authorities += [f"{file}:{number}"] * (kind == "authorities")
    return KnownKeys(trusted=tuple(found["trusted"]), revoked=tuple(found["revoked"]), authorities=tuple(authorities))


def known_name(address: str, port: int) -> str:
    """How a host is named in the files."""
    return address if port == 22 else f"[{address}]:{port}"


@contextmanager
def appending(file: Path) -> Iterator[Callable[[str, PKey, bool], None]]:
    """Have a file to oneself; gives a function that appends a name and its key, durably, the name hashed or not.

    The file is made if it is missing. One that is no regular file (`/dev/null`) is left alone.

    Raises:
        OSError: it cannot be written.
    """
    if file.exists() and not file.is_file():
        yield lambda _name, _key, _hashed: None
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(file, "ab+", buffering=0, opener=_private) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)

        def append(name: str, key: PKey, hashed: bool) -> None:  # noqa: FBT001 - a callback's third
            line = f"{HostKeys.hash_host(name) if hashed else name} {key.get_name()} {key.get_base64()}\n".encode()
            if stream.seek(0, os.SEEK_END):
                stream.seek(-1, os.SEEK_END)
                line = line if stream.read(1) == b"\n" else b"\n" + line
            stream.write(line)
            os.fsync(stream)
            sync_directory(file.parent)

        yield append


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@lru_cache(8)
def _lines(file: Path, state: tuple[int, int, int]) -> Mapping[str, Sequence[tuple[int, str]]]:  # noqa: ARG001 - another state is another file
    """A file's lines, numbered, by the names that they are about, those with hashes and patterns under the empty one.

    Kept, since files have thousands of lines, and every one of thousands of hosts looks into them.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = line.lower().split(maxsplit=2)
        field = words[1] if len(words) > 1 and words[0].startswith("@") else (words or ("#",))[0]
        for name in {""} if _SPECIAL.intersection(field) else set(field.split(",")):
            found.setdefault(name, []).append((number, line))
    return found


def _read(words: list[str], name: str) -> tuple[str, PKey | None]:
    """What a line says of a host's key, and the key; None: it says nothing of it."""
    kind = "trusted"
    if words and words[0].startswith("@"):
        kind, words = _MARKS.get(words[0], ""), words[1:]
    if not kind or len(words) < 3 or words[0].startswith("#") or not _names(words[0], name):
        return kind, None
    try:
        entry = HostKeyEntry.from_line(" ".join(("host", *words[1:3])))
    except (InvalidHostKey, SSHException):
        return kind, None  # as ssh does: a damaged line is no key
    return kind, entry.key if entry is not None else None


def _names(field: str, name: str) -> bool:
    if field.startswith("|1|"):
        return HostKeys.hash_host(name, field) == field
    patterns = field.split(",")
    if any(p.startswith("!") and _matches(p[1:], name) for p in patterns):
        return False
    return any(_matches(p, name) for p in patterns if not p.startswith("!"))


def _matches(pattern: str, name: str) -> bool:
    # Brackets are part of a name with a port, not a set of characters.
    return fnmatchcase(name, pattern.lower().replace("[", "[[]"))
