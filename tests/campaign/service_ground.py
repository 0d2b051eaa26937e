"""Servers under every manager, each on a host of its own, and an exchange of their release by the real command line.

Every server writes down when it starts and when it is stopped: that file is the witness.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from campaign_ground import MACHINE, SSHD, Ground, Target, command_line

from opsflow.model import Host
from opsflow.testing import MachineFleet, SshdFleet
from opsflow.testing.processes import kill, processes
from opsflow.transport.ssh import SshTransport

OLD, NEW = "old", "new"
TASKS = ("stop", "deploy", "start")
BACKENDS = ("systemd", "supervisor", "pidfile", "commands")
SERVER = r"""
use strict; use IO::Socket::INET; $| = 1;
my ($home, $port) = @ARGV;
sub note { open(my $file, ">>", "$home/witness") or die; syswrite($file, "$_[0]\n") }
sub text { open(my $file, "<", $_[0]) or return "none"; local $/; my $got = <$file>; $got =~ s{\s+$}{}; $got }
my $release = text("$home/app/current/RELEASE");
my $socket = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $port, Listen => 50, ReuseAddr => 1);
if (!$socket) { note("refused $release"); exit 1 }
note("start $release");
open(my $file, ">", "$home/server.pid") or die; print $file $$; close $file;
$SIG{TERM} = sub { select(undef, undef, undef, 0.3); note("stop $release"); unlink "$home/server.pid"; exit 0 };
while (1) {
    my $peer = $socket->accept or next;
    while (defined(my $line = <$peer>)) { last if $line =~ /^\r?$/ }
    print $peer "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n$release\n"; close $peer;
}
"""
CONTROL = """\
case $1 in
    start) setsid {command} </dev/null >/dev/null 2>&1 & ;;
    stop) kill "$(cat server.pid)" ;;
    status) [ -e server.pid ] && kill -0 "$(cat server.pid)" ;;
esac
"""
UNIT = "[Service]\nExecStart={command}\n"
SUPERVISORD = """\
[unix_http_server]
file={home}/supervisor.sock
[supervisord]
logfile={home}/supervisor.log
pidfile={home}/supervisor.pid
childlogdir={home}
nodaemon=true
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{home}/supervisor.sock
[program:game]
command={command}
autostart=false
startsecs=0
"""
PLAYBOOK = """\
name = "exchange"
[[step]]
id = "stop"
task = "stop_server"
hosts = "all"
on_unknown = "rerun"
with = {{ {service}, stay_down = "200ms", http_body = "{old}" }}
[[step]]
id = "deploy"
task = "deploy_app"
hosts = "all"
on_unknown = "rerun"
with = {{ artifact = "{new}", path = "app", release = "{new}" }}
[[step]]
id = "start"
task = "start_server"
hosts = "all"
on_unknown = "rerun"
with = {{ {service}, http_body = "{new}" }}
"""
FIRST = """\
name = "first"
[[step]]
id = "deploy"
task = "deploy_app"
hosts = "all"
with = {{ artifact = "{old}", path = "app", release = "{old}" }}
[[step]]
id = "start"
task = "start_server"
hosts = "all"
with = {{ {service} }}
"""


@dataclass(kw_only=True)
class Served:
    """A server of one backend on its host, and the project that exchanges its release.

    Attributes:
        backend: One of `BACKENDS`.
        target: Its host.
        port: Where it answers.
        ground: The project.
    """

    backend: str
    target: Target
    port: int
    ground: Ground

    @property
    def home(self):
        """The login directory, as the host names it."""
        return "/root" if self.target.kind == MACHINE else str(self.target.home)

    @property
    def command(self):
        """The server in the foreground."""
        return f"/usr/bin/perl {self.home}/server.pl {self.home} {self.port}"

    def service(self):
        """Its parameters, as TOML."""
        own = {
            "systemd": "",
            "supervisor": f'control = "supervisorctl -c {self.home}/supervisord.conf", ',
            "pidfile": f'pidfile = "run/game.pid", command = "{self.command}", ',
            "commands": 'start = "sh ctl start", stop = "sh ctl stop", status = "sh ctl status", ',
        }[self.backend]
        checks = f'port = {self.port}, address = "127.0.0.1", http = "/"'
        return f'service = "game", {own}{checks}, stay_up = "300ms", every = "100ms"'

    def furnish(self):
        """The programs on the host, the releases and playbooks in the project; the old release goes live."""
        home = self.target.home
        (home / "server.pl").write_text(SERVER)
        (home / "ctl").write_text(CONTROL.format(command=self.command))
        (home / "supervisord.conf").write_text(SUPERVISORD.format(home=home, command=self.command))
        if self.backend == "systemd":
            unit = self.target.fleet.root(self.target.name) / "etc/systemd/system/game.service"
            unit.write_text(UNIT.format(command=self.command))
        values = {"service": self.service(), "old": OLD, "new": NEW}
        self.ground.playbook(PLAYBOOK.format(**values))
        (self.ground.project / "first.toml").write_text(FIRST.format(**values))
        for release in (OLD, NEW):
            (self.ground.project / release).mkdir()
            (self.ground.project / release / "RELEASE").write_text(f"{release}\n")
            (self.ground.project / release / "data").write_bytes(os.urandom(200_000))

    # Looking

    def witness(self):
        """What the server has written down."""
        path = self.target.home / "witness"
        return path.read_text().splitlines() if path.exists() else []

    def answer(self):
        """What it answers; None: nothing."""
        with suppress(OSError, urllib.error.URLError):
            if self.target.kind == SSHD:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=10) as reply:
                    return reply.read().decode().strip()
            ask = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | perl -MIO::Socket::INET -e '{ASK}' {self.port} | tail -n 1"
            with closing(
                SshTransport(Host(name="it", connection=self.target.fleet.connection(self.target.name)))
            ) as it:
                return it.run(ask).stdout.strip() or None
        return None

    def live(self):
        """The release that is live; None: none is."""
        link = self.target.home / "app/current"
        return os.readlink(link).removeprefix("releases/") if link.is_symlink() else None

    def servers(self):
        """Ids of the server's processes."""
        return [pid for pid in processes() if self._is_server(pid)]

    def left_over(self):
        """Names of what is half done below `releases/`."""
        return sorted(path.name for path in (self.target.home / "app/releases").iterdir() if path.name[0] == ".")

    # Acting

    def kill_runner(self):
        """SIGKILL to all that opsflow runs on the host: its runner, and the task's script. Not to the server."""
        self.target.end_work(spared=self._is_server)

    def end_server(self):
        """SIGKILL to what is left of it."""
        kill(self.servers())

    def _is_server(self, pid):
        words = command_line(pid)
        return f"{self.home}/server.pl" in words and str(self.port) in words


ASK = (
    'my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => shift) or exit;'
    " print $s $_ while <STDIN>; print while <$s>;"
)


@contextmanager
def served(directory, backends=BACKENDS, *, address="127.0.146.1"):
    """Every backend's server, up with the old release."""
    with ExitStack() as running:
        fleets = {}
        others = [backend for backend in backends if backend != "systemd"]
        if "systemd" in backends:
            fleets["systemd"] = running.enter_context(MachineFleet(directory / "machines", ["systemd"])), MACHINE
        if others:
            fleet = running.enter_context(SshdFleet(directory / "sshd", others, first_address=address))
            fleets |= dict.fromkeys(others, (fleet, SSHD))
        found = []
        for backend in backends:
            fleet, kind = fleets[backend]
            target = Target(name=backend, fleet=fleet, kind=kind, shell="dash")
            one = Served(
                backend=backend, target=target, port=_free_port(), ground=Ground([target], directory / backend)
            )
            running.callback(one.end_server)
            one.furnish()
            if backend == "supervisor":
                running.enter_context(_supervisord(target.home))
            code, text = one.ground.opsflow("apply", "first.toml", "--yes")
            assert code == 0, text
            found.append(one)
        yield found


@contextmanager
def _supervisord(home):
    with subprocess.Popen(
        ["supervisord", "-c", home / "supervisord.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as daemon:
        ends = time.monotonic() + 60
        while not (home / "supervisor.sock").exists():
            assert time.monotonic() < ends, (home / "supervisor.log").read_text()
            time.sleep(0.05)
        yield
        daemon.terminate()


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def missing():
    """Why there can be no such servers here, beside the machines; empty if there can."""
    return "" if shutil.which("supervisord") else "supervisord is not installed (Debian: apt-get install supervisor)"
