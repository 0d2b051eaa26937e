"""What attempts print: kept in order, read in pages, bounded."""

import pytest
from sqlalchemy import event

from opsflow.errors import UnknownRun
from opsflow.journal.reader import PAGE
from opsflow.journal.rows import OUTPUT_LIMIT

MIB = 1 << 20


@pytest.fixture
def run(journal, samples):
    run = samples.begin(journal, hosts=("web-1", "web-2"))
    journal.commit(run.id, [*samples.intent(run.id, "stop@web-1"), *samples.intent(run.id, "stop@web-2")])
    return run


def _texts(journal, run, node=None):
    return [text for _, stream, text in journal.output(run.id, node) if stream == "stdout"]


def test_output_comes_back_in_order_with_its_attempt_and_stream(journal, run, samples):
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "one"), samples.printed(run.id, "stop@web-2", "two")])
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "three", stream="stderr")])

    assert list(journal.output(run.id)) == [
        (f"{run.id}/stop@web-1/execute/1", "stdout", "one"),
        (f"{run.id}/stop@web-2/execute/1", "stdout", "two"),
        (f"{run.id}/stop@web-1/execute/1", "stderr", "three"),
    ]
    assert [text for *_, text in journal.output(run.id, "stop@web-2")] == ["two"]
    assert list(journal.output(run.id, "stop@web-9")) == []


@pytest.mark.parametrize("text", ["naïve 漢字", "🦀 four bytes", "nul \0 and \x1b[31m colour", "lone \udc80"])
def test_any_text_survives(journal, run, samples, text):
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", text)])
    assert _texts(journal, run) == [text.replace("\udc80", "?")]


def test_output_is_read_in_small_pages(journal, run, samples):
    lines = [f"line {n}" for n in range(3 * PAGE)]
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", line) for line in lines])
    begins = []
    event.listen(journal.engine, "begin", lambda *a: begins.append(1))

    reader = iter(journal.output(run.id))
    assert next(reader)[2] == "line 0"
    assert len(begins) == 2  # one for the question, one for the first page
    assert [text for *_, text in reader] == lines[1:]


def test_a_reader_in_the_middle_holds_nothing_up(open_journal, journal, run, samples):
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "x") for _ in range(2 * PAGE)])
    reader = iter(open_journal().output(run.id))
    next(reader)
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "last")])
    assert [text for *_, text in reader][-1] == "last"


def test_output_of_an_attempt_is_bounded_with_one_notice(journal, run, samples):
    for _ in range(3):
        journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "é" * (MIB // 4))])
    journal.commit(run.id, [samples.printed(run.id, "stop@web-2", "other")])

    kept = "".join(_texts(journal, run, "stop@web-1"))
    assert kept == "é" * (OUTPUT_LIMIT // 2)
    notices = [text for _, stream, text in journal.output(run.id) if stream == "log"]
    assert len(notices) == 1
    assert "1 MiB" in notices[0]
    assert _texts(journal, run, "stop@web-2") == ["other"]


def test_the_bound_holds_across_a_resume(open_journal, journal, run, samples):
    journal.commit(run.id, [samples.printed(run.id, "stop@web-1", "a" * (MIB - 10))])
    journal.commit(run.id, [samples.printed(run.id, "stop@web-2", "b" * (MIB + 1))])
    journal.leave(run.id, release_hosts=False)
    other = open_journal()
    other.resume(run.id, "bob@control")
    other.commit(
        run.id, [samples.printed(run.id, "stop@web-1", "c" * 20), samples.printed(run.id, "stop@web-2", "d" * 20)]
    )

    texts = "".join(text for _, stream, text in other.output(run.id) if stream == "stdout")
    assert texts.count("a") == MIB - 10
    assert texts.count("b") == MIB
    assert texts.count("c") == 10
    assert texts.count("d") == 0
    assert len([1 for _, stream, _ in other.output(run.id) if stream == "log"]) == 2


def test_output_of_an_unknown_run_is_an_error_at_once(journal):
    with pytest.raises(UnknownRun):
        journal.output("20200101T000000-xxxxx")
