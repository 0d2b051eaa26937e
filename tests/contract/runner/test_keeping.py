"""What a target keeps, and for how long."""

import os
import time

import pytest
from runner_ground import gate, in_thread, until

from opsflow.errors import Interrupted
from opsflow.model import record_of

_DAY = 86400


@pytest.fixture
def transport(ground):
    transport = ground.transport()
    yield transport
    transport.close()


def kept(ground, attempt="a"):
    return {p.suffix for p in (ground.base / ground.run).glob(f"{record_of(attempt)}.*") if p.stat().st_size >= 0}


def test_what_settled_attempts_printed_goes_when_they_are_many_and_that_they_ran_is_remembered(ground, transport):
    place = transport.claim(ground.run, 1)
    names = [f"a{n}" for n in range(32)]
    for name in names:
        transport.run("echo ran >>witness; echo said", input=b"x" * 20_000, op=ground.operation(name, 1))
        transport.forget([name])
    assert {".go", ".out", ".err", ".in"} <= kept(ground, names[0])
    messages = transport._target._channels[0].messages
    transport.run("true", op=ground.operation("b", 1))
    assert transport._target._channels[0].messages == messages + 1
    until(lambda: kept(ground, names[-1]) == {".go"})
    assert all(kept(ground, name) == {".go"} for name in names)
    assert transport.run("echo ran >>witness; echo said", op=ground.operation("a0", 1, place)).ok
    assert ground.witness() == {"ran": 32}


def test_large_outputs_do_not_wait_until_there_are_many(ground, transport):
    for number in range(1, 4):
        transport.run("head -c 10000000 /dev/zero", op=ground.operation("a", number))
    transport.run("head -c 10000000 /dev/zero", op=ground.operation("open", 1))
    transport.forget(["a"])
    transport.run("true", op=ground.operation("b", 1))
    until(lambda: kept(ground) == {".go"})
    assert ".out" in kept(ground, "open")


def test_what_was_not_removed_yet_goes_with_the_connection(ground, transport):
    transport.run("echo said", op=ground.operation("a", 1))
    transport.forget(["a"])
    transport.run("true", op=ground.operation("b", 1))
    assert ".out" in kept(ground)
    transport.close()
    until(lambda: kept(ground) == {".go"})


def test_runs_that_nobody_came_back_to_are_removed_after_a_month(ground, transport):
    old, young, busy = (ground.base / name for name in ("old", "young", "busy"))
    place = {}
    for path in (old, young, busy):
        ground.run = path.name
        made = ground.transport()
        place[path.name] = made.claim(path.name, 1)
        made.run("echo ran >>witness", op=ground.operation("a", 1))
        if path is busy:
            thread, _ = in_thread(lambda m=made: m.run("touch begun; sleep 30", op=ground.operation("a", 2)))
            until((ground.home / "begun").exists)
        made.close()
    thread.join(10)
    age(old, 31)
    age(busy, 31)
    age(young, 29)
    (ground.base / "swept").unlink(missing_ok=True)
    connect_once(ground)
    until(lambda: not old.exists())
    assert young.exists()
    assert busy.exists()
    ground.run = "old"
    later = ground.transport()
    with pytest.raises(Interrupted, match="no record"):  # and not: it never ran
        later.run("echo ran >>witness", op=ground.operation("a", 1, place["old"]))
    assert ground.witness() == {"ran": 3}
    later.close()


def test_it_is_looked_for_once_a_day(ground):
    connect_once(ground)
    until((ground.base / "swept").exists)
    until(lambda: not ground.processes())
    old = ground.base / "old"
    old.mkdir()
    age(old, 31)
    connect_once(ground)
    assert old.exists()
    (ground.base / "swept").write_text("another day\n")
    connect_once(ground)
    until(lambda: not old.exists())


def test_a_run_directory_that_was_lost_is_known_to_be_another(ground, transport):
    """Its base is still the same: without an id of its own "no record" would mean "it never ran"."""
    place = transport.claim(ground.run, 1)
    op = ground.operation("a", 1, place)
    transport.run("echo ran >>witness", op=op)
    transport.close()
    until(lambda: not ground.processes())
    (ground.base / ground.run).rename(ground.home / "lost")
    later = ground.transport()
    with pytest.raises(Interrupted, match="no record"):
        later.run("echo ran >>witness", op=op)
    later.close()


def test_a_gate_outlives_what_was_printed(ground, transport):
    transport.run("echo said; exit 3", op=ground.operation("a", 1))
    assert gate(ground, ground.operation("a", 1)).read_text().startswith("e 3 ")


def connect_once(ground):
    run, ground.run = ground.run, "today"
    made = ground.transport()
    made.claim("today", 1)
    made.close()
    until(lambda: len(ground.processes()) <= 4)
    time.sleep(0.3)
    ground.run = run


def age(path, days):
    when = time.time() - days * _DAY - 3600
    os.utime(path, (when, when))


def test_a_run_with_more_records_than_a_program_takes_arguments_is_let_go(ground):
    transport = ground.transport()
    transport.run("true", op=ground.operation("a", 1))
    kept = ground.base / ground.run
    for number in range(25_000):
        (kept / f"o{number:024d}.1.go").touch()
    transport.release()
    transport.close()
    until(lambda: [path.name for path in kept.iterdir()] == ["epoch"], 60)


def test_an_attempt_with_more_records_than_a_program_takes_arguments_is_cleaned(ground, transport):
    transport.run("true", op=ground.operation("b", 1))
    kept = ground.base / ground.run
    record = record_of("a")
    for number in range(1, 5_001):
        (kept / f"{record}.{number}.go").touch()
        (kept / f"{record}.{number}.out").touch()
    transport.forget(["a"])
    transport.run("true", op=ground.operation("b", 2))
    transport.close()
    until(lambda: not list(kept.glob(f"{record}.*.out")), 60)
    assert len(list(kept.glob(f"{record}.*.go"))) == 5_000
