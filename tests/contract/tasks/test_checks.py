"""What start_server and wait_for ask of a server: each against a real one, by whatever the target has to ask with."""

import shlex
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

import opsflow_tasks
from opsflow.model import Action
from opsflow_tasks import start_server

TALK = Path(opsflow_tasks.__file__).with_name("target") / "talk.sh"
TALKERS = ("perl", "python3", "bash", "socat", "nc")
HTTP = ("curl", "wget")


@contextmanager
def served(answer, family=socket.AF_INET, at=("127.0.0.1", 0)):
    """A server that gives `answer(what it is asked)`; its address."""
    with socket.socket(family) as listening:
        listening.bind(at)
        listening.listen()

        def serve():
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                with client:
                    client.settimeout(10)
                    answer(client)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()
        listening.shutdown(socket.SHUT_RDWR)


def greet(client):
    client.sendall(b"220 mail\x00 ready\r\n")
    client.recv(1)  # stays connected until the other end goes


def shout(client):
    client.sendall(client.recv(100).upper())


@pytest.fixture(params=["perl", "python3", "bash", "socat", "busybox nc"])
def talk(request, hide, tools):
    """`talk(HOST, PORT, HOW, asked)` with the one program that the target has for it."""
    name = request.param.split()[-1]
    program = sys.executable if name == "python3" else shutil.which(request.param.split()[0])
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    hide(*TALKERS)
    (tools / name).write_text(f'#!/bin/sh\nexec {program} {"nc" if name == "nc" else ""} "$@"\n')
    (tools / name).chmod(0o755)

    def run(host, port, how, asked=""):
        words = shlex.join([host, str(port)])
        script = f"o_limit='timeout 20'\n{TALK.read_text()}\ncan_talk {words} && talk {words} {how} 2"
        return subprocess.run(["sh", "-c", script], input=asked, capture_output=True, text=True, check=False)

    run.unix = name in {"perl", "python3", "socat"}
    return run


def test_the_first_that_a_server_says_is_heard_although_it_goes_on_waiting(talk):
    with served(greet) as (host, port):
        assert talk(host, port, "first").stdout.startswith("220 mail")


def test_a_question_gets_the_whole_answer(talk):
    with served(shout) as (host, port):
        assert talk(host, port, "all", "hello\n").stdout.strip() == "HELLO"


def test_a_port_that_nobody_listens_at_fails(talk):
    with served(shout) as (host, port):
        pass
    done = talk(host, port, "all", "hello\n")
    assert done.returncode
    assert done.stdout == "" or "refused" in done.stdout


def test_a_socket_file_is_talked_to(talk, tmp_path):
    if not talk.unix:
        assert talk(str(tmp_path / "s"), "", "all").returncode
        return
    with served(shout, socket.AF_UNIX, str(tmp_path / "s")):
        assert talk(str(tmp_path / "s"), "", "all", "hello\n").stdout.strip() == "HELLO"


@pytest.fixture
def looked(drive):
    """`looked(port, PARAMETER=VALUE)`: what start_server sees of a server that runs; empty if all is well."""

    def look(port, **params):
        task = drive(start_server, service="x", start="true", status="true", port=port, **params)
        preview = task.plan()
        assert preview.action is not Action.FAIL, preview
        return "" if preview.action is Action.UNCHANGED else preview.summary.partition(": ")[2]

    return look


def test_a_banner_tells_what_listens(looked):
    with served(greet) as (_, port):
        assert looked(port, banner="220") == ""
        assert looked(port, banner="SSH-2.0") == f'port {port} says "220 mail ready", not "SSH-2.0"'


ANSWER = (
    b"HTTP/1.1 200 OK\r\nX-Release: 2.4.1\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\n"
    b"all is well\n"
)


def web(client):
    asked = client.recv(4096).split(b"\r\n")[0].split(b" ")[1]
    if asked == b"/away":
        client.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    elif asked == b"/sick":
        client.sendall(b"HTTP/1.1 503 Sick\r\nContent-Length: 9\r\nConnection: close\r\n\r\nno memory")
    else:
        client.sendall(ANSWER)


@pytest.mark.parametrize("hidden", [(), ("curl",), (*HTTP,), (*HTTP, "perl")], ids=["curl", "wget", "perl", "python3"])
def test_http_is_asked_by_what_there_is(looked, hide, hidden):
    hide(*hidden)
    with served(web) as (_, port):
        url = f"http://127.0.0.1:{port}/"
        assert looked(port, http="/") == ""
        assert looked(port, http="/", http_header={"x-release": "2.4"}, http_body="is well") == ""
        assert looked(port, http="/", http_header={"X-Release": "2.5"}) == (
            f'{url} does not answer with the header "X-Release: 2.5"'
        )
        assert looked(port, http="/", http_body="X-Release") == f'{url} does not answer with "X-Release"'
        assert looked(port, http="/sick") == f"{url}sick answers 503, not 200"
        assert looked(port, http="/sick", http_status=[200, 503]) == ""
        assert looked(port, http="/away") == f"{url}away answers 302, not 200"


@pytest.mark.parametrize("hidden", [(), ("curl",), (*HTTP,)], ids=["curl", "wget", "perl"])
def test_a_web_server_that_is_not_there_does_not_answer_and_why_is_told(drive, hide, hidden):
    hide(*hidden)
    with served(web) as (_, port):
        pass
    preview = drive(start_server, service="x", start="true", status="true", http=f"http://127.0.0.1:{port}/").plan()
    assert f"http://127.0.0.1:{port}/ does not answer: " in preview.summary


@pytest.mark.parametrize(
    ("params", "missing"),
    [
        ({"http": "https://127.0.0.1/"}, "neither curl nor wget is there"),
        ({"http": "http://127.0.0.1/", "hidden": TALKERS}, "neither curl nor wget is there"),
        ({"banner": "x", "port": 1, "hidden": TALKERS}, "none of perl, python3, bash, socat and nc is there"),
    ],
)
def test_a_target_that_has_nothing_to_ask_with_says_so(drive, hide, params, missing):
    hide(*HTTP, *params.get("hidden", ()))
    with served(greet) as (_, port):
        given = {**params, **({"port": port} if "port" in params else {})}
        given.pop("hidden", None)
        preview = drive(start_server, service="x", start="true", status="true", **given).plan()
    assert preview.action is Action.FAIL
    assert missing in preview.why


def test_it_is_healthy_only_after_so_many_passes_in_a_row(drive, home):
    """The check fails at first, passes once, fails, and then passes for good."""
    (home / "check.sh").write_text("echo . >>times; case $(wc -l <times) in 1 | 3) exit 1 ;; esac\n")
    task = drive(
        start_server, service="x", start="touch up", status="test -e up",
        check="sh check.sh", passes=3, every="10ms", stay_up=0,
    )  # fmt: skip
    task.apply()
    assert len((home / "times").read_text()) // 2 == 6


def test_what_a_check_says_last_is_told(drive):
    task = drive(
        start_server, service="x", start="touch up", status="test -e up",
        check="echo looking; echo 'no such realm' >&2; exit 3", timeout="300ms",
    )  # fmt: skip
    with pytest.raises(Exception, match=r"the check ends with 3: echo .* exit 3 \(\"no such realm\"\)"):
        task.apply()


def test_a_check_that_hangs_ends_with_the_deadline(drive):
    task = drive(start_server, service="x", start="touch up", status="test -e up", check="sleep 600", timeout="1s")
    with pytest.raises(Exception, match="not healthy after 1 s: the check ends with 124: sleep 600"):
        task.apply()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"banner": "x"}, "`banner` needs `port`"),
        ({"http_status": 204}, "need `http`"),
        ({"http": "/", "port": 1, "http_status": [20]}, "greater than or equal to 100"),
        ({"http": "/", "port": 1, "http_body": "a\nb"}, "pattern"),
        ({"passes": 0}, "passes"),
    ],
)
def test_what_makes_no_sense_is_refused(params, message):
    with pytest.raises(ValidationError, match=message):
        start_server.params().model_validate({"service": "x", **params})
