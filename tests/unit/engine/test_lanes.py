"""Whose turn it is."""

import pytest
from world import World, host, make_plan, step

from opsflow.engine.lanes import Lanes, Queue


@pytest.fixture
def lanes():
    steps = [step("narrow", needs=[], at_once=1), step("wide", needs=[])]
    return Lanes(make_plan(steps, [host(name) for name in "abc"], World()))


@pytest.fixture
def queue(lanes):
    return Queue(lanes, lambda node: node.partition("@")[0])


def drained(queue, wanted=lambda _: True):
    return list(iter(lambda: queue.take(wanted), None))


def test_first_come_first_served(queue):
    for node in ("wide@b", "narrow@a", "wide@a"):
        queue.add(node)
    assert drained(queue) == ["wide@b", "narrow@a", "wide@a"]
    assert not queue


def test_a_full_lane_holds_up_none_of_another_step(queue, lanes):
    for node in ("narrow@a", "narrow@b", "narrow@c", "wide@a"):
        queue.add(node)
    assert drained(queue) == ["narrow@a", "wide@a"]
    assert queue
    lanes.give("narrow")
    queue.add("wide@b")
    assert drained(queue) == ["narrow@b", "wide@b"]


def test_one_put_first_is_the_next_of_its_step(queue, lanes):
    for node in ("narrow@a", "narrow@b"):
        queue.add(node)
    assert drained(queue) == ["narrow@a"]
    queue.add_first("narrow@c")
    lanes.give("narrow")
    assert drained(queue) == ["narrow@c"]


def test_who_is_not_wanted_waits_no_longer_and_takes_no_room(queue, lanes):
    for node in ("narrow@a", "narrow@b", "narrow@c"):
        queue.add(node)
    assert drained(queue, lambda node: node != "narrow@a") == ["narrow@b"]
    lanes.give("narrow")
    assert drained(queue, lambda node: node != "narrow@c") == []
    assert not queue
