"""stop_server and start_server behind a real HAProxy."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from opsflow import TaskFailed
from opsflow.model import Action
from opsflow_tasks import start_server, stop_server

CONFIG = """\
global
    stats socket {directory}/s mode 600 level admin
    stats socket ipv4@127.0.0.1:{admin} level admin
defaults
    mode tcp
    timeout connect 1s
    timeout client 1m
    timeout server 1m
listen game
    bind 127.0.0.1:{front}
    server one 127.0.0.1:{port} check inter 50ms rise 1 fall 1
    server two 127.0.0.1:9 check inter 50ms rise 1 fall 1
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    found = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return found


@pytest.fixture
def game(home, tmp_path_factory, drive):
    """A running server behind a running HAProxy, and the parameters that name both."""
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed (Debian: apt-get install haproxy)")
    directory = tmp_path_factory.mktemp("ha")  # a short path: that of a socket file has a limit
    admin, front, port = free_ports(3)
    (directory / "cfg").write_text(CONFIG.format(directory=directory, admin=admin, front=front, port=port))
    params = {
        "service": "game",
        "pidfile": "game.pid",
        "command": f"{sys.executable} -m http.server --bind 127.0.0.1 {port}",
        "port": port,
        "haproxy": {"socket": [f"{directory}/s", f"127.0.0.1:{admin}"], "servers": ["game/one"]},
    }
    alone = {**params, "haproxy": None, "stay_up": 0}
    drive(start_server, **alone).apply()

    def ask(command):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"{directory}/s")
            connection.sendall(f"{command}\n".encode())
            return connection.makefile().read()

    def state():
        row = next(line for line in ask("show stat").splitlines() if line.startswith("game,one,"))
        return row.split(",")[17]

    with subprocess.Popen(["haproxy", "-db", "-f", directory / "cfg"], stderr=subprocess.DEVNULL) as process:
        eventually(lambda: (directory / "s").exists() and state().startswith("UP") and ",DOWN," in ask("show stat"))
        yield SimpleNamespace(params=params, ask=ask, state=state, front=front, home=home)
        process.terminate()
    pidfile = home / "game.pid"
    if pidfile.exists():
        os.kill(int(pidfile.read_text()), signal.SIGKILL)


def eventually(condition):
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends, "it did not come true"
        time.sleep(0.02)


FAST = {"stay_up": "100ms"}
GONE = {"stay_down": "100ms"}


def page(game):
    return urllib.request.urlopen(f"http://127.0.0.1:{game.front}/", timeout=10).status


def test_it_is_taken_out_until_its_sessions_have_ended_and_in_again_by_the_revert(drive, game):
    assert page(game) == 200
    session = socket.create_connection(("127.0.0.1", game.front))
    session.sendall(b"GET /")  # and is in no hurry
    seen = []

    def watch():
        eventually(lambda: game.state() == "DRAIN")
        seen.append((game.home / "game.pid").exists())
        session.close()

    task = drive(stop_server, **game.params, drain="60s", **GONE, **FAST)
    preview = task.plan()
    assert preview.before["balancer"] == ["ready", "ready"]
    assert game.state() == "UP"
    watching = threading.Thread(target=watch)
    watching.start()
    outputs = task.execute(preview)
    watching.join()
    assert seen == [True]
    assert task.logged == []
    assert task.plan().outputs == outputs
    for _ in range(2):
        task.revert(preview)
        assert page(game) == 200
        assert game.state() == "UP"


def test_sessions_that_do_not_end_are_told_when_their_time_is_over(drive, game):
    with socket.create_connection(("127.0.0.1", game.front)) as session:
        session.sendall(b"GET /")
        eventually(lambda: ",one,0,0,1," in game.ask("show stat"))
        task = drive(stop_server, **game.params, drain="300ms", **GONE)
        task.apply()
    assert task.logged == ["2 sessions were left when 0.30 s for draining were over"]  # one, asked at two sockets


def test_what_somebody_else_had_taken_out_stays_out(drive, game):
    game.ask("set server game/one state maint")
    task = drive(stop_server, **game.params, **GONE, **FAST)
    preview = task.plan()
    assert preview.before["balancer"] == ["maint", "maint"]
    task.execute(preview)
    assert game.state() == "MAINT"
    task.revert(preview)
    assert game.state() == "MAINT"


def test_a_started_server_is_taken_in_and_out_again_by_the_revert(drive, game):
    drive(stop_server, **game.params, **GONE).apply()
    start = drive(start_server, **game.params, **FAST)
    preview = start.plan()
    start.execute(preview)
    assert page(game) == 200
    assert start.plan().action is Action.UNCHANGED
    start.revert(preview)
    assert "8" in game.ask("show servers state game").split("one 127.0.0.1")[1].split()[1]
    start.apply()
    game.ask("set server game/one state drain")
    preview = start.plan()
    assert preview.summary.startswith("undrain game")
    start.execute(preview)
    assert game.state() == "UP"
    start.revert(preview)
    assert game.state() == "DRAIN"


def test_a_server_that_haproxy_does_not_find_healthy_is_not_in(drive, game):
    drive(stop_server, **game.params, **GONE).apply()
    game.ask("set server game/two state drain")
    wrong = {**game.params, "haproxy": {**game.params["haproxy"], "servers": ["game/two"]}}
    with pytest.raises(TaskFailed, match=r"does not take game/two in within 0\.50 s: it is DOWN"):
        drive(start_server, **wrong, **FAST, drain_timeout="500ms").apply()


def test_what_the_balancer_does_not_know_fails_before_anything_is_done(drive, game):
    unknown = {**game.params, "haproxy": {**game.params["haproxy"], "servers": ["game/three"]}}
    assert drive(stop_server, **unknown).plan().why.endswith("has no server game/three")
    away = {**game.params, "haproxy": {"socket": "/no/such/socket", "servers": ["game/one"]}}
    assert drive(stop_server, **away).plan().why.startswith("HAProxy at /no/such/socket does not answer: ")
    assert page(game) == 200


@pytest.mark.parametrize("haproxy", [{"socket": "s", "servers": ["a/b"]}, {"socket": "/s", "servers": ["a"]}])
def test_what_makes_no_sense_is_refused(haproxy):
    with pytest.raises(ValidationError, match="pattern"):
        stop_server.params().model_validate({"service": "game", "haproxy": haproxy})
