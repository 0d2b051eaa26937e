"""A start that is sent a second time: that it cannot be made says nothing of the first one, which may have made it."""

import os
import signal

import pytest
from runner_ground import gate, in_thread, parts, until

from opsflow.errors import Interrupted, Refused


@pytest.fixture
def transport(ground):
    transport = ground.transport()
    transport.claim(ground.run, 1)
    yield transport
    transport.close()


def test_one_that_is_refused_is_certain_only_if_it_is_the_first(ground, transport):
    op = ground.operation("a", 1)
    in_the_way = gate(ground, op).with_suffix(".out")
    in_the_way.mkdir()
    with pytest.raises(Refused):
        transport.run("echo ran >>witness", op=op)
    slots = stopped(ground)
    channel = transport._target._channels[0]
    before = channel.messages
    thread, caught = in_thread(lambda: transport.run("echo ran >>witness", op=op))
    until(lambda: channel.messages > before + 2)  # it has asked and was answered: the start was taken before that
    channel.close()
    thread.join(30)
    assert isinstance(caught[0], Interrupted)
    in_the_way.rmdir()
    for slot in slots:
        os.kill(slot, signal.SIGCONT)
    until(lambda: ground.witness() == {"ran": 1})


def stopped(ground):
    """The slots of the connection, stopped."""
    until(lambda: parts(ground))
    _, *slots, _ = parts(ground)
    for slot in slots:
        os.kill(slot, signal.SIGSTOP)
    return slots
