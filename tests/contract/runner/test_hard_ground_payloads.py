"""Commands that do strange things: to themselves, to who watches over them, and to what is kept of them."""

import itertools
import os
import signal
from pathlib import Path

import pytest
from hard_ground import HardGround, need
from runner_ground import in_thread, until

from opsflow.errors import Interrupted
from opsflow.testing.processes import kill, with_environment
from opsflow.transport import following

ATTEMPTS = itertools.count(1)


@pytest.fixture(params=["dash", "ash"], scope="module")
def ground(request, tmp_path_factory):
    need("busybox", "dash")
    ground = HardGround(tmp_path_factory.mktemp("ground") / "fleet", request.param)
    ground.start()
    yield ground
    ground.close()


@pytest.fixture
def op(ground):
    """Makes operations of an attempt of the test's own."""
    attempt, numbers = f"attempt{next(ATTEMPTS)}", itertools.count(1)
    return lambda number=None, **more: ground.op(attempt, number or next(numbers), **more)


@pytest.fixture
def does(ground, op):
    """Runs a command as the next operation: status, output, errors."""

    def run(command, **more):
        result = ground.run(command, op(), **more)
        return result.exit_status, result.stdout, result.stderr

    return run


def test_every_status_is_told_as_it_is(ground, op):
    results = [ground.run(f"exit {n}", op()) for n in range(256)]
    assert [(r.exit_status, r.timed_out, r.truncated) for r in results] == [(n, False, False) for n in range(256)]


@pytest.mark.parametrize("how", ["kill -{} $$", "sh -c 'kill -{} $$'; exit $?", "exec sh -c 'kill -{} $$'"])
def test_a_signal_is_told_as_128_and_its_number(does, how):
    wanted = {
        name: 128 + getattr(signal, f"SIG{name}") for name in ("HUP", "INT", "KILL", "PIPE", "TERM", "SEGV", "USR1")
    }
    assert {name: does(how.format(name))[0] for name in wanted} == wanted


@pytest.mark.parametrize(
    "command",
    [
        "(setsid sh -c 'sleep 20 & exit' &) ; echo out; exit 3",
        "setsid sleep 20 & echo out; exit 3",
        "nohup sleep 20 & echo out; exit 3",
        "(exec <&- >&- 2>&- 3>&- 4>&-; sleep 20) & echo out; exit 3",
        "sleep 20 & sleep 20 | sleep 20 & echo out; exit 3",
    ],
)
def test_what_a_command_leaves_running_is_let_go(ground, does, command):
    status, out, _ = does(command)
    assert (status, out) == (3, "out\n")
    until(lambda: sleepers(ground))
    kill(sleepers(ground))


def test_what_a_child_says_after_the_end_is_no_part_of_the_result(ground, does):
    assert does("{ sleep 0.3; echo late; touch late; } & echo out")[:2] == (0, "out\n")
    until((ground.home / "late").exists)
    assert does("echo next")[:2] == (0, "next\n")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("exec <&- >&- 2>&-; exit 4", (4, "", "")),
        ("exec >&-; echo lost; exit 4", (4, "", None)),
        ("kill 0; sleep 9", (143, "", "")),
        ("kill -9 0; sleep 9", (137, "", "")),
        ("trap '' TERM; kill 0; echo on; exit 5", (5, "on\n", "")),
        ("trap 'echo bye; exit 6' EXIT; exit 7", (6, "bye\n", "")),
        ("trap 'echo bye' EXIT; exit 7", (7, "bye\n", "")),
        ("kill $PPID; kill -HUP $PPID; kill -INT $PPID; sleep 0.1; echo on; exit 5", (5, "on\n", "")),
        ("exec echo on", (0, "on\n", "")),
        ("exec /nonexistent", (127, "", None)),
        ("return 8", (8, "", "")),
        ("HOME=/; umask 777; export HOME; echo on; exit 5", (5, "on\n", "")),
        ("ulimit -n 3; echo on; exit 5", (5, "on\n", "")),
        ("ulimit -f 0; exit 5", (5, "", "")),
        ("unset PATH HOME; echo on; exit 5", (5, "on\n", "")),
        ("PATH=; export PATH; echo on; exit 5", (5, "on\n", "")),
        ("printf() { :; }; kill() { :; }; read() { :; }; echo on", (0, "on\n", "")),
        ("set -eu; false; echo on", (1, "", "")),
        ("set -n", (0, "", "")),
        ("set -C; set -f; IFS=x; echo on; exit 5", (5, "on\n", "")),
        ("mkdir gone; cd gone; rmdir ../gone; echo on; exit 5", (5, "on\n", "")),
        ("cd /; echo on; exit 5", (5, "on\n", "")),
        ("if", (2, "", None)),
        ("echo 'open", (2, "", None)),
        ("cat <<X\nopen", (0, "open\n", None)),
        ("# nothing", (0, "", "")),
        ("cat; echo on; exit 5", (5, "on\n", "")),
        ("read x || echo none; exit 5", (5, "none\n", "")),
    ],
)
def test_what_a_command_does_to_itself_is_its_own_affair(does, command, expected):
    found = does(command)
    assert found[:2] == expected[:2]
    assert expected[2] is None or found[2] == expected[2]
    mask = os.umask(0)  # the one that a login has here: sshd has it from us
    os.umask(mask)
    assert does("pwd; umask; echo $((1 + 1))") == (0, f"{does('echo $HOME')[1]}{mask:04o}\n2\n", "")


def test_who_kills_its_supervisor_leaves_its_fate_unknown_and_the_connection_of_use(ground, does, op):
    with pytest.raises(Interrupted, match="supervisor was killed"):
        ground.run("kill -KILL $PPID; echo ran >>killer; sleep 1", op())
    for _ in range(4):
        assert does("echo on")[:2] == (0, "on\n")
    assert (ground.home / "killer").read_text() == "ran\n"


def test_who_stops_itself_is_ended_when_its_time_is_over(ground, op):
    result = ground.run("kill -STOP $$; touch on", op(), timeout=1)
    assert result.timed_out
    assert not (ground.home / "on").exists()


def test_who_stops_its_supervisor_is_ended_when_its_time_is_over(ground, op):
    thread, caught = in_thread(lambda: ground.run("kill -STOP $PPID; sleep 60", op(), timeout=1))
    thread.join(30)
    assert [result.timed_out for result in caught] == [True]
    assert ground.run("echo on", op()).stdout == "on\n"


def test_who_deletes_its_own_record_is_not_run_again_and_told_no_false_status(ground, op, monkeypatch):
    monkeypatch.setattr(following, "STARTING", 2.0)
    place = ground.transport.claim("run-1", 1)
    command = "echo ran >>witness; rm -rf .opsflow; exit 3"
    with pytest.raises(Interrupted, match="record"):
        ground.run(command, op())
    with pytest.raises(Interrupted, match="no record"):
        ground.again().run(command, op=op(1, place=place))
    assert (ground.home / "witness").read_text() == "ran\n"
    assert ground.run("echo on", op()).stdout == "on\n"


def test_a_script_of_a_megabyte_and_ten_thousand_arguments(ground, does):
    script = "\n".join(f": {n} {'x' * 100}" for n in range(10_000)) + "\necho end; exit 5"
    assert len(script) > 1_000_000
    assert does(script) == (5, "end\n", "")
    words = " ".join(str(n) for n in range(10_000))
    assert does(f"set -- {words}; echo $#; cat {words} 2>&1 | wc -l") == (
        0, "10000\n10000\n", "",
    )  # fmt: skip


def test_bytes_that_are_no_text_arrive_as_they_are(ground, does):
    raw = bytes(range(1, 256))
    text = raw.decode("utf-8", "surrogateescape")
    for place in ("env", "input", "command"):
        more = {"env": {"RAW": text}} if place == "env" else {"input": raw} if place == "input" else {}
        says = {"env": 'printf %s "$RAW" >got', "input": "cat >got"}.get(place) or f"cat >got <<'END'\n{text}\nEND"
        assert does(says, **more)[0] == 0
        got = (ground.home / "got").read_bytes()
        assert got.removesuffix(b"\n") == raw, place


def test_a_null_character_is_refused(ground, op):
    for more in ({"command": "echo a\0b"}, {"command": "true", "env": {"A": "a\0b"}}):
        with pytest.raises(ValueError, match="NUL"):
            ground.run(op=op(), **more)
    assert ground.run("cat | od -An -c", op(), input=b"a\0b").stdout.split() == ["a", "\\0", "b"]


def sleepers(ground):
    return [pid for pid in with_environment(f"OPSFLOW_FLEET={ground.home}") if b"sleep\x0020" in cmdline(pid)]


def cmdline(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
