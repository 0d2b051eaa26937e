"""Options of the `ssh` command in an inventory (`ansible_ssh_common_args` and the like), as connection keys."""

import getopt
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_LETTERS = {"J": "ProxyJump", "i": "IdentityFile", "p": "Port", "l": "User"}
"""Options that are short for another one."""
_FLAGS = "46CqTvxa"
"""Options without a value that change nothing here."""
_KEYS = {
    "userknownhostsfile": "known_hosts",
    "connecttimeout": "connect_timeout",
    "serveraliveinterval": "keepalive",
    "port": "port",
    "user": "user",
    "identityfile": "key_file",
}
_WITHOUT_EFFECT = frozenset(
    {
        "batchmode",
        "compression",
        "controlmaster",
        "controlpath",
        "controlpersist",
        "identitiesonly",
        "kbdinteractiveauthentication",
        "loglevel",
        "passwordauthentication",
        "preferredauthentications",
        "pubkeyauthentication",
        "serveralivecountmax",
        "stricthostkeychecking",
        "tcpkeepalive",
    }
)
"""What changes neither where a connection leads nor what it is good for here."""
_SETTING = re.compile(r"\s*(\w*)\s*=?\s*(.*)", re.DOTALL)
_STRICT = frozenset({"yes", "ask", "accept-new", "true", "on"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Heeded:
    """One option.

    Attributes:
        key: The connection key that it is; empty: none.
        value: Its value.
        ignored: Why it is not heeded; empty: it is, or makes no difference.
        astray: It changes where the connection leads, and is not understood: the host cannot be reached without it.
    """

    key: str = ""
    value: Any = None
    ignored: str = ""
    astray: bool = False


def heeded(arguments: str) -> Iterator[Heeded]:
    """What each option comes to.

    Raises:
        ValueError: a quote is not closed.
    """
    words = iter(shlex.split(arguments))
    for word in words:
        letter, rest = word[1:2], word[2:]
        if not word.startswith("-"):
            yield Heeded(ignored=f"`{word}` is not heeded")
        elif set(word[1:]) <= set(_FLAGS):
            continue
        elif letter == "o" or letter in _LETTERS:
            value = rest or next(words, "")
            if letter == "o":
                name, value = _SETTING.fullmatch(value).groups()  # type: ignore[union-attr]  # it takes anything
            else:
                name = _LETTERS[letter]
            yield _option(name, value)
        else:
            yield Heeded(ignored=f"`{word}` is not heeded")


def _option(name: str, value: str) -> Heeded:
    lower = name.lower()
    match lower:
        case "proxycommand" | "proxyjump":
            through = value.split(",") if lower == "proxyjump" else [_through(value)]
            known = all(through)
            return (
                Heeded(key="jump", value=through) if known else Heeded(ignored=f"{name} is not understood", astray=True)
            )
        case "stricthostkeychecking" if value.lower() not in _STRICT:
            return Heeded(ignored="host keys are always checked")
        case "userknownhostsfile" if value == "/dev/null":
            return Heeded(ignored="host keys are always checked, against known_hosts")
    if lower in _KEYS:
        return Heeded(key=_KEYS[lower], value=value)
    heeded = "" if lower in _WITHOUT_EFFECT else f"`-o {name}` is not heeded"
    return Heeded(ignored=heeded, astray=lower == "hostname")


def _through(command: str) -> str:
    """The machine that a ProxyCommand passes through, if it is `ssh -W %h:%p` or `none`; else nothing."""
    if command.lower() == "none":
        return "none"
    try:
        program, *words = shlex.split(command) or [""]
        options, machines = getopt.gnu_getopt(words, f"W:p:l:{_FLAGS}")
    except (ValueError, getopt.GetoptError):
        return ""
    given = dict(options)
    if program.rpartition("/")[2] != "ssh" or given.get("-W") not in {"%h:%p", "[%h]:%p"} or len(machines) != 1:
        return ""
    user, port = given.get("-l", ""), given.get("-p", "")
    return f"{user and f'{user}@'}{machines[0]}{port and f':{port}'}"
