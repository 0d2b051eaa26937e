"""What a hook prints on its way to the journal: grouped, bounded, masked, and said once."""

import random
from datetime import UTC, datetime

import pytest

from opsflow.engine.lent import Earlier, Tee
from opsflow.engine.run import Run
from opsflow.errors import Interrupted
from opsflow.events import NodeOutput
from opsflow.model import CommandResult, Job, JobKind, NodeState, OutputAppended, RunState
from opsflow.report.masking import Masker
from opsflow.transport.process import Capture

JOB = Job(kind=JobKind.EXECUTE, run_id="r", node="n", step="s", host="h", task="t")
SECRET = "pińata-🦀"


class Ledger:
    """A journal that counts."""

    def __init__(self):
        self.commits = []

    def commit(self, run_id, changes):
        self.commits.append(list(changes))


@pytest.fixture
def clock(monkeypatch):
    from opsflow.engine import chatter, run

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    ticking = Clock()
    monkeypatch.setattr(run, "time", ticking)
    monkeypatch.setattr(chatter, "time", ticking)
    return ticking


def a_run(ledger, listener=lambda event: None):
    from types import SimpleNamespace

    record = SimpleNamespace(id="r", state=RunState.RUNNING)
    return Run(record, SimpleNamespace(nodes=[SimpleNamespace(id="n", step="s", host="h")]), ledger, [listener])


def printed(text):
    return OutputAppended(attempt="r/n/execute/1", stream="stdout", text=text, at=datetime.now(UTC))


def test_ten_thousand_lines_cost_a_few_commits_a_second(clock):
    ledger, heard = Ledger(), []
    run = a_run(ledger, heard.append)
    for n in range(10_000):  # 1,000 lines a second, each heard by itself
        clock.now += 0.001
        run.add(printed(f"{n}\n"))
        run.say(NodeOutput(run_id="r", node="n", stream="stdout", text=f"{n}\n"))
        run.flush()
    clock.now += 1
    run.flush()
    assert len(ledger.commits) <= 41
    assert [c.text for commit in ledger.commits for c in commit] == [f"{n}\n" for n in range(10_000)]
    assert [event.text for event in heard] == [f"{n}\n" for n in range(10_000)]


def test_what_is_urgent_takes_output_along_in_order(clock):
    ledger = Ledger()
    run = a_run(ledger)
    clock.now += 1
    run.add(printed("first\n"))
    run.flush()
    run.add(printed("second\n"))
    run.flush()
    assert len(ledger.commits) == 1
    run.nodes["n"].state = NodeState.RUNNING
    run.move("n", "succeed")
    run.flush()
    assert ledger.commits[1][0].text == "second\n"
    assert len(ledger.commits[1]) == 2


def test_much_output_does_not_wait(clock):
    ledger = Ledger()
    run = a_run(ledger)
    run.flush()
    for _ in range(20):
        run.add(printed("x" * 200_000))
        run.flush()
    assert len(ledger.commits) >= 3


def say(text, printed, chance, *, masker=None, broken=False):
    """What is emitted of `text` (bytes) that comes in pieces when so much is journaled already."""
    masker = masker or Masker()
    said = []
    try:
        with Tee(JOB, masker, Earlier(printed), said.append) as sink:
            capture = Capture("stdout", 0, sink)
            while text:
                size = chance.choice((1, 2, 3, 100))
                capture.feed(text[:size])
                text = text[size:]
            if broken:
                raise Interrupted("cut")
            capture.feed(b"")
    except Interrupted:
        pass
    return "".join(message.text for message in said)


@pytest.mark.parametrize("seed", range(50))
def test_what_is_cut_anywhere_and_printed_again_is_said_once(seed):
    """Pieces end within characters and within secrets, some bytes are no characters, and the cut is anywhere."""
    chance = random.Random(seed)
    words = [b"plain ", SECRET.encode(), SECRET.encode()[:5], "żółć\n".encode(), b"\xc3", b"\xff\xfe", b"p"]
    data = b"".join(chance.choice(words) for _ in range(60))
    masker = Masker()
    masker.add(SECRET)
    whole = masker.text(data.decode("utf-8", "replace"))
    first = say(data[: chance.randrange(len(data))], {}, chance, masker=masker, broken=True)
    rest = say(data, {"stdout": len(first.encode())}, chance, masker=masker)
    assert first + rest == whole
    assert SECRET not in first


def test_a_secret_that_was_begun_when_the_link_broke_is_not_said(clock):
    masker = Masker()
    masker.add("opensesame")
    chance = random.Random(0)
    assert say(b"it is opense", {}, chance, masker=masker, broken=True) == "it"
    assert say(b"it is opense", {}, chance, masker=masker) == "it is opense"


def test_logs_are_said_once_too():
    from dataclasses import replace

    from opsflow.engine.context import HookContext
    from opsflow.transport.fake import FakeTransport

    said = []
    host = FakeTransport(commands=[("", CommandResult(exit_status=0, stdout="out\n", stderr="err\n"))])
    job = replace(JOB, printed={"stdout": 4, "log": len("one\n")})
    ctx = HookContext(job, host, emit=said.append, secret=lambda name: name)
    ctx.log("one")
    ctx.run("x")
    ctx.log("two")
    ctx.run("x")
    assert [message.text for message in said] == ["err\n", "two", "out\n", "err\n"]
