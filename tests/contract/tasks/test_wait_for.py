import http.server
import socket
import threading
from contextlib import contextmanager

import pytest
from pydantic import ValidationError

from opsflow import TaskFailed
from opsflow.model import Action
from opsflow_tasks import wait_for

QUICK = {"every": "20ms", "timeout": "20s"}


@contextmanager
def listening(port=0):
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        yield server.getsockname()[1]


def later(act, seconds=0.5):
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def test_what_is_so_already_is_unchanged_and_a_look_changes_nothing(drive, home):
    (home / "ready").write_text("starting\nready to serve\n")
    with listening() as port:
        task = drive(wait_for, port=port, file="ready", contains="ready", check="test -e ready")
        preview = task.plan()
        assert (preview.action, preview.summary, preview.outputs) == (Action.UNCHANGED, "it is so already", {})
        assert task.transport.trips == 1
    assert [path.name for path in home.iterdir()] == ["ready"]


def test_it_waits_for_a_port_in_one_round_trip_and_a_revert_does_nothing(drive):
    with listening() as port:
        pass
    task = drive(wait_for, port=port, **QUICK)
    preview = task.plan()
    assert preview.summary == f"wait for it, 20 s at most: port {port} is not open"
    assert preview.reversible
    opened = []
    later(lambda: opened.append(server := listening(port)) or server.__enter__())
    assert task.execute(preview) is None
    assert task.transport.trips == 1
    task.revert(preview)
    assert task.transport.trips == 0
    opened[0].__exit__(None, None, None)


@pytest.mark.parametrize("only", ["perl", "python3", "bash", "socat", "busybox"])
def test_a_port_of_another_machine_is_connected_to(drive, hide, tools, only):
    others = {"perl", "python3", "bash", "socat", "nc"} - {only}
    hide(*others)
    if only == "busybox":
        (tools / "nc").write_text('#!/bin/sh\nexec busybox nc "$@"\n')
        (tools / "nc").chmod(0o755)
    if only == "python3":
        (tools / "python3").unlink()
        (tools / "python3").symlink_to("/usr/bin/python3")
    with listening() as port:
        assert drive(wait_for, host="localhost", port=port).plan().action is Action.UNCHANGED
    preview = drive(wait_for, host="localhost", port=port).plan()
    assert f"port {port} of localhost is not open: " in preview.summary
    assert preview.summary.endswith("refused")
    assert drive(wait_for, host="localhost", port=port).plan().summary == preview.summary
    assert drive(wait_for, host="localhost", port=port, absent=True).plan().action is Action.UNCHANGED


def test_a_port_may_have_to_be_closed(drive):
    with listening() as port:
        task = drive(wait_for, port=port, absent=True, every="20ms", timeout="200ms")
        with pytest.raises(TaskFailed, match=f"cannot go on: port {port} is open, after 0.20 s"):
            task.apply()
    assert task.plan().action is Action.UNCHANGED


def test_it_waits_for_a_file_and_for_what_is_in_it(drive, home):
    task = drive(wait_for, file="log", contains="[ready]", **QUICK)
    preview = task.plan()
    assert preview.summary.endswith("log is not there")
    (home / "log").write_text("starting\n")
    assert task.plan().summary.endswith('log does not contain "[ready]"')
    later(lambda: (home / "log").write_text("starting\nnow [ready]\n"))
    task.execute(preview)
    gone = drive(wait_for, file="log", absent=True, **QUICK)
    preview = gone.plan()
    assert preview.summary.endswith("log is there")
    later((home / "log").unlink)
    gone.execute(preview)


def test_http_is_asked_at_the_other_machine(drive):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        found = drive(wait_for, host="127.0.0.1", port=port, http="/no-such-page", http_status=404).plan()
        other = drive(wait_for, host="127.0.0.1", port=port, http="/no-such-page").plan()
        server.shutdown()
    assert found.action is Action.UNCHANGED
    assert other.summary.endswith(f"http://127.0.0.1:{port}/no-such-page answers 404, not 200")


def test_a_command_has_to_pass_so_often_in_a_row(drive, home):
    (home / "check.sh").write_text("echo . >>times; case $(wc -l <times) in 1 | 3) exit 1 ;; esac\n")
    task = drive(wait_for, check="sh ../check.sh", cwd="srv", passes=2, env={"A": "1"}, **QUICK)
    (home / "srv").mkdir()
    task.apply()
    assert len((home / "srv/times").read_text()) // 2 == 5


def test_what_does_not_hold_long_enough_says_so(drive):
    task = drive(wait_for, check="test -e x || { touch x; exit 1; }", passes=100, every="100ms", timeout="300ms")
    with pytest.raises(TaskFailed, match=r"it held only \d of 100 times in a row, after 0.30 s"):
        task.apply()


def test_an_interrupted_wait_is_done_again(drive, home):
    task = drive(wait_for, file="x", **QUICK)
    for interrupted in task.interruptions(1):
        preview = task.plan()
        (home / "x").touch()
        interrupted(preview)
        assert task.plan().action is Action.UNCHANGED
        (home / "x").unlink()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "nothing to wait for"),
        ({"host": "db"}, "`host` needs `port`"),
        ({"host": "db", "port": 1, "address": "127.0.0.1"}, "not both"),
        ({"contains": "x", "port": 1}, "`contains` needs `file`"),
        ({"absent": True, "check": "true"}, "the other way round"),
        ({"prot": 1}, "prot"),
    ],
)
def test_what_makes_no_sense_is_refused(params, message):
    with pytest.raises(ValidationError, match=message):
        wait_for.params().model_validate(params)


def test_every_parameter_is_described():
    assert all(field.get("description") for field in wait_for.params().model_json_schema()["properties"].values())
