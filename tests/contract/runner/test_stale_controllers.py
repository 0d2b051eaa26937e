"""A controller that slept while a later one took its run over: it begins nothing more, and takes nothing away."""

import pytest
from runner_ground import gate

from opsflow.errors import Interrupted
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


def test_it_does_not_take_the_records_away_that_the_later_one_works_with(ground, earlier, later):
    op = ground.operation("b", 1)
    later.run("echo once >>witness", op=op)
    earlier.release()
    assert gate(ground, op).exists()
    later.close()  # and comes back
    assert later.run("echo once >>witness", op=op).ok
    assert ground.witness() == {"once": 1}
