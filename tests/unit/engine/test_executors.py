"""What the engine may expect of a place where jobs are worked on, whichever it is."""

import threading
import time

import pytest

from opsflow.engine.executors import SerialExecutor, ThreadExecutor, threads
from opsflow.model import Job, JobKind, Log, Outcome, Verdict


def job(name="n"):
    return Job(kind=JobKind.EXECUTE, run_id="r", node=name, step="s", host="h", task="t")


def perform(job, emit):
    emit(Log(job=job, text="one"))
    emit(Log(job=job, text="two"))
    emit(Outcome(job=job, verdict=Verdict.SUCCEEDED))


@pytest.fixture(params=["serial", "threads"])
def make(request):
    made = []

    def build(perform=perform, forks=3):
        executor = SerialExecutor(perform) if request.param == "serial" else ThreadExecutor(perform, forks=forks)
        made.append(executor)
        return executor

    build.threads = request.param == "threads"
    yield build
    for executor in made:
        executor.close()


def until(executor, count, seconds=20):
    """Messages until `count` outcomes have come."""
    found, ends = [], time.monotonic() + seconds
    while sum(isinstance(m, Outcome) for m in found) < count:
        assert time.monotonic() < ends, f"only {found}"
        found += executor.messages(0.1)
    return found


def test_messages_of_a_job_come_in_order_and_its_outcome_last(make):
    executor = make()
    mine = job()
    executor.submit(mine)
    found = until(executor, 1)
    assert [getattr(m, "text", "end") for m in found] == ["one", "two", "end"]
    assert all(m.job is mine for m in found)


def test_every_job_gets_its_outcome(make):
    executor = make()
    waiting, found = [job(f"n{i}") for i in range(50)], []
    while len(found) < 50:
        while waiting and executor.free > 0:
            executor.submit(waiting.pop())
        found += [m.job.node for m in until(executor, 1) if isinstance(m, Outcome)]
    assert sorted(found) == sorted(f"n{i}" for i in range(50))


def test_free_counts_down_and_up(make):
    executor = make()
    start = executor.free
    assert start == (3 if make.threads else 1)
    for i in range(start):
        executor.submit(job(f"n{i}"))
    assert executor.free == 0
    until(executor, start)
    assert executor.free == start


def test_without_messages_the_time_is_waited_and_no_longer(make):
    executor = make()
    began = time.monotonic()
    assert executor.messages(0.2) == []
    assert 0.15 <= time.monotonic() - began < 5


def test_nothing_is_waited_for_when_something_is_there(make):
    executor = make()
    executor.submit(job())
    began = time.monotonic()
    until(executor, 1)
    assert time.monotonic() - began < 5


def test_the_job_that_comes_out_is_the_one_that_went_in(make):
    executor = make()
    jobs = {name: job(name) for name in ("a", "b")}
    for each in list(jobs.values())[: executor.free]:
        executor.submit(each)
    for message in until(executor, min(executor.free + 1, 2) if make.threads else 1):
        assert message.job is jobs[message.job.node]


def test_closing_is_quick_and_can_be_repeated(make):
    executor = make()
    executor.submit(job())
    until(executor, 1)
    began = time.monotonic()
    executor.close()
    executor.close()
    assert time.monotonic() - began < 5


def test_closing_does_not_wait_for_what_runs():
    go = threading.Event()
    executor = ThreadExecutor(lambda job, emit: go.wait(20), forks=1)
    executor.submit(job())
    began = time.monotonic()
    executor.close()
    assert time.monotonic() - began < 5
    go.set()


def test_serial_works_on_one_job_at_a_time_and_is_heard_meanwhile():
    go = threading.Event()

    def slow(job, emit):
        emit(Log(job=job, text="begun"))
        go.wait(20)
        emit(Outcome(job=job, verdict=Verdict.SUCCEEDED))

    executor = SerialExecutor(slow)
    executor.submit(job())
    assert executor.free == 0
    assert [m.text for m in executor.messages(20)] == ["begun"]
    assert executor.free == 0
    go.set()
    until(executor, 1)
    assert executor.free == 1
    executor.close()


def test_threads_work_at_the_same_time_and_never_more_than_forks():
    both = threading.Barrier(3, timeout=20)
    lock, now, most = threading.Lock(), 0, 0

    def meet(job, emit):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        both.wait()
        with lock:
            now -= 1
        perform(job, emit)

    executor = ThreadExecutor(meet, forks=3)
    for _ in range(4):
        for i in range(executor.free):
            executor.submit(job(f"n{i}"))
        assert executor.free == 0
        until(executor, 3)
    assert most == 3
    assert len(executor._threads) == 3
    executor.close()


def test_threads_are_made_when_needed_kept_and_let_go():
    def own():
        return {t for t in threading.enumerate() if t.name.startswith("opsflow-")}

    before = own()
    executor = ThreadExecutor(perform, forks=100)
    assert own() == before
    for i in range(30):
        executor.submit(job(f"n{i}"))
        until(executor, 1)
    made = own() - before
    assert len(made) == 1
    assert all(t.daemon for t in made)
    executor.close()
    for thread in made:
        thread.join(10)
    assert not made & own()


@pytest.mark.parametrize(("limit", "value"), [("_BACKLOG", 10), ("_BACKLOG_TEXT", 10)])
def test_a_task_that_prints_faster_than_it_is_heard_waits(monkeypatch, limit, value):
    monkeypatch.setattr(threads, limit, value)
    said = []

    def chatter(job, emit):
        for i in range(1000):
            emit(Log(job=job, text=str(i)))
            said.append(i)
        emit(Outcome(job=job, verdict=Verdict.SUCCEEDED))

    executor = ThreadExecutor(chatter, forks=1)
    executor.submit(job())
    ends = time.monotonic() + 10
    while len(said) < 10 and time.monotonic() < ends:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(said) <= 11
    found = until(executor, 1)
    assert [m.text for m in found[:-1]] == [str(i) for i in range(1000)]
    executor.close()
