"""A job that was given to two workers: the later one shuts the earlier one out of the attempt."""

from dataclasses import replace

import pytest

from opsflow.errors import Interrupted


@pytest.fixture
def workers(ground):
    made = ground.transport(), ground.transport()
    yield made
    for transport in made:
        transport.close()


def test_the_earlier_one_starts_nothing_more(ground, workers):
    earlier, later = workers
    assert earlier.run("echo one >>witness", op=ground.operation("a", 1)).ok
    assert later.run("echo one >>witness", op=delivered(ground, 1, 2)).ok
    with pytest.raises(Interrupted, match="taken over"):
        earlier.run("echo two >>witness", op=ground.operation("a", 2))
    assert later.run("echo two >>witness", op=delivered(ground, 2, 2)).ok
    assert ground.witness() == {"one": 1, "two": 1}


def test_asking_for_the_record_is_enough(ground, workers):
    earlier, later = workers
    earlier.run("echo one >>witness", op=ground.operation("a", 1))
    assert [found.digest for found in later.record(delivered(ground, 1, 2))] == ["a-1"]
    with pytest.raises(Interrupted, match="taken over"):
        earlier.run("echo two >>witness", op=ground.operation("a", 2))
    with pytest.raises(Interrupted, match="taken over"):
        earlier.record(ground.operation("a", 1))


def test_the_latest_counts(ground, workers):
    earlier, later = workers
    later.record(delivered(ground, 1, 3))
    with pytest.raises(Interrupted, match="taken over"):
        earlier.run("touch begun", op=delivered(ground, 1, 2))
    assert earlier.run("true", op=delivered(ground, 1, 3)).ok
    assert not (ground.home / "begun").exists()


def test_other_attempts_are_none_of_its_business_and_a_first_delivery_leaves_nothing_behind(ground, workers):
    earlier, later = workers
    later.record(delivered(ground, 1, 2))
    assert earlier.run("true", op=ground.operation("b", 1)).ok
    assert len(list((ground.base / ground.run).glob("*.de"))) == 1


def delivered(ground, number, delivery):
    return replace(ground.operation("a", number), delivery=delivery)
