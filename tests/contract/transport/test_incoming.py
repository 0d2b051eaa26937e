"""What comes in on a channel is read as paramiko's own buffer would have it, and nothing is lost in between."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paramiko.buffered_pipe import BufferedPipe, PipeTimeout

from opsflow.transport.incoming import Incoming

STEPS = st.lists(st.one_of(st.binary(min_size=1, max_size=9), st.integers(1, 12), st.sampled_from(["close", "empty"])))


def done(buffer, event, step):
    """What a step answers, and what can be seen after it."""
    answer = None
    if isinstance(step, bytes):
        buffer.feed(step)
    elif isinstance(step, int):
        try:
            answer = buffer.read(step, 0.0)
        except PipeTimeout:
            answer = "nothing now"
    else:
        answer = getattr(buffer, step)()
    return answer, len(buffer), buffer.read_ready(), event.is_set()


@given(STEPS)
def test_it_answers_as_paramikos_buffer_does(steps):
    pairs = [(buffer, threading.Event()) for buffer in (Incoming(), BufferedPipe())]
    for buffer, event in pairs:
        buffer.set_event(event)
    for step in steps:
        ours, theirs = (done(buffer, event, step) for buffer, event in pairs)
        assert ours == theirs


def test_who_waits_is_woken_by_a_piece_and_by_the_end():
    buffer = Incoming()
    threading.Timer(0.05, buffer.feed, [b"piece"]).start()
    assert buffer.read(9) == b"piece"
    threading.Timer(0.05, buffer.close).start()
    assert buffer.read(9) == b""


def test_who_waits_no_longer_than_told_is_told_so():
    with pytest.raises(PipeTimeout):
        Incoming().read(9, 0.01)


def test_an_event_that_is_given_late_is_set_if_there_is_something():
    buffer, event = Incoming(), threading.Event()
    buffer.feed(b"piece")
    buffer.set_event(event)
    assert event.is_set()
