"""What the user's and the system's ssh_config say (ssh_config(5)).

paramiko reads the format, but leaves things out: `Include` is put in here, and what would change where a connection
leads or whom it trusts, and cannot be heeded, is refused rather than overlooked.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import paramiko

from opsflow.errors import Unreachable

_SYSTEM = Path("/etc/ssh/ssh_config")
_DEEPEST = 16
_ALL = frozenset({"", "host *", "match all"})
_CRITERIA = frozenset({"all", "canonical", "final", "host", "originalhost", "user", "localuser"})
_RAW = frozenset({"proxycommand", "remotecommand", "localcommand", "knownhostscommand"})
_OPTION = re.compile(r"(?P<key>\w+)(?:\s*=\s*|\s+)(?P<value>.+)")
_COMMENT = re.compile(r'\s#[^"]*$')
_TOKEN = re.compile(r"%\w")
_TOKENS_IN = ("hostname", "proxycommand", "proxyjump", "userknownhostsfile", "certificatefile", "identityfile")
_REFUSED = {
    "proxyusefdpass": ("yes", "give the host a ProxyCommand that passes data on, or a `jump`"),
    "revokedhostkeys": ("", "put these keys into known_hosts, in lines that begin with @revoked"),
}
_UNHEEDED = ("AddressFamily", "BindAddress", "BindInterface", "KnownHostsCommand", "PKCS11Provider")


def lookup(name: str, *, user: str | None, port: int | None) -> Mapping[str, Any]:
    """The options of a host, keys in lower case; `identityfile` is a list.

    Args:
        name: The host as it was asked for.
        user: Wins over the files, and is what `Match user` and `%r` see; None: not given.
        port: The same for the port.

    Raises:
        Unreachable: the files say something that cannot be done.
        paramiko.ConfigParseError: they cannot be read.
    """
    given = [f"Port {port}"] if port else []
    given += [f"User {user}"] if user else []
    lines = _expanded(Path("~/.ssh/config").expanduser()), _expanded(_SYSTEM)
    text = "\n".join(["Host *", *given, *lines[0], "Host *", *lines[1]])
    found: dict[str, Any] = _parsed(text).lookup(name)
    for key, (value, instead) in _REFUSED.items():
        if str(found.get(key, "no")).lower() not in {"no", "none"} and value in {"", str(found[key]).lower()}:
            raise Unreachable(f"cannot reach {name}: ssh_config has {key} for it, which is not supported", hint=instead)
    for key in _TOKENS_IN:
        left = _TOKEN.search(str(found.get(key) or "").replace("%%", ""))
        if left:
            raise Unreachable(f"cannot reach {name}: ssh_config has {left[0]} in {key}, which is not supported")
    return found


def unheeded(options: Mapping[str, Any]) -> list[str]:
    """Names of options that may be why a host cannot be reached: ssh would heed them."""
    return [key for key in _UNHEEDED if str(options.get(key.lower(), "none")).lower() not in {"none", "any"}]


@lru_cache(64)
def _parsed(text: str) -> paramiko.SSHConfig:
    return paramiko.SSHConfig.from_text(text)


def _expanded(file: Path) -> list[str]:
    """A file's lines with those of the files that it includes; none if there is no such file."""
    return list(_lines(file, file.parent, 0)) if file.is_file() else []


def _lines(file: Path, directory: Path, depth: int) -> Iterator[str]:
    block = ""
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        found = _OPTION.fullmatch(line.strip())
        key = found["key"].lower() if found else ""
        value = found["value"] if found else ""
        if not found or line.lstrip().startswith("#"):
            yield line
        elif key == "include":
            if depth == _DEEPEST:
                raise Unreachable(f"{file}:{number}: files include one another more than {_DEEPEST} deep")
            for path in _included(value, directory):
                inner = list(_lines(path, directory, depth + 1))
                if block not in _ALL and any(
                    line.split(maxsplit=1)[0].lower() in {"host", "match"} for line in inner if line
                ):
                    raise Unreachable(
                        f"{file}:{number}: {path} is included for some hosts only and tells hosts apart itself, "
                        "which is not supported",
                        hint="put the Include before the first Host or Match",
                    )
                yield from inner
            yield block or "Host *"
        else:
            if key in {"host", "match"}:
                value = _criteria(value, f"{file}:{number}") if key == "match" else _COMMENT.sub("", value)
                block = f"{key} {value}"
            yield f"{key} {value if key in _RAW else _COMMENT.sub('', value)}"


def _included(value: str, directory: Path) -> Iterator[Path]:
    for word in shlex.split(value, comments=True):
        pattern = directory / Path(word).expanduser()
        base = Path(pattern.anchor)
        yield from sorted(path for path in base.glob(str(pattern.relative_to(base))) if path.is_file())


def _criteria(value: str, place: str) -> str:
    """The criteria of a `Match`, their names in lower case: paramiko takes one that it does not know for fulfilled."""
    words = shlex.split(value, comments=True)
    found: list[str] = []
    while words:
        word = words.pop(0).lower()
        name = word.removeprefix("!")
        if name not in _CRITERIA:
            raise Unreachable(
                f"{place}: `Match {name}` is not supported, and without it hosts would be taken for others",
                hint="tell these hosts apart with `Host` or `Match host`, or set what they need in the inventory",
            )
        found.append(word)
        if name not in {"all", "canonical", "final"} and words:
            found.append(words.pop(0))
    return shlex.join(found)
