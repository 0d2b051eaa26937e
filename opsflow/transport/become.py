"""Other users of a host, reached by `sudo` over the connection that is there already.

What runs under sudo is the whole shell that a transport starts, so that who supervises a command may end it, too. The
password is only ever an answer: `sudo -S` asks for it with a prompt that nobody else says, and what is started says
that it has begun before anything is sent to it. Where no password is wanted, none is sent: a shell would take it for a
command. Neither prompt nor mark stands in the command line as it is said, so that a login shell may print that line.
"""

import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from opsflow.errors import AuthenticationFailed, Interrupted, OpsflowError, TaskFailed, Unreachable
from opsflow.model import Host
from opsflow.transport.process import Process
from opsflow.transport.scripts import ARGUMENTS
from opsflow.transport.shell import ShellTransport

_PATIENCE = 60.0
"""Seconds that sudo may take to ask, and then to answer: it may have to ask a directory service."""
_PAUSE = 1.0
_LONGEST = 255
"""Bytes of a password that every sudo reads; the rest would be left for the shell."""
_KEPT = 64 * 1024

# $1 user, $2 prompt, or empty: there is no password; then what to start. Who logged in as the user needs no sudo.
_SWITCH = (
    'u=$1 p=$2; shift 2; if [ "$(id -un)" = "$u" ]; then exec "$@"; fi; '
    'if [ "$p" ]; then exec sudo -H -S -p "$p" -u "$u" -- "$@"; fi; exec sudo -H -n -u "$u" -- "$@"'
)
# $0 nonce, then the command. On both streams, so that what was said before can be told from what comes.
_BEGIN = 'cd 2>/dev/null || cd /; echo "$0."; echo "$0." >&2; exec "$@"'


class Password:
    """What sudo is answered on one host. A wrong one is tried once, whoever else waits for the host.

    Args:
        value: The password; empty: there is none.
    """

    def __init__(self, value: str = "") -> None:
        self.value = value
        self._first = threading.Lock()
        self._refused: OpsflowError | None = None

    @contextmanager
    def trying(self, *, known: bool) -> Iterator[None]:
        """Around a try: one at a time as long as it is not known that sudo lets this login through.

        Raises:
            AuthenticationFailed: it was refused before.
        """
        if not known:
            self._first.acquire()
        try:
            if self._refused:
                raise AuthenticationFailed(self._refused.message, hint=self._refused.hint)
            yield
        finally:
            if not known:
                self._first.release()

    def refuse(self, why: OpsflowError) -> None:
        """Never try it again: accounts are locked after a few wrong ones."""
        self._refused = why


class Passwords:
    """The passwords and passphrases of all hosts of a run, each fetched once. For any number of threads.

    Args:
        fetch: The value of a reference such as `env:NAME`.
        asked: What the operator typed, for hosts whose inventory names none.
    """

    def __init__(self, fetch: Callable[[str], str], asked: str = "") -> None:
        self._fetch = fetch
        self._asked = asked
        self._lock = threading.Lock()
        self._fetched: dict[str, str] = {}
        self._of_host: dict[str, Password] = {}

    def of(self, host: Host) -> Password:
        """The password of a host.

        Raises:
            TaskFailed: there is no such secret, or it cannot be a password.
        """
        with self._lock:
            if host.name not in self._of_host:
                self._of_host[host.name] = Password(self._value(host.connection.become_password))
            return self._of_host[host.name]

    def passphrase(self, host: Host) -> str:
        """What unlocks the key files of a host; empty: nothing is said. Raises `TaskFailed`: it is not there."""
        reference = host.connection.key_passphrase
        with self._lock:
            return self._secret(reference) if reference else ""

    def values(self) -> Sequence[str]:
        """What no output may show."""
        with self._lock:
            return [value for value in (self._asked, *self._fetched.values()) if value]

    def _value(self, reference: str) -> str:
        if not reference:
            return _checked(self._asked, "the one that was typed")
        return _checked(self._secret(reference), reference)

    def _secret(self, reference: str) -> str:
        if reference not in self._fetched:
            self._fetched[reference] = self._fetch(reference)
        return self._fetched[reference]


class BecomeTransport(ShellTransport):
    """A host as another user sees it, with records of its own below that user's home directory.

    Args:
        login: The host as it is logged in to; its connection is shared.
        user: Who to become.
        password: For sudo.
    """

    def __init__(self, login: ShellTransport, user: str, password: Password) -> None:
        super().__init__()
        self.shared = login.shared
        self.patience = login.patience
        self.where = f"{login.where} as {user}"
        self._login = login
        self._user = user
        self._password = password
        self._known = False
        self._reaching = threading.Lock()

    @property
    def spare(self) -> bool:
        """Whether there is room on the connection. See `ShellTransport.spare`."""
        return self._login.spare

    @property
    def host_key(self) -> str:
        """The key of the host. See `ShellTransport.host_key`."""
        return self._login.host_key

    def start(self, arguments: Sequence[str] = ARGUMENTS, *, lasting: bool = False) -> Process:
        """Start a fixed command as the user. See `ShellTransport.start`.

        Raises:
            AuthenticationFailed: sudo does not let us.
        """
        nonce = secrets.token_hex(12)
        prompt = f"[{nonce}%%]" if self._password.value else ""  # sudo makes one of two
        begin = ("sh", "-c", _BEGIN, nonce, *arguments)
        with self._password.trying(known=self._known):
            command = ("sh", "-c", _SWITCH, "sh", self._user, prompt, *begin)
            process = self._login.start(command, lasting=lasting)
            self.where = f"{self._login.where} as {self._user}"
            try:
                self._pass(_Talk(process, nonce))
            except Interrupted as error:
                process.close()
                raise Unreachable(error.reason) from error
            except BaseException:
                process.close()
                raise
            self._known = True
        return process

    def reach(self) -> None:
        """Connect, and see whether sudo lets us. See `ports.Transport.reach`."""
        self._login.reach()
        with self._reaching:
            if not self._known:
                self.start().close()

    def _pass(self, talk: "_Talk") -> None:
        """Get past sudo."""
        heard = talk.listen()
        asked = heard == "asks"
        if asked:
            talk.answer(self._password.value)
            heard = talk.listen()
        if heard == "begins":
            return
        failed: Unreachable = refusal(talk.said, self.where, self._user, refused=asked)
        if heard == "silence":
            failed = Unreachable(
                f"cannot work on {self.where}: sudo did not answer within {_PATIENCE:g} s{_last(talk.said)}",
                hint="it may ask in a way of its own: sudoers has to leave passprompt_override as it is",
            )
        if asked:
            self._password.refuse(failed)
        raise failed


class _Talk:
    """What sudo says, as far as it is wanted. Everything before the command has begun is dropped."""

    def __init__(self, process: Process, nonce: str) -> None:
        self._process = process
        self._mark = f"{nonce}.\n".encode()
        self._prompt = f"[{nonce}%]".encode()
        self._heard = {"stdout": bytearray(), "stderr": bytearray()}
        self._open = set(self._heard)
        self._answered = 0

    @property
    def said(self) -> str:
        """Its messages."""
        return self._heard["stderr"].replace(self._prompt, b"\n").decode("utf-8", "replace").strip()

    def listen(self) -> str:
        """What comes next: it `asks`, the command `begins`, it `ends` before that, or there is `silence`."""
        limit = time.monotonic() + _PATIENCE
        while True:
            status = self._process.status()  # asked before reading: what was said before the end is then there
            for stream in tuple(self._open):
                while data := self._process.read(stream):
                    self._heard[stream] = (self._heard[stream] + data)[-_KEPT:]
                if data == b"":
                    self._open.discard(stream)
            if all(self._mark in heard for heard in self._heard.values()):
                return "begins"
            if self._heard["stderr"].count(self._prompt) > self._answered:
                return "asks"
            if status is not None or not self._open:
                return "ends"
            if time.monotonic() > limit:
                return "silence"
            self._process.wait(_PAUSE)

    def answer(self, password: str) -> None:
        """Say it, once."""
        self._answered += 1
        left = password.encode() + b"\n"
        while left and (taken := self._process.write(left)) is not None:
            left = left[taken:]
            self._process.wait(0.0 if taken else _PAUSE)


def refusal(said: str, where: str, user: str, *, refused: bool = False) -> AuthenticationFailed:
    """What sudo's refusal means.

    Args:
        said: Its words; those of other languages are passed on as they are.
        where: How messages name the host.
        user: Who was to be become.
        refused: Whether it was given a password.
    """
    for pattern, meaning, hint in _MEANINGS:
        if re.search(pattern, said):
            return AuthenticationFailed(f"cannot work on {where}: {meaning.format(user=user)}", hint=hint)
    if refused:
        hint = "nothing was tried twice; check the password, then resume"
        return AuthenticationFailed(f"cannot work on {where}: sudo does not accept the password", hint=hint)
    return AuthenticationFailed(f"cannot work on {where}: sudo does not permit it{_last(said)}", hint=_GIVE_ONE)


def _last(said: str) -> str:
    lines = said.splitlines()
    return f": {lines[-1]}" if lines else ""


def _checked(value: str, what: str) -> str:
    if any(character in value for character in "\r\n\0") or len(value.encode()) > _LONGEST:
        raise TaskFailed(f"the password for sudo, {what}, has several lines or more than {_LONGEST} bytes")
    return value


_GIVE_ONE = (
    "say -K (--ask-become-pass), name it in the inventory (become_password), or permit it without one (NOPASSWD)"
)
_MEANINGS = (
    (r"a password is required", "sudo asks for a password, and there is none", _GIVE_ONE),
    (
        r"not in the sudoers file|is not allowed to|may not run sudo",
        "sudo does not permit the login user to become {user}",
        "permit it on the host, with a file made by: visudo -f /etc/sudoers.d/opsflow",
    ),
    (r"unknown user", "there is no user {user}", "make the account, or name another one with `become`"),
    (r"must have a tty", "sudo wants a terminal", "take requiretty out of its sudoers for the login user"),
    (
        r"sudo: (command )?not found|sudo: No such file",
        "sudo is not installed",
        "install it, or log in as the user that the steps need",
    ),
)
