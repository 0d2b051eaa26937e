import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from opsflow import Interrupted, TaskFailed
from opsflow.model import Action
from opsflow_tasks import start_server, stop_server
from opsflow_tasks._checks import kernel_addresses
from opsflow_tasks._target import Script

SERVER = r"""
import http.server, os, signal, sys, time

port, mode = int(sys.argv[1]), sys.argv[2:]

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if "sick" in mode else 200)
        self.end_headers()
        self.wfile.write(b"all is well")

    def log_message(self, *args):
        pass

if "stubborn" in mode:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "crash" in mode:
    print("cannot read the map", flush=True)
    sys.exit(7)
if "child" in mode and os.fork():
    time.sleep(600)
if "slow" in mode:
    time.sleep(1)
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
print("ready", flush=True)
if "short" in mode:
    server.timeout = 0.5
    server.handle_request()
    sys.exit(3)
server.serve_forever()
"""

SYSTEMCTL = r"""#!/bin/sh
# Stands in for systemd on a machine that is not booted with it: one unit, run as a real process.
dir=$(dirname "$0")/unit
pid=$(cat "$dir/pid" 2>/dev/null)
alive() { [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && grep -qs '^State:.[^ZX]' "/proc/$pid/status"; }
verb=$1
for unit; do :; done
[ "$verb" = show ] || echo "$*" >>"$dir/calls"
case $verb in
    show)
        if [ "$unit" != game@a ]; then printf 'LoadState=not-found\nActiveState=inactive\nMainPID=0\n'; exit; fi
        if alive; then state=active; else state=inactive pid=0; fi
        [ -e "$dir/failed" ] && state=failed
        restarts=$(cat "$dir/restarts" 2>/dev/null || echo 0)
        [ -e "$dir/looping" ] && echo $((restarts + 1)) >"$dir/restarts"
        printf 'MainPID=%s\nNRestarts=%s\nLoadState=loaded\nActiveState=%s\n' "$pid" "$restarts" "$state" ;;
    start) alive || { setsid sh "$dir/exec" </dev/null >"$dir/log" 2>&1 & echo $! >"$dir/pid"; } ;;
    stop) alive && kill "$pid" ;;
    kill) kill -KILL "$pid" ;;
esac
exit 0
"""


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def eventually(condition, seconds=10):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come true"
        time.sleep(0.02)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def held_by(pid):
    """What a process has open; it may close some of it while we look."""
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"/proc/{pid}/fd/{name}")


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


@pytest.fixture
def server(home, port):
    """`server(mode, ...)`: the command line of a real HTTP server. Whatever of it is left is ended afterwards."""
    program = home / "server.py"
    program.write_text(SERVER)
    yield lambda *mode: " ".join((sys.executable, "'" + str(program) + "'", str(port), *mode))
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            mine = os.fsencode(program) in entry.read_bytes()
        except OSError:
            continue
        if mine:
            os.kill(int(entry.parent.name), signal.SIGKILL)


@pytest.fixture
def daemon(server, port):
    """Parameters of a server that is known by its pidfile and started by the task."""
    return {
        "service": "game",
        "pidfile": "run/game.pid",
        "command": server(),
        "log": "log/game.log",
        "port": port,
        "stay_up": "300ms",
    }


@pytest.fixture
def stranger():
    """A process that is nobody's server."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
def unit(tools, server, port):
    """A unit of the stand-in for systemd."""
    directory = tools / "unit"
    directory.mkdir()
    (tools / "systemctl").write_text(SYSTEMCTL)
    (tools / "systemctl").chmod(0o755)
    (directory / "exec").write_text("exec " + server())
    return directory


SYSTEMD = {"service": "game@a", "stay_up": "300ms", "timeout": "10s"}


def start(drive, params):
    return drive(start_server, **params).apply()["pid"]


class TestStartServer:
    def test_a_started_server_is_detached_healthy_and_known_by_its_pidfile(self, drive, daemon, home, port):
        outputs = drive(start_server, **daemon).apply()
        pid = outputs["pid"]
        assert outputs == {"service": "game", "running": True, "pid": pid, "port": port}
        assert int((home / "run/game.pid").read_text()) == pid
        assert is_open(port)
        assert os.getsid(pid) == pid
        assert (home / "log/game.log").read_text() == "ready\n"
        assert (home / "run").stat().st_mode & 0o777 == 0o700
        assert (home / "run/game.pid").stat().st_mode & 0o777 == 0o600
        assert not [target for target in held_by(pid) if target.startswith("pipe:")]

    def test_a_second_look_finds_it_unchanged_with_the_same_outputs(self, drive, daemon):
        task = drive(start_server, **daemon)
        outputs = task.apply()
        again = task.plan()
        assert again.action is Action.UNCHANGED
        assert again.outputs == outputs

    def test_each_hook_costs_one_round_trip(self, drive, daemon):
        task = drive(start_server, **daemon, http="/", check="true")
        preview = task.plan()
        assert task.transport.trips == 1
        task.execute(preview)
        assert task.transport.trips == 1
        task.revert(preview)
        assert task.transport.trips == 1

    def test_revert_stops_what_was_started_and_can_be_repeated(self, drive, daemon, home, port):
        task = drive(start_server, **daemon)
        preview = task.plan()
        outputs = task.execute(preview)
        for _ in range(2):
            task.revert(preview, outputs)
            assert not alive(outputs["pid"])
            assert not is_open(port)
            assert not list((home / "run").iterdir())

    def test_revert_kills_what_does_not_end_by_itself(self, drive, daemon, server, monkeypatch):
        monkeypatch.setattr(start_server, "_STOP_SECONDS", 0.3)
        task = drive(start_server, **{**daemon, "command": server("stubborn")})
        preview = task.plan()
        pid = task.execute(preview)["pid"]
        task.revert(preview)
        assert not alive(pid)

    def test_revert_leaves_a_server_that_ran_before(self, drive, daemon, port):
        pid = start(drive, daemon)
        task = drive(start_server, **daemon, check="test -e ready", timeout="1s")
        preview = task.plan()
        assert "the check ends with 1" in preview.summary
        with pytest.raises(TaskFailed, match="not healthy after 1 s: the check ends with 1"):
            task.execute(preview)
        task.revert(preview)
        assert alive(pid)
        assert is_open(port)

    def test_an_interrupted_start_is_reverted_to_nothing(self, drive, daemon, port):
        task = drive(start_server, **daemon)
        for interrupted in task.interruptions(1):
            preview = task.plan()
            interrupted(preview)
            task.revert(preview)
            assert not is_open(port)
            assert task.plan().action is Action.CHANGE

    def test_a_program_that_ends_at_once_fails_with_its_status_and_its_log(self, drive, daemon, server):
        task = drive(start_server, **{**daemon, "command": server("crash")})
        with pytest.raises(TaskFailed, match="cannot start game: it ended with status 7") as failure:
            task.apply()
        assert "cannot read the map" in failure.value.hint

    def test_a_program_that_does_not_exist_is_named(self, drive, daemon):
        task = drive(start_server, **{**daemon, "command": "no-such-program"})
        with pytest.raises(TaskFailed, match="status 127") as failure:
            task.apply()
        assert "no-such-program" in failure.value.hint

    def test_a_server_that_does_not_stay_up_fails(self, drive, daemon, server):
        task = drive(start_server, **{**daemon, "command": server("short"), "stay_up": "5s"})
        with pytest.raises(TaskFailed, match="status 3"):
            task.apply()

    @pytest.mark.parametrize("look", range(5, 10))
    def test_one_that_ends_while_it_is_looked_at_is_not_taken_for_restarted(self, drive, home, tools, look):
        (tools / "cat").write_text(
            f"""#!{shutil.which("sh")}
{shutil.which("cat")} "$@"; status=$?
cd '{home}' && read -r pid <game.pid && [ "$1" = "/proc/$pid/stat" ] || exit $status
echo >>looks
[ "$(wc -l <looks)" != {look} ] || kill -s KILL "$pid"
exit $status
"""
        )
        (tools / "cat").chmod(0o755)
        task = drive(start_server, service="game", pidfile="game.pid", command="sleep 600", stay_up="5s")
        with pytest.raises(TaskFailed, match="it ended with status 137"):
            task.apply()

    def test_it_waits_for_a_port_that_opens_late(self, drive, daemon, server, port):
        drive(start_server, **{**daemon, "command": server("slow")}).apply()
        assert is_open(port)

    def test_a_port_that_does_not_open_fails_at_the_deadline(self, drive, daemon):
        task = drive(start_server, **{**daemon, "command": "sleep 600", "timeout": "500ms"})
        preview = task.plan()
        with pytest.raises(TaskFailed, match=r"not healthy after 0\.50 s: port \d+ is not open"):
            task.execute(preview)
        task.revert(preview)

    def test_a_server_that_greets_stays_up(self, drive, daemon, home, port):
        (home / "greets.py").write_text(
            f"import socket\nserver = socket.create_server(('127.0.0.1', {port}))\n"
            "while True:\n    server.accept()[0].sendall(b'GAME 2.4 ready\\n')\n"
        )
        command = f"{sys.executable} greets.py"
        task = drive(start_server, **{**daemon, "command": command, "banner": "GAME 2.4", "passes": 3, "every": "10ms"})
        preview = task.plan()
        assert task.execute(preview)["pid"]
        task.revert(preview)
        assert not is_open(port)

    @pytest.mark.parametrize("without", [(), ("curl",)], ids=["curl", "wget"])
    def test_http_checks_status_and_body(self, drive, daemon, without, hide):
        hide(*without)
        good = drive(start_server, **daemon, http="/health", http_body="is well")
        good.apply()
        assert good.plan().action is Action.UNCHANGED
        other = drive(start_server, **daemon, http="/health", http_body="is bad")
        assert 'does not answer with "is bad"' in other.plan().summary
        wrong = drive(start_server, **daemon, http="/health", http_status=204)
        assert "answers 200, not 204" in wrong.plan().summary

    @pytest.mark.parametrize("without", [(), ("curl",)], ids=["curl", "wget"])
    def test_a_sick_server_fails_with_its_status(self, drive, daemon, server, without, hide):
        hide(*without)
        task = drive(start_server, **{**daemon, "command": server("sick"), "http": "/", "timeout": "1s"})
        with pytest.raises(TaskFailed, match="answers 503, not 200"):
            task.apply()

    def test_a_port_that_somebody_else_holds_fails_before_anything_is_done(self, drive, daemon, port):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port))
            other.listen()
            preview = drive(start_server, **daemon).plan()
        assert preview.action is Action.FAIL
        assert f"pid {os.getpid()} " in preview.why

    def test_a_pidfile_of_a_process_that_is_gone_is_stale(self, drive, daemon, home):
        child = subprocess.Popen(["true"])
        child.wait()
        (home / "run").mkdir()
        (home / "run/game.pid").write_text(f"{child.pid}\n")
        assert alive(start(drive, daemon))

    def test_a_pidfile_whose_number_belongs_to_another_process_now_is_stale(self, drive, daemon, home, port, stranger):
        pid = start(drive, daemon)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not alive(pid))
        identity = (home / "run/game.pid.id").read_text().split()
        (home / "run/game.pid").write_text(f"{stranger.pid}\n")
        (home / "run/game.pid.id").write_text(" ".join((str(stranger.pid), *identity[1:])))
        assert drive(stop_server, **daemon).plan().action is Action.UNCHANGED
        drive(start_server, **daemon).apply()
        assert stranger.poll() is None
        assert is_open(port)

    def test_a_foreign_pidfile_is_compared_with_the_command_line(self, drive, home, stranger):
        (home / "game.pid").write_text(f"{stranger.pid}\n")
        given = {"service": "game", "pidfile": "~/game.pid", "start": "true"}
        assert drive(stop_server, **given, process="sleep 600").plan().action is Action.CHANGE
        assert drive(stop_server, **given, process="game-server").plan().action is Action.UNCHANGED

    def test_a_start_command_may_leave_a_daemon_and_is_not_waited_for(self, drive, server, port, home):
        (home / "start.sh").write_text(f"{server()} & echo $! >game.pid; echo started")
        task = drive(start_server, service="game", pidfile="game.pid", start="sh start.sh", port=port, stay_up="300ms")
        preview = task.plan()
        outputs = task.execute(preview)
        assert outputs["pid"] == int((home / "game.pid").read_text())
        assert task.plan().outputs == outputs
        task.revert(preview)
        assert not is_open(port)

    def test_a_start_command_that_hangs_is_ended(self, drive, port):
        task = drive(start_server, service="game", start="sleep 600", port=port, timeout="500ms")
        with pytest.raises(TaskFailed, match="the start command did not end within"):
            task.apply()

    def test_a_start_command_that_fails_says_what_it_said(self, drive, port):
        task = drive(start_server, service="game", start="echo no licence; exit 9", port=port)
        with pytest.raises(TaskFailed, match="the start command ends with 9: no licence"):
            task.apply()

    def test_commands_run_in_cwd_with_the_environment(self, drive, daemon, home):
        (home / "srv").mkdir()
        task = drive(
            start_server,
            **{**daemon, "command": "sh -c 'pwd; echo $TOKEN; exec sleep 600'", "port": None, "cwd": "srv"},
            env={"TOKEN": {"$secret": "env:GAME_TOKEN"}},
        )
        task.secrets["env:GAME_TOKEN"] = "hunter2-hunter2"
        preview = task.plan()
        task.execute(preview)
        assert (home / "log/game.log").read_text() == f"{home}/srv\nhunter2-hunter2\n"
        task.revert(preview)

    def test_it_is_undrained_once_it_is_healthy(self, drive, daemon, home):
        (home / "drained").touch()
        task = drive(start_server, **daemon, undrain_command="rm drained", drained="test -e drained")
        task.apply()
        assert not (home / "drained").exists()
        assert task.plan().action is Action.UNCHANGED
        (home / "drained").touch()
        assert task.plan().summary.startswith("undrain game (pid ")
        task.apply()
        assert task.plan().action is Action.UNCHANGED


class TestStopServer:
    def test_it_stops_process_and_port(self, drive, daemon, port, home):
        pid = start(drive, daemon)
        task = drive(stop_server, **daemon)
        preview = task.plan()
        assert preview.summary == f"stop game (pid {pid}, port {port})"
        outputs = task.execute(preview)
        assert not alive(pid)
        assert not is_open(port)
        assert not (home / "run/game.pid").exists()
        again = task.plan()
        assert again.action is Action.UNCHANGED
        assert again.outputs == outputs == {"service": "game", "running": False}

    def test_each_hook_costs_one_round_trip(self, drive, daemon):
        start(drive, daemon)
        task = drive(stop_server, **daemon, drain="100ms", drain_command="true", undrain_command="true")
        preview = task.plan()
        assert task.transport.trips == 1
        task.execute(preview)
        assert task.transport.trips == 1
        task.revert(preview)
        assert task.transport.trips == 1

    def test_revert_starts_it_again_once(self, drive, daemon, port):
        first = start(drive, daemon)
        task = drive(stop_server, **daemon)
        preview = task.plan()
        outputs = task.execute(preview)
        task.revert(preview, outputs)
        assert is_open(port)
        second = drive(start_server, **daemon).plan().outputs["pid"]
        assert second != first
        task.revert(preview, outputs)
        assert drive(start_server, **daemon).plan().outputs["pid"] == second

    def test_an_interrupted_stop_is_reverted_to_a_running_server(self, drive, daemon, port, home):
        start(drive, daemon)
        task = drive(stop_server, **daemon, drain_command="touch drained", undrain_command="rm -f drained")
        for interrupted in task.interruptions(1):
            preview = task.plan()
            interrupted(preview)
            task.revert(preview)
            assert is_open(port)
            assert not (home / "drained").exists()
            assert task.plan().before["running"]

    def test_a_server_that_did_not_run_is_not_started_by_a_revert(self, drive, daemon, port):
        task = drive(stop_server, **daemon)
        preview = task.plan()
        assert preview.action is Action.UNCHANGED
        task.revert(preview)
        assert task.transport.trips == 0
        assert not is_open(port)

    def test_a_stubborn_server_is_killed_only_if_allowed(self, drive, daemon, server, port):
        params = {**daemon, "command": server("stubborn")}
        pid = start(drive, params)
        gentle = drive(stop_server, **params, timeout="500ms")
        with pytest.raises(TaskFailed, match=rf"pid {pid} is there still, 0\.50 s after .*kill = true"):
            gentle.apply()
        assert alive(pid)
        drive(stop_server, **params, timeout="500ms", kill=True).apply()
        assert not alive(pid)
        assert not is_open(port)

    def test_a_port_that_a_child_keeps_open_is_not_called_stopped(self, drive, daemon, server, port):
        params = {**daemon, "command": server("child")}
        pid = start(drive, params)
        with pytest.raises(TaskFailed, match=rf"port {port} is still open: pid \d+ \(python.*\) listens"):
            drive(stop_server, **params, timeout="500ms").apply()
        assert not alive(pid)
        assert is_open(port)
        left = drive(stop_server, **params).plan()
        assert left.action is Action.FAIL
        assert f"port {port} is open: pid " in left.why

    def test_children_are_killed_with_their_group_if_allowed(self, drive, daemon, server, port):
        params = {**daemon, "command": server("child")}
        start(drive, params)
        drive(stop_server, **params, timeout="500ms", kill=True).apply()
        assert not is_open(port)

    def test_it_waits_for_connections_only_as_long_as_there_are_any(self, drive, daemon, port):
        start(drive, daemon)
        client = socket.create_connection(("127.0.0.1", port))
        task = drive(stop_server, **daemon, drain="600ms")
        began = time.monotonic()
        task.apply()
        assert time.monotonic() - began >= 0.6
        client.close()
        start(drive, daemon)
        quick = drive(stop_server, **daemon, drain="60s")
        began = time.monotonic()
        quick.apply()
        assert time.monotonic() - began < 10

    def test_a_failing_drain_leaves_the_server_alone(self, drive, daemon, port):
        start(drive, daemon)
        task = drive(stop_server, **daemon, drain_command="echo the balancer is away; exit 4")
        with pytest.raises(TaskFailed, match="the drain command ends with 4: the balancer is away"):
            task.apply()
        assert is_open(port)

    def test_without_a_way_to_start_it_is_irreversible(self, drive, daemon):
        start(drive, daemon)
        preview = drive(stop_server, **{**daemon, "command": None}).plan()
        assert not preview.reversible
        assert "start" in preview.why

    def test_a_port_that_a_proxy_keeps_open_says_nothing_about_the_server_behind_it(self, drive, daemon, port):
        params = {**daemon, "command": "sleep 600", "listener": "anybody"}
        with socket.socket() as proxy:
            proxy.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            proxy.bind(("127.0.0.1", port))
            proxy.listen()
            pid = start(drive, params)
            assert drive(start_server, **params).plan().action is Action.UNCHANGED
            stop = drive(stop_server, **params)
            stop.apply()
            assert stop.plan().action is Action.UNCHANGED
        assert not alive(pid)

    def test_a_server_that_is_restarted_by_others_is_named(self, drive, daemon, home, server):
        pid = start(drive, daemon)
        (home / "stop.sh").write_text(
            f"kill {pid}; sleep 600 </dev/null >/dev/null 2>&1 & echo $! >run/game.pid; echo $! >new"
        )
        task = drive(stop_server, **daemon, stop="sh stop.sh")
        with pytest.raises(TaskFailed, match="it came back as pid") as failure:
            task.apply()
        new = int((home / "new").read_text())
        assert str(new) in failure.value.message
        os.kill(new, signal.SIGKILL)

    def test_own_commands_stop_and_start(self, drive, server, port, home):
        (home / "ctl").write_text(
            f"case $1 in start) {server()} & echo $! >me ;; stop) kill $(cat me); rm me ;; status) test -e me ;; esac"
        )
        params = {
            "service": "game",
            "start": "sh ctl start",
            "stop": "sh ctl stop",
            "status": "sh ctl status",
            "port": port,
            "stay_up": "300ms",
        }
        drive(start_server, **params).apply()
        task = drive(stop_server, **params)
        preview = task.plan()
        task.execute(preview)
        assert not is_open(port)
        assert task.plan().action is Action.UNCHANGED
        task.revert(preview)
        assert is_open(port)
        assert drive(start_server, **params).plan().action is Action.UNCHANGED

    def test_a_status_command_that_cannot_be_run_is_not_taken_for_a_stopped_server(self, drive):
        preview = drive(stop_server, service="game", stop="true", status="no-such-command").plan()
        assert preview.action is Action.FAIL
        assert "no-such-command" in preview.why


class TestSystemd:
    def test_stop_revert_and_start(self, drive, unit, port):
        pid = start(drive, {**SYSTEMD, "port": port})
        assert int((unit / "pid").read_text()) == pid
        task = drive(stop_server, **SYSTEMD, port=port)
        preview = task.plan()
        assert preview.summary == f"stop game@a (pid {pid}, port {port})"
        task.execute(preview)
        assert not is_open(port)
        assert task.plan().action is Action.UNCHANGED
        task.revert(preview)
        assert is_open(port)
        assert drive(start_server, **SYSTEMD, port=port).plan().action is Action.UNCHANGED
        drive(stop_server, **SYSTEMD, port=port).apply()
        assert (unit / "calls").read_text().splitlines() == [
            "start --no-block game@a",
            "stop --no-block game@a",
            "start --no-block game@a",
            "stop --no-block game@a",
        ]

    def test_a_unit_that_does_not_exist_is_named(self, drive, unit):
        for module in (stop_server, start_server):
            preview = drive(module, service="gaem@a").plan()
            assert preview.action is Action.FAIL
            assert preview.why == "there is no unit gaem@a"

    def test_a_restart_loop_is_not_taken_for_a_start(self, drive, unit):
        (unit / "looping").touch()
        with pytest.raises(TaskFailed, match="it does not stay up"):
            drive(start_server, **SYSTEMD).apply()

    def test_a_unit_that_fails_ends_the_wait(self, drive, unit):
        (unit / "exec").write_text("exit 1")
        (unit / "failed").touch()
        began = time.monotonic()
        with pytest.raises(TaskFailed, match="it failed to start"):
            drive(start_server, **SYSTEMD).apply()
        assert time.monotonic() - began < 5

    def test_a_stubborn_unit_is_killed_if_allowed(self, drive, unit, server, port):
        (unit / "exec").write_text("exec " + server("stubborn"))
        pid = start(drive, {**SYSTEMD, "port": port})
        drive(stop_server, **{**SYSTEMD, "timeout": "500ms"}, port=port, kill=True).apply()
        assert not alive(pid)

    def test_the_manager_may_be_called_in_another_way(self, drive, unit, tools):
        (tools / "systemctl").rename(tools / "other")
        assert drive(start_server, **SYSTEMD, control="env X=1 other").plan().action is Action.CHANGE

    def test_without_systemd_it_says_so(self, drive, tools):
        (tools / "systemctl").write_text("#!/bin/sh\necho not booted with systemd >&2; exit 1")
        (tools / "systemctl").chmod(0o755)
        preview = drive(start_server, service="game").plan()
        assert preview.why == "systemd does not answer: not booted with systemd"


class TestParameters:
    @pytest.mark.parametrize(
        ("module", "params", "message"),
        [
            (stop_server, {"manager": "pidfile"}, "needs `pidfile`"),
            (stop_server, {"stop": "true"}, "`status` or `port`"),
            (stop_server, {"command": "x"}, "`command` needs `pidfile`"),
            (stop_server, {"pidfile": "p", "command": "x", "start": "y"}, "not both"),
            (stop_server, {"address": "nowhere"}, "nowhere"),
            (start_server, {"pidfile": "p"}, "how to start"),
            (start_server, {"status": "true", "stop": "true"}, "how to start"),
            (start_server, {"http": "/"}, "needs `port`"),
            (start_server, {"service": "a'b"}, "pattern"),
            (start_server, {"drian": "1s"}, "drian"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, module, params, message):
        with pytest.raises(ValidationError, match=message):
            module.params().model_validate({"service": "game", **params})

    def test_the_contract_s_example_is_valid(self):
        params = stop_server.params().model_validate({"service": "game@a", "drain": "20s"})
        assert (params.by, params.drain, params.startable) == ("auto", 20.0, True)

    @pytest.mark.parametrize("module", [stop_server, start_server])
    def test_every_parameter_is_described(self, module):
        schema = module.params().model_json_schema()
        assert all(field.get("description") for field in schema["properties"].values())
        json.dumps(schema)

    def test_a_port_counts_only_at_its_address(self, drive, daemon, port):
        start(drive, daemon)
        assert drive(start_server, **daemon, address="127.0.0.1").plan().action is Action.UNCHANGED
        assert "is not open" in drive(start_server, **daemon, address="127.0.0.2").plan().summary

    def test_addresses_are_written_as_the_kernel_does(self):
        assert kernel_addresses("127.0.0.1")[0] == "0100007F"
        assert kernel_addresses("::1")[0] == "00000000000000000000000001000000"
        assert "0000000000000000FFFF00000100007F" in kernel_addresses("127.0.0.1")


def test_a_server_that_an_interrupted_start_brings_up_late_is_stopped_all_the_same(
    drive, daemon, home, port, monkeypatch
):
    """Its launcher lives in a session of its own, and may only write the pidfile when the revert has looked."""
    monkeypatch.setattr(start_server, "_STAY_DOWN_SECONDS", 3.0)
    task = drive(start_server, **daemon)
    preview = task.plan()
    (home / "run").mkdir()
    launch = f"{daemon['command']} >log & echo $! >run/game.pid"
    late = threading.Timer(0.4, lambda: subprocess.run(["sh", "-c", launch], cwd=home, check=True))
    late.start()
    task.revert(preview)
    late.join()
    assert not is_open(port)


class TestKilled:
    """The script is killed with all that it waits for, after so many seconds; then the hook is reverted."""

    @pytest.fixture
    def killed(self, home):
        def run(script, seconds):
            with subprocess.Popen(
                ["sh"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=home,
                env={**os.environ, "HOME": str(home)}, start_new_session=True,
            ) as process:  # fmt: skip
                process.stdin.write(script.text.encode())
                process.stdin.close()
                time.sleep(seconds)
                os.killpg(process.pid, signal.SIGKILL)

        return run

    @pytest.fixture
    def scripts(self, monkeypatch):
        """What the hooks would have run; they are interrupted before."""
        kept = []

        def keep(script, ctx, what):
            kept.append(script)
            raise Interrupted("the link was lost")

        def take(task, preview):
            with monkeypatch.context() as patched:
                patched.setattr(Script, "act", keep)
                with pytest.raises(Interrupted):
                    task.execute(preview)
            return kept.pop()

        return take

    @pytest.mark.parametrize("seconds", [0.1, 0.6])
    def test_a_stop_that_was_killed_is_reverted_to_a_server_that_runs(
        self, drive, daemon, home, port, killed, scripts, seconds
    ):
        start(drive, daemon)
        task = drive(
            stop_server, **daemon, drain_command="sleep 0.2; touch drained", undrain_command="rm -f drained"
        )  # fmt: skip
        preview = task.plan()
        killed(scripts(task, preview), seconds)
        for _ in range(2):
            task.revert(preview)
            assert is_open(port)
            eventually(lambda: not (home / "drained").exists())

    @pytest.mark.parametrize("seconds", [0.02, 0.3])
    def test_a_start_that_was_killed_is_reverted_to_none(self, drive, daemon, port, killed, scripts, seconds):
        task = drive(start_server, **daemon)
        preview = task.plan()
        killed(scripts(task, preview), seconds)
        for _ in range(2):
            task.revert(preview)
            assert not is_open(port)


@pytest.mark.parametrize("log", ["logs/game", "logs/new/game", "logs"])
def test_a_log_that_cannot_be_written_fails_in_the_plan(drive, home, read_only, log):
    (home / "logs").mkdir()
    (home / "logs/game").touch()
    read_only(home / "logs")
    preview = drive(start_server, service="x", pidfile="pid", log=log, command="sleep 60").plan()
    assert preview.action is Action.FAIL
    assert re.search(rf"may not write (in|to) {home}/logs|{home}/logs is a directory", preview.why)


def test_so_does_a_pidfile_unless_it_runs_already(drive, home, read_only):
    (home / "run").mkdir()
    task = drive(start_server, service="x", pidfile="run/new/pid", command="sleep 60")
    read_only(home / "run")
    assert f"may not write in {home}/run (see `become`)" in task.plan().why
    runs = drive(start_server, service="x", pidfile="pid", command="sleep 60", log="/dev/null")
    done = runs.plan()
    assert done.action is Action.CHANGE
    runs.execute(done)
    read_only(home)
    assert runs.plan().action is Action.UNCHANGED
    runs.revert(done)
