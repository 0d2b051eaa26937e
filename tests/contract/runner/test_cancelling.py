"""An attempt is cancelled: nothing more of it starts, what runs is ended, and nobody takes that for a result."""

import os
import signal
import time
from dataclasses import replace

import pytest
from runner_ground import gate, in_thread, until

from opsflow.errors import Cancelled, Interrupted


@pytest.fixture
def transport(ground):
    transport = ground.transport()
    yield transport
    transport.close()


def begun(ground, transport, command, number=1, attempt="a"):
    """An operation that runs, in a thread; its command is to make the file `begun-NUMBER`."""
    op = ground.operation(attempt, number)
    thread, caught = in_thread(lambda: transport.run(command, op=op))
    until((ground.home / f"begun-{number}").exists)
    return thread, caught, op


def state(ground, op):
    return gate(ground, op).read_text()[:10].split()


def test_what_runs_is_ended_and_its_follower_hears_that_it_was_cancelled(ground, transport):
    thread, caught, op = begun(ground, transport, "touch begun-1; sleep 60 & sleep 60")
    transport.cancel(op)
    assert state(ground, op) == ["e", "143", "k"]
    assert not [pid for pid in ground.processes() if b"sleep\0" + b"60" in cmdline(pid)]
    thread.join(10)
    assert isinstance(caught[0], Cancelled)
    assert "was cancelled" in caught[0].reason


def test_another_process_may_ask_while_the_first_still_follows(ground, transport):
    thread, caught, op = begun(ground, transport, "touch begun-1; exec sleep 60")
    later = ground.transport()
    later.cancel(owned(ground, 2))
    assert state(ground, op) == ["e", "143", "k"]
    thread.join(10)
    assert isinstance(caught[0], Cancelled)
    later.close()


def test_another_process_may_ask_when_the_first_is_gone(ground, transport):
    thread, caught, op = begun(ground, transport, "touch begun-1; exec sleep 60")
    transport.close()
    thread.join(10)
    assert not isinstance(caught[0], Cancelled)
    later = ground.transport()
    later.cancel(owned(ground, 2))
    assert state(ground, op) == ["e", "143", "k"]
    until(lambda: len(ground.processes()) <= 7)  # the connection of the first has ended too
    with pytest.raises(Cancelled):
        later.run("touch begun-1; exec sleep 60", op=owned(ground, 2, place=later.claim(ground.run, 2)))
    later.close()


def test_what_does_not_heed_is_killed_five_seconds_later(ground, transport):
    thread, caught, op = begun(ground, transport, "trap '' TERM; touch begun-1; while :; do sleep 1; done")
    began = time.monotonic()
    transport.cancel(op)
    assert time.monotonic() - began >= 4.5
    assert state(ground, op) == ["e", "137", "k"]
    thread.join(10)
    assert isinstance(caught[0], Cancelled)


def test_a_child_that_cleans_up_has_its_time_although_its_shell_ended_at_once(ground, transport):
    command = """sh -c 'trap "sleep 2; touch cleaned; exit" TERM; touch begun-1; while :; do sleep 0.1; done'; true"""
    _, _, op = begun(ground, transport, command)
    transport.cancel(op)
    assert (ground.home / "cleaned").exists()


def test_a_child_that_does_not_heed_is_killed_although_its_shell_ended_at_once(ground, transport):
    command = """sh -c 'trap "" TERM; echo $$ >child; touch begun-1; while :; do sleep 0.1; done'; true"""
    _, _, op = begun(ground, transport, command)
    child = int((ground.home / "child").read_text())
    transport.cancel(op)
    assert child not in ground.processes()


def test_operations_on_all_slots_are_ended_and_those_of_others_are_not(ground, transport):
    begins = [begun(ground, transport, f"touch begun-{n}; exec sleep 60", n) for n in range(1, 7)]
    other, _, spared = begun(ground, transport, "touch begun-7; while [ ! -e go-on ]; do sleep 0.1; done", 7, "b")
    transport.cancel(begins[0][2])
    assert [state(ground, op) for _, _, op in begins] == [["e", "143", "k"]] * 6
    assert state(ground, spared)[0] == "r"
    (ground.home / "go-on").touch()
    other.join(10)
    assert state(ground, spared) == ["e", "0", "-"]
    for thread, caught, _ in begins:
        thread.join(10)
        assert isinstance(caught[0], Cancelled)


def test_nothing_more_of_it_starts(ground, transport):
    transport.run("true", op=ground.operation("a", 1))
    transport.cancel(ground.operation("a", 1))
    with pytest.raises(Interrupted, match="the attempt was ended"):
        transport.run("touch second", op=ground.operation("a", 2))
    assert not (ground.home / "second").exists()
    assert transport.run("true", op=ground.operation("b", 1)).ok


def test_what_ended_before_keeps_its_own_result(ground, transport):
    place = transport.claim(ground.run, 1)
    transport.run("exit 143", op=ground.operation("a", 1))
    transport.cancel(ground.operation("a", 1))
    assert transport.run("exit 143", op=ground.operation("a", 1, place)).exit_status == 143


def test_a_status_of_its_own_is_not_taken_from_what_was_cancelled(ground, transport):
    """It heeds, tidies up and ends with 0: that is no success."""
    thread, caught, op = begun(ground, transport, "trap 'exit 0' TERM; touch begun-1; while :; do sleep 0.1; done")
    transport.cancel(op)
    assert state(ground, op) == ["e", "0", "k"]
    thread.join(10)
    assert isinstance(caught[0], Cancelled)


@pytest.mark.parametrize("last", ["sleep 60; true", "exec sleep 60", "exec sleep 60 >/dev/null"])
def test_what_lost_its_supervisor_is_ended_too(ground, transport, last):
    thread, _, op = begun(ground, transport, f"echo $$ >payload; touch begun-1; {last}")
    os.kill(int(gate(ground, op).read_text().splitlines()[1].split()[2].split(":")[0]), signal.SIGKILL)
    thread.join(30)
    payload = int((ground.home / "payload").read_text())
    assert payload in ground.processes()
    transport.cancel(op)
    assert payload not in ground.processes()


@pytest.mark.parametrize("end", ["cancel", "fence"])
def test_whatever_the_moment_nothing_runs_afterwards(ground, transport, many, end):
    """Operations that start while the attempt is ended: each ran before, or not at all."""
    other = ground.transport()
    other.claim(ground.run, 1)
    for n in range(20 * many):
        attempt = f"a{n}"
        threads = [
            in_thread(lambda k=k, a=attempt: transport.run(f"echo {a} >>witness", op=ground.operation(a, k)))[0]
            for k in range(1, 5)
        ]
        time.sleep(n % 10 / 1000)
        getattr(other, end)(ground.operation(attempt, 1))
        seen = ground.witness()[attempt]
        for thread in threads:
            thread.join(30)
        assert ground.witness()[attempt] == seen
    other.close()


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def owned(ground, epoch, place=""):
    """The first operation of the attempt as a later owner of the run asks for it."""
    return replace(ground.operation("a", 1, place), epoch=epoch)
