"""Which host keys are known: files in the format of OpenSSH (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).

paramiko can read such a file too, but takes time that grows with the square of its lines, knows no patterns and no
revoked keys, and stops at a damaged line.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from paramiko import HostKeys, PKey, SSHException
from paramiko.hostkeys import HostKeyEntry, InvalidHostKey

_SPECIAL = frozenset("|*?!")
SYSTEM_FILES = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKeys:
    """What the files say of one host: its keys, and keys that it must never have."""

    trusted: tuple[PKey, ...]
    revoked: tuple[PKey, ...]


def known_keys(name: str, files: Iterable[Path]) -> KnownKeys:
    """The keys of a host.

    Args:
        name: As it stands in the files: the address, `[address]:port` unless the port is 22.
        files: Where to look; a missing one is empty.

    Raises:
        OSError: a file is there and cannot be read.
    """
    name = name.lower()
    trusted: list[PKey] = []
    revoked: list[PKey] = []
    for file in files:
        if file.exists():
            stat = file.stat()
            lines = _lines(file, (stat.st_ino, stat.st_size, stat.st_mtime_ns))
            for line in (*lines.get(name, ()), *lines.get("", ())):
                _take(line.split(), name, trusted, revoked)
    return KnownKeys(trusted=tuple(trusted), revoked=tuple(revoked))


def known_name(address: str, port: int) -> str:
    """How a host is named in the files."""
    return address if port == 22 else f"[{address}]:{port}"


@lru_cache(8)
def _lines(file: Path, state: tuple[int, int, int]) -> Mapping[str, Sequence[str]]:  # noqa: ARG001 - another state is another file
    """A file's lines by the names that they are about, those with hashes and patterns under the empty one.

    Kept, since files have thousands of lines, and every one of thousands of hosts looks into them.
    """
    found: dict[str, list[str]] = {}
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.lower().split(maxsplit=2)
        field = words[1] if len(words) > 1 and words[0].startswith("@") else (words or ("#",))[0]
        for name in {""} if _SPECIAL.intersection(field) else set(field.split(",")):
            found.setdefault(name, []).append(line)
    return found


def _take(words: list[str], name: str, trusted: list[PKey], revoked: list[PKey]) -> None:
    target = trusted
    if words and words[0].startswith("@"):
        if words[0] != "@revoked":
            return  # @cert-authority: paramiko does not check host certificates
        target, words = revoked, words[1:]
    if len(words) < 3 or words[0].startswith("#") or not _names(words[0], name):
        return
    try:
        entry = HostKeyEntry.from_line(" ".join(("host", *words[1:3])))
    except (InvalidHostKey, SSHException):
        return  # as ssh does: a damaged line is no key
    if entry is not None and entry.key is not None:
        target.append(entry.key)


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
