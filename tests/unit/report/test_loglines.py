"""What attempts printed, as lines: joined from pieces in both directions, and shown."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from opsflow.model import Phase, Printed
from opsflow.report.loglines import Joiner, last_lines, line_data, line_text
from opsflow.report.text import Paint

START = datetime(2026, 11, 24, 20, 0, 0, tzinfo=UTC)
EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"


class Pieces(list):
    """What was printed, a second apart."""

    def say(self, text, *, node="a@h", stream="stdout", cut=0, ended=None, number=1):
        n = len(self) + 1
        self.append(
            Printed(
                n=n, attempt=f"r/{node}/execute/{number}", node=node, phase=Phase.EXECUTE, number=number, stream=stream,
                at=START + timedelta(seconds=n), ended=ended and START + timedelta(seconds=ended), text=text, cut=cut,
            )
        )  # fmt: skip


@pytest.fixture
def pieces():
    return Pieces()


def joined(pieces):
    joiner = Joiner()
    return [line for piece in pieces for line in joiner.feed(piece)] + list(joiner.rest())


def texts(lines):
    return [line.text or line.cut for line in lines]


def test_a_line_that_came_in_pieces_is_one_and_streams_do_not_mix(pieces):
    pieces.say("one ")
    pieces.say("two ", node="b@h")
    pieces.say("err\n", stream="stderr")
    pieces.say("line\nnext")
    pieces.say("\n", node="b@h")
    assert texts(joined(pieces)) == ["err\n", "one line\n", "two \n", "next"]


def test_a_last_line_without_newline_stands_before_what_came_after_its_attempt(pieces):
    pieces.say("done", ended=2)
    pieces.say("asks? ", node="b@h")
    pieces.say("later\n", node="c@h")
    assert texts(joined(pieces)) == ["done", "later\n", "asks? "]


def test_a_gap_is_told_where_it_is(pieces):
    pieces.say("half a li")
    pieces.say("last\n", cut=1000)
    assert texts(joined(pieces)) == ["half a li", 1000, "last\n"]
    assert texts(last_lines(reversed(pieces), 2)) == [1000, "last\n"]
    assert list(line_text(joined(pieces)[1], Paint(colour=False))) == ["a@h stdout | [1,000 bytes not kept]"]


def test_a_line_without_end_does_not_gather_in_memory(pieces):
    for _ in range(100):
        pieces.say("x" * 10_000)
    assert max(len(line.text) for line in joined(pieces)) < 80_000
    assert "".join(texts(joined(pieces))) == "x" * 1_000_000


@pytest.mark.parametrize("seed", range(30))
def test_the_last_lines_read_backwards_are_the_last_ones_read_forwards(pieces, seed):
    chance = random.Random(seed)
    for _ in range(chance.randrange(1, 40)):
        text = "".join(chance.choice("ab\n") for _ in range(chance.randrange(1, 6)))
        node = chance.choice(("a@h", "b@h"))
        pieces.say(text, node=node, stream=chance.choice(("stdout", "stderr")), cut=chance.choice((0, 0, 0, 0, 9)))
    ends = {}  # lines without newline stand where their text ends
    for line in joined(pieces):
        ends.setdefault(line.piece.n, []).append(line)
    everything = texts([line for n in sorted(ends) for line in ends[n]])
    for count in (0, 1, 2, 5, 1000):
        assert texts(last_lines(reversed(pieces), count)) == (everything[-count:] if count else [])


def test_no_more_is_read_backwards_than_is_needed(pieces):
    for n in range(100):
        pieces.say(f"{n}\n")
    read = []

    def backwards():
        for piece in reversed(pieces):
            read.append(piece)
            yield piece

    assert texts(last_lines(backwards(), 2)) == ["98\n", "99\n"]
    assert len(read) == 3  # one more: whether the line begins there


def test_lines_are_shown_harmless_with_node_stream_and_attempt(pieces):
    pieces.say(f"{EVIL}\n10%\r20%\r\n")
    first, second = joined(pieces)
    plain = Paint(colour=False)
    assert "\x1b" not in "".join(line_text(first, plain))
    assert list(line_text(second, plain)) == ["a@h stdout | 10%", "a@h stdout | 20%"]
    again = replace(second, piece=replace(second.piece, number=2, stream="stderr"))
    assert next(line_text(again, plain)) == "a@h execute 2 stderr | 10%"
    undone = replace(second, piece=replace(second.piece, phase=Phase.REVERT))
    assert next(line_text(undone, plain)).startswith("a@h revert 1 stdout | ")
    assert "\x1b[" in next(line_text(again, Paint(colour=True)))


def test_programs_get_the_text_as_it_was_printed(pieces):
    pieces.say(f"{EVIL}\r\n", node="a[x@y]@h")
    data = line_data(joined(pieces)[0])
    assert data == {
        "node": "a[x@y]@h", "step": "a", "host": "h", "attempt": "r/a[x@y]@h/execute/1", "phase": "execute", "n": 1,
        "stream": "stdout", "at": "2026-11-24T20:00:01.000Z", "text": f"{EVIL}\r\n", "cut": 0,
    }  # fmt: skip
