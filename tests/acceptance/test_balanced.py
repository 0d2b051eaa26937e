"""A maintenance behind a real HAProxy, host by host, while somebody asks all the time."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import eventually

NAMES = ("one", "two")
HAPROXY = """\
global
    stats socket {directory}/s mode 600 level admin
defaults
    mode http
    option http-server-close
    retries 0
    timeout connect 10s
    timeout client 1m
    timeout server 1m
    timeout queue 10s
listen game
    bind 127.0.0.1:{front}
    option httpchk GET /healthz
    server one 127.0.0.1:{one} check inter 100ms rise 1 fall 3
    server two 127.0.0.1:{two} check inter 100ms rise 1 fall 3
"""
SERVICE = """service = "game", pidfile = "run/game.pid", port = "{{{{ port }}}}", address = "127.0.0.1", http = "/healthz", \
command = "{python} app/current/game_server.py 127.0.0.1:{{{{ port }}}}", stay_up = "300ms\""""
HAPROXY_OF = ', haproxy = {{ socket = "{directory}/s", servers = ["game/{{{{ host }}}}"] }}'
ROLLOUT = """
[rollout]
by = "host"
hosts = "*"
batches = [1]
"""
STOP = """
[[step]]
id = "stop"
task = "stop_server"
hosts = "all"
with = {{ {service}{haproxy}, drain = "30s", stay_down = "200ms" }}
"""
DEPLOY_AND_START = """
[[step]]
id = "deploy"
task = "deploy_app"
hosts = "all"
with = {{ artifact = "{release}", path = "app" }}

[[step]]
id = "start"
task = "start_server"
hosts = "all"
with = {{ {service}{haproxy}, timeout = "{timeout}" }}
"""


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return found


class Balanced:
    """Two servers behind HAProxy, and a client."""

    def __init__(self, project, directory):
        self.project = project
        self.directory = directory
        self.front, *ports = free_ports(3)
        self.ports = dict(zip(NAMES, ports, strict=True))
        more = "".join(f"\n[hosts.{name}.vars]\nport = {port}\n" for name, port in self.ports.items())
        project.write("inventories/fleet.toml", project.fleet.inventory() + more)

    def release(self, version, faults=None):
        path = self.project.directory / version
        path.mkdir()
        shutil.copy(Path(__file__).with_name("game_server.py"), path)
        (path / "message.txt").write_text("hello")
        (path / "release.json").write_text(json.dumps({"version": version, "faults": faults or {}}))

    def apply(self, steps, version, *, head="", haproxy="", timeout="60s", code=0):
        service = SERVICE.format(python=sys.executable)
        text = steps.format(service=service, haproxy=haproxy, release=version, timeout=timeout)
        return self.project.opsflow("apply", self.project.playbook(text, head=head), "--yes", code=code)

    def first(self, version):
        """Both servers run this release; HAProxy is not there yet."""
        self.apply(DEPLOY_AND_START, version)

    def exchange(self, version, **more):
        """One host after the other is taken out, gets the release, and is taken in."""
        haproxy = HAPROXY_OF.format(directory=self.directory)
        return self.apply(STOP + DEPLOY_AND_START, version, head=ROLLOUT, haproxy=haproxy, **more)

    @contextmanager
    def haproxy(self):
        text = HAPROXY.format(directory=self.directory, front=self.front, **self.ports)
        (self.directory / "cfg").write_text(text)
        with subprocess.Popen(["haproxy", "-db", "-f", self.directory / "cfg"], stderr=subprocess.DEVNULL) as process:
            try:
                eventually(lambda: (self.directory / "s").exists() and set(self.states().values()) == {"UP"})
                yield
            finally:
                process.terminate()

    def states(self):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"{self.directory}/s")
            connection.sendall(b"show stat\n")
            rows = [line.split(",") for line in connection.makefile().read().splitlines()]
        return {row[1]: row[17] for row in rows if len(row) > 17 and row[1] in NAMES}

    def answer(self, port=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{port or self.front}/", timeout=60) as reply:
            return json.load(reply)["version"]

    @contextmanager
    def asked(self):
        """What a client that asks all the time gets, one answer after the other; an error is one, too."""
        answers, over = [], threading.Event()

        def ask():
            while not over.wait(0.01):
                try:
                    answers.append(self.answer())
                except OSError as error:
                    answers.append(str(error))

        clients = [threading.Thread(target=ask) for _ in range(2)]
        for client in clients:
            client.start()
        try:
            yield answers
        finally:
            over.set()
            for client in clients:
                client.join()


@pytest.fixture
def balanced(project, tmp_path_factory):
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed (Debian: apt-get install haproxy)")
    balanced = Balanced(project, tmp_path_factory.mktemp("ha"))
    balanced.release("1.0")
    balanced.first("1.0")
    with balanced.haproxy():
        yield balanced


def test_no_request_fails_while_servers_are_exchanged_nor_when_one_of_them_does_not_come_up(balanced, project):
    balanced.release("2.0")
    balanced.release("3.0", faults={f"127.0.0.1:{balanced.ports['two']}": "sick"})
    with balanced.asked() as answers:
        balanced.exchange("2.0")
    assert set(answers) == {"1.0", "2.0"}
    assert len(answers) > 20
    assert balanced.states() == {"one": "UP", "two": "UP"}
    assert {balanced.answer(port) for port in balanced.ports.values()} == {"2.0"}

    with balanced.asked() as answers:
        ended = balanced.exchange("3.0", timeout="3s", code=3)
    assert "answers 500, not 200" in ended.out + ended.err
    assert set(answers) == {"2.0", "3.0"}
    assert balanced.states() == {"one": "UP", "two": "UP"}
    assert [balanced.answer(port) for port in balanced.ports.values()] == ["3.0", "2.0"]
    states = project.show().states
    assert {states[f"{step}@two"] for step in ("stop", "deploy", "start")} == {"reverted"}
