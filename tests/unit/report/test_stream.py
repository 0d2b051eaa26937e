import io
import os

import pytest

from opsflow.report.stream import LastingStream


def test_a_reader_that_left_is_not_noticed():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        lasting = LastingStream(stream)
        for _ in range(3):
            lasting.line("x" * 100_000)
        lasting.flush()
        stream.flush()  # what the interpreter does at exit


def test_what_the_encoding_cannot_say_is_escaped():
    raw = io.BytesIO()
    stream = LastingStream(io.TextIOWrapper(raw, encoding="ascii"))
    stream.line("größe")
    assert raw.getvalue() == b"gr\\xf6\\xdfe\n"


def test_lines_arrive_at_once():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        LastingStream(stream).line("now")
        assert os.read(reading, 100) == b"now\n"
    os.close(reading)


def test_it_says_what_it_is():
    stream = LastingStream(io.StringIO())
    assert stream.encoding == "utf-8"
    assert not stream.isatty()
    with pytest.raises(OSError):
        stream.fileno()
