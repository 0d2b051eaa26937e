"""A fleet of real ssh servers on this machine, without a container engine and without root.

Every host is an `sshd` of its own on its own loopback address, with its own key and its own home directory, in which
its commands start. They share one account, the caller's, and one machine.
"""

import getpass
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from opsflow.testing.fleet import Fleet
from opsflow.testing.processes import below, kill, processes, with_environment

_MARK = "OPSFLOW_FLEET"
_READY_WITHIN = 10.0
_PLACES = "/usr/sbin:/usr/local/sbin:/sbin:/opt/homebrew/sbin"

_CONFIG = """\
ListenAddress {address}:{port}
HostKey {files}/host_key
PidFile {files}/pid
AuthorizedKeysFile {client_key}.pub
SetEnv {mark}={home}{place}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM {pam}
StrictModes no
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 1000
MaxSessions {sessions}
LogLevel VERBOSE
"""
_IN_ITS_HOME = 'ForceCommand cd "$HOME" && exec /bin/sh -c "${SSH_ORIGINAL_COMMAND:-exec /bin/sh}"\n'


def sshd_path() -> str | None:
    """Where the ssh server's program is, None if it is not installed."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:{_PLACES}")


class SshdFleet(Fleet):
    """Hosts reached by ssh; starts with `start` or as a context manager, and can be stopped from another process.

    Args:
        directory: Where homes (`directory/NAME`), keys and logs are; made if missing, kept afterwards.
        names: The hosts' names.
        first_address: Loopback address of the first host, the others have the next ones. Where only 127.0.0.1
            exists (macOS), all have that one. Ports are free ones.
        addresses: Fixed address and port by name instead.
        sessions: How many sessions a connection may have, the ssh server's `MaxSessions`.
        options: Lines of sshd_config in place of the fleet's own about the same.
        shells: Program that is a host's `sh`, by name; the others have the machine's.
        user: Account to log in as, if the caller is root; None: the caller's. Has to be able to enter `directory`.
        login: Commands are started by the account's login shell, in its home directory; else by `sh`, in the host's.
        more: Lines of configuration that come before those of all hosts, and so have precedence.
    """

    def __init__(
        self,
        directory: Path | str,
        names: Sequence[str],
        *,
        first_address: str = "127.0.10.1",
        addresses: Mapping[str, tuple[str, int]] | None = None,
        sessions: int = 10,
        shells: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
        user: str | None = None,
        login: bool = False,
        more: str = "",
    ) -> None:
        super().__init__(directory, names, user or getpass.getuser())
        self._first = ipaddress.ip_address(first_address)
        self._addresses |= addresses or {}
        self._sessions_allowed = sessions
        self._shells = dict(shells or {})
        self._login = login
        self._more = more
        self._options = tuple(options)
        self._servers: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Make what is missing and start every host. Takes well under a second for eight.

        Raises:
            RuntimeError: there is no sshd, or it does not start; the message holds its log.
        """
        for name in self.names:
            self.kill(name)  # what an earlier process left behind
            self._files(name).mkdir(parents=True, exist_ok=True)
            self.home(name).mkdir(exist_ok=True)
            if self.user != getpass.getuser():
                shutil.chown(self.home(name), self.user)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(parents=True, exist_ok=True)  # sshd wants an empty directory to chroot into
        self._make_keys()
        for index, name in enumerate(self.names):
            self._addresses.setdefault(name, _free_port(str(self._first + index)))
            self._configure(name)
        self._make_known()
        for name in self.names:
            self._launch(name)
        for name in self.names:
            self._await(name)

    def stop(self) -> None:
        """End every host with all that was started on it."""
        for name in self.names:
            self.kill(name, commands=True)

    def kill(self, name: str, *, commands: bool = False) -> None:
        """Make a host vanish: SIGKILL to its server and sessions. With `commands` to all it runs: a loss of power."""
        listener = self._listener(name)
        if listener is not None:
            kill([listener, *self._sessions(listener)])
        server = self._servers.pop(name, None)
        if server is not None:
            server.wait()
        (self._files(name) / "pid").unlink(missing_ok=True)
        while commands and (left := with_environment(self._mark(name))):
            kill(left)
            time.sleep(0.01)

    def cut(self, name: str) -> None:
        """Break a host's connections: SIGKILL to its sessions. Its commands go on, and new connections are taken."""
        listener = self._listener(name)
        if listener is not None:
            kill(self._sessions(listener))

    def freeze(self, name: str) -> None:
        """Make a host's connections fall silent: SIGSTOP to its sessions. New connections are taken."""
        listener = self._listener(name)
        for session in self._sessions(listener) if listener is not None else ():
            os.kill(session, signal.SIGSTOP)

    def restart(self, name: str) -> None:
        """Start a host again, on the same address, with the same key and home."""
        self.kill(name)
        self._launch(name)
        self._await(name)

    def connections(self, name: str) -> int:
        """How many logins a host has accepted so far."""
        return self.log(name).count("Accepted publickey for ")

    def log(self, name: str) -> str:
        """What the host's server has logged."""
        path = self._files(name) / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def home(self, name: str) -> Path:
        """The host's home directory."""
        return self.directory / name

    def _mark(self, name: str) -> str:
        return f"{_MARK}={self.home(name)}"

    def _configure(self, name: str) -> None:
        address, port = self._addresses[name]
        text = _CONFIG.format(
            address=address,
            port=port,
            files=self._files(name),
            client_key=self.client_key,
            home=self.home(name),
            mark=_MARK,
            place=("" if self._login else f" HOME={self.home(name)}") + self._shell(name),
            sessions=self._sessions_allowed,
            pam="yes" if _locked(self.user) else "no",
        )
        text = self._more + text + ("" if self._login else _IN_ITS_HOME)
        said = {option.split()[0] for option in self._options}
        kept = [line for line in text.splitlines() if line.split()[0] not in said]  # not every option's first wins
        (self._files(name) / "sshd_config").write_text("\n".join([*self._options, *kept, ""]))

    def _shell(self, name: str) -> str:
        """What the configuration adds for a host with an `sh` of its own: a directory that comes first in PATH."""
        if name not in self._shells:
            return ""
        programs = self._files(name) / "bin"
        programs.mkdir(exist_ok=True)
        (programs / "sh").unlink(missing_ok=True)
        (programs / "sh").symlink_to(self._shells[name])
        return f" PATH={programs}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

    def _launch(self, name: str) -> None:
        program = sshd_path()
        if program is None:
            raise RuntimeError("sshd is not installed (Debian: apt-get install openssh-server)")
        files = self._files(name)
        self._servers[name] = subprocess.Popen(
            [program, "-D", "-f", str(files / "sshd_config"), "-E", str(files / "log")],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _await(self, name: str) -> None:
        ends = time.monotonic() + _READY_WITHIN
        while time.monotonic() < ends and self._servers[name].poll() is None:
            with suppress(OSError):
                if (self._files(name) / "pid").read_text():  # written once it listens
                    return
            time.sleep(0.005)
        raise RuntimeError(f"sshd of {name} does not start; it says:\n{self.log(name)}")

    def _listener(self, name: str) -> int | None:
        server = self._servers.get(name)
        if server is not None:
            return server.pid if server.poll() is None else None
        with suppress(OSError, ValueError):
            pid = int((self._files(name) / "pid").read_text())
            seen = processes().get(pid)
            return pid if seen and seen.program == "sshd" else None
        return None

    def _sessions(self, listener: int) -> list[int]:
        seen = processes()
        return [pid for pid in below(listener) if pid in seen and seen[pid].program.startswith("sshd")]


def _free_port(address: str) -> tuple[str, int]:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        found: tuple[str, int] = probe.getsockname()
        return found


def _locked(user: str) -> bool:
    """Whether an account has a locked password, with which it may log in by key only where PAM is asked."""
    try:
        entries = Path("/etc/shadow").read_text().splitlines()
    except OSError:  # not root: then PAM could not be asked either
        return False
    return any(entry.startswith(f"{user}:!") for entry in entries)
