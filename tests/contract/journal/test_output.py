"""What attempts print: kept in order, read in pages in both directions, bounded, and never kept twice."""

import random

import pytest
from sqlalchemy import event

from opsflow.errors import UnknownRun
from opsflow.journal.keeping import HEAD, TAIL
from opsflow.journal.printout import PAGE
from opsflow.model import AttemptState, NodeState


@pytest.fixture
def run(journal, samples):
    run = samples.begin(journal, hosts=("web-1", "web-2"))
    journal.commit(run.id, [*samples.intent(run.id, "stop@web-1"), *samples.intent(run.id, "stop@web-2")])
    return run


def texts(journal, run, **where):
    return [piece.text for piece in journal.output(run.id, **where)]


def told(journal, run, host="web-1", stream="stdout"):
    """What a stream's rows tell: its text, and what was left out as that many bytes 0."""
    pieces = [p for p in journal.output(run.id, host=host) if p.stream == stream]
    return b"".join(b"\0" * p.cut + p.text.encode() for p in pieces)


def test_output_comes_back_in_order_with_its_attempt_and_stream(journal, run, samples):
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "one"), samples.printed(run.id, "stop@web-2", "two")])
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "three", stream="stderr")])

    assert [(p.attempt, p.stream, p.text) for p in journal.output(run.id)] == [
        (f"{run.id}/stop@web-1/execute/1", "stdout", "one"),
        (f"{run.id}/stop@web-2/execute/1", "stdout", "two"),
        (f"{run.id}/stop@web-1/execute/1", "stderr", "three"),
    ]
    assert {(p.node, p.phase, p.number, p.at, p.ended) for p in journal.output(run.id, host="web-2")} == {
        ("stop@web-2", "execute", 1, samples.NOW, None)
    }


def test_one_step_or_host_is_read_without_the_others(journal, samples):
    run = samples.begin(journal, hosts=("a", "b"), steps=("stop", "start"))
    names = ["stop@a", "stop@b", "start@a", "start@b"]
    journal.commit(run.id, [change for name in names for change in samples.intent(run.id, name)])
    journal.commit(run.id, [samples.printed(run.id, name, name) for name in names])
    assert texts(journal, run, step="stop") == ["stop@a", "stop@b"]
    assert texts(journal, run, host="b") == ["stop@b", "start@b"]
    assert texts(journal, run, step="start", host="a") == ["start@a"]
    assert texts(journal, run, step="stop", host="c") == []
    assert [p.text for p in journal.output_backwards(run.id, host="b")] == ["start@b", "stop@b"]
    assert journal.places(run.id) == [("stop", "a"), ("stop", "b"), ("start", "a"), ("start", "b")]


@pytest.mark.parametrize("text", ["naïve 漢字", "🦀 four bytes", "nul \0 and \x1b[31m colour", "lone \udc80"])
def test_any_text_survives(journal, run, samples, text):
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", text)])
    assert texts(journal, run) == [text.replace("\udc80", "?")]


def test_lines_of_one_commit_share_a_row_and_streams_keep_their_order(journal, run, samples):
    said = [("web-1", "stdout", "a\n"), ("web-2", "stdout", "b\n"), ("web-1", "stdout", "c\n"),
            ("web-1", "stderr", "d\n"), ("web-1", "stdout", "e\n")]  # fmt: skip
    journal.commit(
        run.id, [samples.printed(run.id, f"stop@{host}", text, stream=stream) for host, stream, text in said]
    )
    assert [(p.stream, p.text) for p in journal.output(run.id, host="web-1")] == [
        ("stdout", "a\nc\n"), ("stderr", "d\n"), ("stdout", "e\n"),
    ]  # fmt: skip
    assert texts(journal, run, host="web-2") == ["b\n"]


def rows(journal, run, samples, count):
    for n in range(count):
        journal.commit(run.id, [samples.printed(run.id, "stop@web-1", f"line {n}\n")])
    return [f"line {n}\n" for n in range(count)]


def test_output_is_read_in_small_pages_in_both_directions(journal, run, samples):
    lines = rows(journal, run, samples, 2 * PAGE + 3)
    begins = []
    event.listen(journal.engine, "begin", lambda *a: begins.append(1))

    reader = iter(journal.output(run.id))
    first = next(reader)
    assert first.text == lines[0]
    assert len(begins) == 2  # one for the question, one for the first page
    assert [p.text for p in reader] == lines[1:]
    assert texts(journal, run, after=first.n) == lines[1:]

    begins.clear()
    reader = iter(journal.output_backwards(run.id))
    assert next(reader).text == lines[-1]
    assert len(begins) == 2
    assert [p.text for p in reader] == lines[-2::-1]


def test_a_reader_in_the_middle_holds_nothing_up(open_journal, journal, run, samples):
    rows(journal, run, samples, PAGE + 1)
    reader = iter(open_journal().output(run.id))
    next(reader)
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "last")])
    assert [p.text for p in reader][-1] == "last"


def test_of_much_output_the_beginning_and_the_last_lines_are_kept(journal, run, samples):
    text = "".join(f"é {n}\n" for n in range(300_000))
    data = text.encode()
    for start in range(0, len(text), 100_000):
        journal.commit(run.id, [samples.printed(run.id, "stop@web-1", text[start : start + 100_000])])
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "other", stream="stderr")])
    before = told(journal, run)
    assert data.startswith(before)
    assert HEAD - 3 <= len(before) <= HEAD

    journal.commit(run.id, samples.outcome(run.id, "stop@web-1"))

    kept = told(journal, run)
    last = kept.rpartition(b"\0")[2]
    assert len(kept) == len(data)
    assert data.endswith(b"\n" + last), "it begins with a line"
    assert TAIL - 20 < len(last) <= TAIL
    assert kept.count(b"\0") == len(data) - len(before) - len(last), "what is left out is told"
    assert told(journal, run, stream="stderr") == b"other"


def test_output_beyond_what_is_kept_costs_no_transaction(journal, run, samples):
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "x" * HEAD)])
    begins = []
    event.listen(journal.engine, "begin", lambda *a: begins.append(1))
    for _ in range(50):
        journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "y" * 100_000)])
    assert begins == []
    kept = journal._held[run.id].streams[f"{run.id}/stop@web-1/execute/1"]["stdout"]
    assert len(kept.tail) == TAIL, "and no memory"


def test_a_stream_that_ends_within_the_bound_has_no_gap(journal, run, samples):
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "x" * HEAD)])
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "y" * 10)])
    journal.commit(run.id, samples.outcome(run.id, "stop@web-1"))
    assert told(journal, run) == b"x" * HEAD + b"y" * 10


def test_an_attempt_that_has_ended_says_so_with_its_output_and_is_forgotten(journal, run, samples):
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "x"), *samples.outcome(run.id, "stop@web-1")])
    assert [p.ended for p in journal.output(run.id)] == [samples.LATER]
    assert f"{run.id}/stop@web-1/execute/1" not in journal._held[run.id].streams


def replayed(journal, run, samples, text, chance):
    """What a hook that is called again prints: all of it once more, in other pieces; the journal is told the rest."""
    data = text.encode()[journal.printed(run.id, f"{run.id}/stop@web-1/execute/1").get("stdout", 0) :]
    rest = data.decode()  # the place is not within a character
    while rest:
        size = chance.choice((1, 7, 1000, 50_000, 300_000))
        yield [samples.printed(run.id, "stop@web-1", rest[:size])]
        rest = rest[size:]


@pytest.mark.parametrize("seed", range(8))
def test_output_that_is_printed_again_after_deaths_is_kept_once_and_none_is_lost(open_journal, samples, seed):
    chance = random.Random(seed)
    journal = open_journal()
    run = samples.begin(journal)
    journal.commit(run.id, samples.intent(run.id, "stop@web-1"))
    text = "".join(f"{n}: zażółć 🦀\n" for n in range(chance.choice((10, 3_000, 60_000, 120_000))))
    ended = False
    while not ended:
        dies = chance.random() < 0.7
        for commit in replayed(journal, run, samples, text, chance):
            journal.commit(run.id, commit)
            if dies and chance.random() < 0.2:
                break
        else:
            ended = True
        if not ended:
            if chance.random() < 0.5:  # an attempt of unknown fate may be followed again later
                state = {"state": AttemptState.UNKNOWN, "after": NodeState.RUNNING}
                journal.commit(run.id, samples.outcome(run.id, "stop@web-1", **state)[:1])
            journal.leave(run.id, release_hosts=False)
            journal = open_journal()
            journal.resume(run.id, "bob@control")
    journal.commit(run.id, samples.outcome(run.id, "stop@web-1"))
    kept, data = told(journal, run), text.encode()
    assert len(kept) == len(data)
    assert all(a in (b, 0) for a, b in zip(kept, data, strict=True))
    assert kept[: min(HEAD - 3, len(data))] == data[: min(HEAD - 3, len(data))]
    assert kept[-1000:] == data[-1000:]


def test_output_of_an_unknown_run_is_an_error_at_once(journal):
    with pytest.raises(UnknownRun):
        journal.output("20200101T000000-xxxxx")
