"""Ansible's connection variables (`ansible_host`, `ansible_port`, ...) as opsflow's connection keys.

https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html#connecting-to-hosts-behavioral-inventory-parameters
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opsflow.inventory.checks import secret_named
from opsflow.inventory.sshargs import heeded
from opsflow.model import split_address
from opsflow.units import parse_duration

SECRET = frozenset(
    {
        "ansible_become_pass",
        "ansible_become_password",
        "ansible_password",
        "ansible_private_key_passphrase",
        "ansible_ssh_pass",
        "ansible_ssh_password",
        "ansible_ssh_private_key_passphrase",
        "ansible_su_pass",
        "ansible_sudo_pass",
    }
)
"""Variables whose values are kept from everybody: they are no variables of the host."""

_LOOKUP = re.compile(
    r"""\s*\{\{\s*(?:lookup|query)\(\s*(['"])(?:ansible\.builtin\.)?(?P<kind>env|file)\1\s*,"""
    r"""\s*(['"])(?P<name>[^'"]+)\3\s*\)\s*\}\}\s*"""
)
_TRANSPORTS = {"ssh": "ssh", "smart": "ssh", "paramiko": "ssh", "paramiko_ssh": "ssh", "local": "local"}


class Unfit(ValueError):
    """A value that a connection key cannot have. `hint`: what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a variable comes to.

    Attributes:
        variable: Its name.
        key: The connection key; empty: none.
        value: Its value.
        notice: Why it is not heeded, or not all of it; empty: it is.
        hint: What to do then.
        astray: Without heeding it the connection would lead elsewhere.
    """

    variable: str
    key: str = ""
    value: Any = None
    notice: str = ""
    hint: str = ""
    astray: bool = False


def read_variable(variable: str, value: Any) -> list[Read]:
    """What a connection variable, one of `VARIABLES`, comes to.

    Raises:
        Unfit: it cannot have that value.
    """
    return list(_READERS[variable](variable, value))


def _text(key: str) -> Callable[[str, Any], Iterator[Read]]:
    def read(variable: str, value: Any) -> Iterator[Read]:
        if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip():
            raise Unfit(f"`{variable}` must be text")
        yield Read(variable=variable, key=key, value=str(value).strip())

    return read


def _port(variable: str, value: Any) -> Iterator[Read]:
    number = int(value) if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value) else value
    if not isinstance(number, int) or isinstance(number, bool) or not 0 < number < 65536:
        raise Unfit(f"`{variable}` must be a number from 1 to 65535")
    yield Read(variable=variable, key="port", value=number)


def _seconds(key: str) -> Callable[[str, Any], Iterator[Read]]:
    def read(variable: str, value: Any) -> Iterator[Read]:
        text = str(value).strip()
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not float(text):
            raise Unfit(f"`{variable}` must be a number of seconds")
        yield Read(variable=variable, key=key, value=float(text))

    return read


def _transport(variable: str, value: Any) -> Iterator[Read]:
    name = str(value).removeprefix("ansible.builtin.").removeprefix("ansible.netcommon.")
    if name in _TRANSPORTS:
        yield Read(variable=variable, key="transport", value=_TRANSPORTS[name])
    else:
        notice = f"`{variable}` is {value!r}: there are the connections ssh and local"
        hint = "its hosts can be listed, not worked on"
        yield Read(variable=variable, notice=notice, hint=hint, astray=True)


def _reference(key: str, what: str) -> Callable[[str, Any], Iterator[Read]]:
    def read(variable: str, value: Any) -> Iterator[Read]:
        found = _LOOKUP.fullmatch(value) if isinstance(value, str) else None
        name = secret_named(value) or (f"{found['kind']}:{found['name']}" if found else "")
        if name:
            yield Read(variable=variable, key=key, value=f"{{{{ secret('{name}') }}}}")
        else:
            notice = f"`{variable}` is not heeded: {what} is a reference to a secret, never in an inventory itself"
            yield Read(variable=variable, notice=notice, hint="write \"{{ secret('env:NAME') }}\"")

    return read


def _unused(why: str, hint: str = "") -> Callable[[str, Any], Iterator[Read]]:
    def read(variable: str, value: Any) -> Iterator[Read]:  # noqa: ARG001 - a reader's
        yield Read(variable=variable, notice=f"`{variable}` is not heeded: {why}", hint=hint)

    return read


def _arguments(variable: str, value: Any) -> Iterator[Read]:
    if not isinstance(value, str):
        raise Unfit(f"`{variable}` must be text")
    try:
        options = list(heeded(value))
    except ValueError:
        raise Unfit(f"`{variable}`: a quote is not closed") from None
    for option in options:
        if option.ignored:
            yield Read(variable=variable, notice=f"in `{variable}`: {option.ignored}", astray=option.astray)
        elif option.key:
            yield _argument(variable, option.key, option.value)


def _argument(variable: str, key: str, value: Any) -> Read:
    try:
        match key:
            case "port":
                return next(_port(variable, value))
            case "connect_timeout" | "keepalive":
                return Read(variable=variable, key=key, value=parse_duration(f"{value}s"))
            case "jump":
                for hop in value:
                    split_address(hop)
        return Read(variable=variable, key=key, value=value)
    except ValueError as error:
        raise Unfit(f"`{variable}`: {error}") from None


def _become(variable: str, value: Any) -> Iterator[Read]:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    word = str(value).strip().lower()
    if word not in words:
        raise Unfit(f"`{variable}` must be true or false")
    yield Read(variable=variable, key="become", value=words[word])


def _method(variable: str, value: Any) -> Iterator[Read]:
    if str(value) not in {"sudo", "ansible.builtin.sudo"}:
        yield Read(variable=variable, notice=f"`{variable}` is {value!r}: other users' work is done by sudo")


_KEYS_ONLY = _unused("hosts let opsflow in by keys, not by passwords", "use a key: ansible_ssh_private_key_file")

_READERS: Mapping[str, Callable[[str, Any], Iterator[Read]]] = {
    "ansible_host": _text("address"),
    "ansible_ssh_host": _text("address"),
    "ansible_port": _port,
    "ansible_ssh_port": _port,
    "ansible_user": _text("user"),
    "ansible_ssh_user": _text("user"),
    "ansible_private_key_file": _text("key_file"),
    "ansible_ssh_private_key_file": _text("key_file"),
    "ansible_timeout": _seconds("connect_timeout"),
    "ansible_ssh_timeout": _seconds("connect_timeout"),
    "ansible_ssh_args": _arguments,
    "ansible_ssh_common_args": _arguments,
    "ansible_ssh_extra_args": _arguments,
    "ansible_connection": _transport,
    "ansible_sudo_pass": _reference("become_password", "the password of sudo"),
    "ansible_become_pass": _reference("become_password", "the password of sudo"),
    "ansible_become_password": _reference("become_password", "the password of sudo"),
    "ansible_private_key_passphrase": _reference("key_passphrase", "a passphrase"),
    "ansible_ssh_private_key_passphrase": _reference("key_passphrase", "a passphrase"),
    "ansible_password": _KEYS_ONLY,
    "ansible_ssh_pass": _KEYS_ONLY,
    "ansible_ssh_password": _KEYS_ONLY,
    "ansible_become": _become,
    "ansible_become_user": _text("become_user"),
    "ansible_become_method": _method,
    "ansible_become_exe": _unused("it is `sudo`"),
    "ansible_become_flags": _unused("sudo has the options that opsflow gives it"),
    "ansible_shell_executable": _unused("commands run in the host's `sh`"),
    "ansible_ssh_executable": _unused("opsflow is an ssh client of its own"),
}

VARIABLES: Sequence[str] = tuple(_READERS)
"""All connection variables that are known; of two for one key the later wins, as in Ansible."""
