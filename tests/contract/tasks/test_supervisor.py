"""stop_server and start_server with a real supervisord."""

import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from opsflow import TaskFailed
from opsflow.model import Action
from opsflow_tasks import start_server, stop_server

CONFIG = """\
[unix_http_server]
file={directory}/sock
[supervisord]
logfile={directory}/log
pidfile={directory}/pid
childlogdir={directory}
nodaemon=true
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{directory}/sock
[program:game]
command={program} game
startsecs=0
[program:stubborn]
command={program} stubborn
startsecs=0
stopwaitsecs=1
[program:crash]
command={program} crash
autostart=false
startretries=0
"""

PROGRAM = """\
case $1 in
    crash) echo cannot read the map >&2; exit 7 ;;
    stubborn) trap '' TERM ;;
    game) cd "${0%/*}" && echo $$ >new && mv new game.pid ;;
esac
while :; do sleep 0.1; done
"""


def alive(pid):
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
def supervisor(home):
    """A running supervisord; its configuration is where supervisorctl looks first."""
    if shutil.which("supervisord") is None:
        pytest.skip("supervisord is not installed (Debian: apt-get install supervisor)")
    (home / "program.sh").write_text(PROGRAM)
    program = f"sh {shlex.quote(str(home / 'program.sh'))}"
    directory = home.parent
    (home / "supervisord.conf").write_text(CONFIG.format(directory=directory, program=program))
    with subprocess.Popen(
        ["supervisord", "-c", home / "supervisord.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as daemon:
        ends = time.monotonic() + 30
        while not ((directory / "sock").exists() and (home / "game.pid").exists()):
            assert time.monotonic() < ends, (directory / "log").read_text()
            time.sleep(0.05)
        yield directory
        daemon.terminate()


FAST = {"stay_up": "100ms", "timeout": "20s"}
GONE = {"stay_down": "100ms", "timeout": "20s"}


def test_it_is_found_by_itself_stopped_and_started_again(drive, supervisor):
    task = drive(stop_server, service="game", **GONE)
    preview = task.plan()
    pid = preview.before["pid"]
    assert preview.before["manager"] == "supervisor"
    outputs = task.execute(preview)
    assert not alive(pid)
    again = task.plan()
    assert (again.action, again.outputs) == (Action.UNCHANGED, outputs)
    task.revert(preview)
    assert alive(task.plan().before["pid"])
    task.revert(preview)
    assert drive(start_server, service="game", **FAST).plan().action is Action.UNCHANGED


def test_what_supervisor_kills_counts_as_stopped_only_if_that_is_allowed(drive, supervisor):
    gentle = drive(stop_server, service="stubborn", **GONE)
    with pytest.raises(TaskFailed, match="supervisor had to kill it, since it did not end in time"):
        gentle.apply()
    drive(start_server, service="stubborn", **FAST).apply()
    allowed = drive(stop_server, service="stubborn", kill=True, **{**GONE, "timeout": "300ms"})
    pid = allowed.plan().before["pid"]
    allowed.apply()
    assert not alive(pid)


def test_a_program_that_ends_at_once_fails_with_the_lines_that_supervisor_has_of_it(drive, supervisor):
    task = drive(start_server, service="crash", **FAST)
    with pytest.raises(TaskFailed, match="spawn error") as failure:
        task.apply()
    assert "cannot read the map" in failure.value.hint
    given_up = drive(stop_server, service="crash").plan()
    assert (given_up.action, given_up.summary) == (Action.UNCHANGED, "crash is failed")


def test_a_program_that_supervisor_does_not_have_is_named(drive, supervisor, tools):
    (tools / "systemctl").write_text("#!/bin/sh\nprintf 'LoadState=not-found\\n'\n")
    (tools / "systemctl").chmod(0o755)
    preview = drive(start_server, service="gaem").plan()
    assert preview.action is Action.FAIL
    assert preview.why == "there is no unit gaem; supervisor has no program gaem"


def test_a_process_that_supervisor_restarts_is_not_taken_for_stopped(drive, supervisor):
    task = drive(stop_server, service="game", pidfile="game.pid", stay_down="20s")
    with pytest.raises(TaskFailed, match=r"it came back as pid \d+: pid \d+ \(supervisord\) restarts it"):
        task.apply()
