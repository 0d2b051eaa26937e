import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsflow.model import NodeState
from opsflow.report.text import Paint, clean, columns, duration, last_lines, moment, one_line, plural, scope_words, some


@given(st.text())
def test_cleaned_text_holds_nothing_that_a_terminal_obeys(text):
    cleaned = clean(text)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in cleaned)
    assert not any(0x7F <= ord(c) < 0xA0 for c in cleaned)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain größe\n\tx", "plain größe\n\tx"),
        ("a\r\nb", "a\nb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\rb\x00\x7f\x9b", r"a\x0db\x00\x7f\x9b"),
        ("\u202eevil", r"\u202eevil"),
    ],
)
def test_control_characters_are_shown(text, shown):
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("run", "run"),
        ("host=web-1", "host=web-1"),
        ('shard="a"', "shard=a"),
        ('shard="a=\\u001b"', r"shard=a=\x1b"),
        ("shard=1", "shard=1"),
        ('node=a"@h', 'node=a"@h'),
    ],
)
def test_a_scope_is_written_as_people_do(key, words):
    assert scope_words(key) == words


def test_one_line_joins_what_there_is():
    assert one_line(" a\n  b\x07\n") == r"a b\x07"


def test_last_lines_count_overwritten_ones():
    assert last_lines("a\n10%\r20%\r30%\n\n", 2) == ["20%", "30%"]
    assert last_lines(" \n", 2) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.0s"), (0.25, "0.2s"), (9.96, "10.0s"), (42.4, "42s"), (59.6, "1m00s"), (185, "3m05s"), (7620, "2h07m")],
)
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text


def test_moments_are_rfc_3339():
    assert moment(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)) == "2026-01-02T03:04:05Z"
    assert moment(None) == "-"


def test_columns_are_aligned_by_what_is_seen():
    paint = Paint(colour=True)
    assert columns([("a", "b"), (paint("long", "31"), "c")], indent=">") == [">a     b", ">\x1b[31mlong\x1b[0m  c"]
    assert columns([]) == []


def test_some_names_a_few():
    assert some(["a", "b"], 2) == "a, b"
    assert some(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def test_plural():
    assert (plural(1, "node"), plural(2000, "node")) == ("1 node", "2,000 nodes")


class Tty(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "allowed", "coloured"),
    [
        (Tty(), {"TERM": "xterm"}, True, True),
        (Tty(), {"TERM": "xterm"}, False, False),
        (Tty(), {"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        (Tty(), {"TERM": "dumb"}, True, False),
        (io.StringIO(), {"TERM": "xterm"}, True, False),
    ],
)
def test_colours_only_on_a_terminal_that_wants_them(monkeypatch, stream, environment, allowed, coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    painted = Paint.of(stream, allowed=allowed).state(NodeState.FAILED)
    assert (painted == "\x1b[31mfailed\x1b[0m") is coloured
    assert painted == "failed" or coloured
