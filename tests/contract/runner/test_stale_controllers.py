"""A controller that slept while a later one took its run over: it begins nothing more, and takes nothing away."""

import pytest
from runner_ground import gate, in_thread, until

from opsflow.errors import Interrupted
from opsflow.model import record_of
from opsflow.transport import following


@pytest.fixture
def earlier(ground):
    """One with a connection of which every slot has been used."""
    transport = ground.transport()
    for number in range(1, 6):
        transport.run("true", op=ground.operation("a", number))
    yield transport
    transport.close()


@pytest.fixture
def later(ground, earlier):
    """The one that took over; `ground` is the earlier one's still."""
    transport = ground.transport()
    ground.epoch = 2
    transport.claim(ground.run, 2)
    yield transport
    transport.close()


def test_it_begins_nothing_once_the_run_is_over(ground, earlier, later, monkeypatch):
    monkeypatch.setattr(following, "STARTING", 0.5)  # nobody tells it: the pipe for answers went with the records
    op = ground.operation("a", 6)
    later.run("echo once >>witness", op=op)
    later.release()
    ground.epoch = 1
    with pytest.raises(Interrupted, match="taken over"):
        earlier.run("echo once >>witness", op=ground.operation("a", 6))
    assert ground.witness() == {"once": 1}


def test_nothing_of_it_stays_at_work_once_the_run_is_over(ground, earlier, later, monkeypatch):
    monkeypatch.setattr(following, "STARTING", 0.5)
    later.release()
    later.close()
    ground.epoch = 1
    with pytest.raises(Interrupted, match="taken over"):
        earlier.run("true", timeout=60, op=ground.operation("a", 6))
    earlier.close()
    until(lambda: not ground.processes())


def test_it_does_not_take_the_records_away_that_the_later_one_works_with(ground, earlier, later):
    op = ground.operation("b", 1)
    later.run("echo once >>witness", op=op)
    earlier.release()
    assert gate(ground, op).exists()
    later.close()  # and comes back
    assert later.run("echo once >>witness", op=op).ok
    assert ground.witness() == {"once": 1}


def test_it_ends_nothing_that_the_later_one_has_begun(ground, earlier, later):
    thread, caught = in_thread(lambda: later.run("touch begun; until [ -e go ]; do sleep 0.1; done", op=op_of(ground)))
    until((ground.home / "begun").exists)
    ground.epoch = 1
    for ask in (earlier.cancel, earlier.fence):
        with pytest.raises(Interrupted, match="taken over"):
            ask(op_of(ground))
    (ground.home / "go").touch()
    thread.join(20)
    assert caught[0].ok
    ground.epoch = 2
    assert later.run("true", op=ground.operation("b", 2)).ok


def test_it_clears_nothing_away(ground, earlier, later):
    op = op_of(ground)
    later.run("echo said", op=op)
    many = " ".join(f"o{number}" for number in range(32))  # so many that it is done at once
    earlier._target._channels[0].send(f"C {record_of(op.attempt)} {many} .")
    ground.epoch = 1
    with pytest.raises(Interrupted, match="taken over"):  # what was said before has been heard
        earlier.fence(op_of(ground))
    assert gate(ground, op).with_suffix(".out").read_text() == "said\n"


def op_of(ground):
    return ground.operation("b", 1)
