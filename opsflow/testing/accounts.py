"""Throwaway accounts of this machine, and what `sudo` permits them: for tests that have to be somebody else."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from opsflow.testing.processes import kill

_RULES = Path("/etc/sudoers.d")
_BUSY = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account.

    Attributes:
        name: Its login name.
        password: Its password.
        home: Its home directory, which others cannot enter.
    """

    name: str
    password: str
    home: Path

    @property
    def uid(self) -> int:
        """Its number."""
        return pwd.getpwnam(self.name).pw_uid

    def processes(self) -> list[int]:
        """Ids of its processes, those that are dead and not yet reaped left out."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == self.uid and (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found


class Accounts:
    """Makes accounts, and takes them away again with all that they started. As root only.

    Attributes:
        directory: Below it are their homes; everybody may enter it.
        log: What `sudo` says that it did for them.
    """

    def __init__(self) -> None:
        self._made: list[Account] = []
        self._name = f"opsflow-{secrets.token_hex(3)}"

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="opsflow-accounts-"))
        self.directory.chmod(0o755)
        self.log = self.directory / "sudo.log"
        return self

    def __exit__(self, *_: object) -> None:
        self._rules.unlink(missing_ok=True)
        for account in self._made:
            while left := account.processes():
                kill(left)
                time.sleep(0.01)
            _change("userdel", account.name)
        shutil.rmtree(self.directory)

    def make(self, password: str = "", shell: str = "/bin/sh") -> Account:
        """A new account, with a login shell; without a password it gets one that nobody knows."""
        name = f"{self._name}-{len(self._made)}"
        account = Account(name=name, password=password or secrets.token_hex(8), home=self.directory / name)
        _change("useradd", "--create-home", "--home-dir", str(account.home), "--shell", shell, name)
        self._made.append(account)
        account.home.chmod(0o700)
        _change("chpasswd", given=f"{name}:{account.password}\n")
        return account

    def permit(self, *rules: str) -> None:
        """Let sudoers say these lines, and keep a log of these accounts, instead of what it said before.

        Raises:
            subprocess.CalledProcessError: they are no rules; nothing was changed.
        """
        logged = [f"Defaults:{account.name} logfile={self.log}, loglinelen=0" for account in self._made]
        draft = self.directory / "rules"
        draft.write_text("\n".join([*logged, *rules, ""]))
        draft.chmod(0o440)
        subprocess.run(["visudo", "-c", "-q", "-f", str(draft)], check=True)
        shutil.copy(draft, self._rules.with_suffix(".new"))  # sudo reads no file with a dot in its name
        self._rules.with_suffix(".new").rename(self._rules)
        draft.unlink()

    def logged(self, what: str = "COMMAND=") -> int:
        """How many lines of the log hold a text."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return sum(what in line for line in lines)

    @property
    def _rules(self) -> Path:
        return _RULES / self._name


def missing() -> str:
    """Why there can be no accounts here; empty: there can."""
    if os.geteuid() != 0:
        return "only root can make accounts"
    found = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    absent = [name for name in ("sudo", "visudo", "useradd") if not shutil.which(name, path=found)]
    return f"{', '.join(absent)} not installed" if absent else ""


def _change(*command: str, given: str = "") -> None:
    """Change the files of accounts, which another process may have locked for a moment."""
    ends = time.monotonic() + _BUSY
    while True:
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        if not done.returncode:
            return
        if time.monotonic() > ends:
            raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")
        time.sleep(0.1)
