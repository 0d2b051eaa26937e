"""A hook that is called again, and does not come as far as it came the first time: nobody knows how that ended."""

import dataclasses
import threading
import time

import pytest
from world import FakePool

from opsflow.engine.context import HookContext
from opsflow.engine.work import Worker
from opsflow.errors import CommandFailed, Diverged, HostsHeld, Interrupted, TaskFailed, TransferFailed
from opsflow.model import Job, JobKind, Outcome, Preview, Verdict
from opsflow.playbook import TemplateRenderer
from opsflow.transport.fake import FakeTransport

JOB = Job(
    kind=JobKind.EXECUTE, run_id="r", node="s@h", step="s", host="h", task="task", record="r/s@h/execute/1", epoch=1,
)  # fmt: skip


class Task:
    name, doc, source, digest, idempotent, reversible, has_plan = "task", "", "", "", False, True, False

    def __init__(self, execute):
        self._execute = execute

    def execute(self, ctx, params, preview):
        return self._execute(ctx) or {}

    def plan(self, ctx, params):
        return Preview.change("do")


class Bench:
    """A fake host on which an attempt was cut after its first command had its effect."""

    def __init__(self):
        self.host = FakeTransport(name="h", commands=[("", "done")])
        self.machine = self.host.claim("r", 1)
        self.host.interrupt(1, after_effect=True)
        ctx = HookContext(JOB, self.host, emit=lambda _: None, secret=str)
        with pytest.raises(Interrupted):
            ctx.run("one")
        self.job = dataclasses.replace(JOB, replay=True, machine=self.machine)

    def worker(self, execute):
        tasks = type("Tasks", (), {"get": lambda *_: Task(execute) if execute else None})()
        pool = FakePool()
        pool.made["h"] = self.host
        renderer = TemplateRenderer(directory=".", hosts=lambda _: [])
        return Worker(tasks=tasks, transports=pool, renderer=renderer, secret=no_secret)

    def again(self, execute):
        messages = []
        self.worker(execute)(self.job, messages.append)
        (outcome,) = (m for m in messages if isinstance(m, Outcome))
        return outcome


def no_secret(name):
    raise TaskFailed(f"there is no secret {name}")


@pytest.fixture
def bench():
    return Bench()


def test_it_may_fail_behind_its_record(bench):
    def execute(ctx):
        ctx.run("one")
        ctx.secret("env:PASSWORD")

    assert bench.again(execute).verdict is Verdict.FAILED


def test_it_may_not_fail_before_what_is_on_record(bench):
    def execute(ctx):
        ctx.secret("env:PASSWORD")  # it was there the first time
        ctx.run("one")

    outcome = bench.again(execute)
    assert outcome.verdict is Verdict.UNKNOWN
    assert outcome.failure.message == "there is no secret env:PASSWORD"


def test_the_time_that_the_record_takes_is_none_of_the_hooks(bench, monkeypatch):
    record = bench.host.record
    monkeypatch.setattr(bench.host, "record", lambda op: (time.sleep(0.3), record(op))[1])
    bench.job = dataclasses.replace(bench.job, timeout=0.2)
    assert bench.again(lambda ctx: {"said": ctx.run("one").stdout}).verdict is Verdict.SUCCEEDED


@pytest.mark.parametrize(("boot", "verdict"), [("-", Verdict.FAILED), ("later", Verdict.UNKNOWN)])
def test_what_is_not_on_record_may_have_been_lost_as_the_host_was_booted(bench, boot, verdict):
    """Then a failure before it tells nothing."""

    def execute(ctx):
        ctx.run("one")
        ctx.secret("env:PASSWORD")
        ctx.run("two")

    bench.host.boot = boot
    assert bench.again(execute).verdict is verdict


def test_that_a_command_failed_holds_after_a_boot_too(bench):
    def execute(ctx):
        result = ctx.run("one", check=False)
        raise CommandFailed("one", result.exit_status, "it failed")

    bench.host.boot = "later"
    assert bench.again(execute).verdict is Verdict.FAILED


def test_a_plugin_that_is_gone_tells_nothing_of_what_it_did(bench):
    assert bench.again(None).verdict is Verdict.UNKNOWN


def test_a_host_that_another_run_has_tells_nothing_of_what_was_done(bench, monkeypatch):
    def held(*_):
        raise HostsHeld("h is at work for run other", holders={})

    monkeypatch.setattr(bench.host, "claim", held)
    assert bench.again(lambda ctx: ctx.run("one")).verdict is Verdict.UNKNOWN


def test_that_it_does_something_else_cannot_be_swallowed(bench):
    def execute(ctx):
        try:
            ctx.run("other")
        except BaseException:
            ctx.run("one")

    outcome = bench.again(execute)
    assert (outcome.verdict, outcome.failure.kind) == (Verdict.UNKNOWN, "Diverged")


def test_that_it_reads_something_else_cannot_be_swallowed(bench):
    def execute(ctx):
        try:
            ctx.probe("look")
        finally:
            ctx.run("one")
            return {"fine": True}  # noqa: B012 - what a careless plugin does

    outcome = bench.again(execute)
    assert (outcome.verdict, outcome.failure.kind) == (Verdict.UNKNOWN, "Diverged")


def test_it_is_not_cancelled_before_the_host_says_that_nothing_runs(bench, monkeypatch):
    """What an earlier session began may run still."""
    monkeypatch.setattr("opsflow.engine.work._CONFIRMED_SECONDS", 0.05)
    worker, messages = bench.worker(lambda ctx: ctx.run("one")), []
    bench.host.unreachable = True
    asking = threading.Thread(target=worker.cancel, args=(bench.job,))
    asking.start()
    worker._cancellations.of(bench.job)._wanted.wait()
    worker(bench.job, messages.append)
    asking.join()
    assert messages[-1].verdict is Verdict.UNKNOWN


def test_a_file_that_could_not_be_read_is_remembered_so():
    host = FakeTransport(name="h", commands=[("", "done")])
    said = []

    def hook(ctx):
        try:
            ctx.get("/etc/it")
        except TransferFailed as error:
            said.append(error.message)
        ctx.write("/etc/it", "new")

    machine = host.claim("r", 1)
    hook(HookContext(JOB, host, emit=lambda _: None, secret=str))
    again = HookContext(dataclasses.replace(JOB, replay=True, machine=machine), host, emit=lambda _: None, secret=str)
    hook(again)
    again.end()
    assert said[0] == said[1] == "cannot read /etc/it on h: No such file or directory"


def test_a_long_file_that_is_gone_is_not_what_was_read():
    """Of what is long only its hash is kept: it is read again."""
    host = FakeTransport(name="h", commands=[("", "done")], files={"/etc/it": b"x" * 100_000})
    machine = host.claim("r", 1)
    first = HookContext(JOB, host, emit=lambda _: None, secret=str)
    first.get("/etc/it")
    first.run("one")
    del host.files["/etc/it"]
    again = HookContext(dataclasses.replace(JOB, replay=True, machine=machine), host, emit=lambda _: None, secret=str)
    with pytest.raises(Diverged, match="read something else"):
        again.get("/etc/it")


def test_a_revert_waits_for_all_reverts_before_it():
    """The one just before it may not have reached the host, and the one before that be at work there still."""
    host, fenced = FakeTransport(name="h"), []
    host.fence = lambda operation: fenced.append(operation.attempt)
    job = dataclasses.replace(JOB, kind=JobKind.REVERT, attempt=2, record="r/s@h/revert/4")
    HookContext(job, host, emit=lambda _: None, secret=str).fence()
    assert sorted(fenced) == ["r/s@h/execute/2", "r/s@h/revert/1", "r/s@h/revert/2", "r/s@h/revert/3"]


class AtWork(FakeTransport):
    """A host where a command of an attempt is still at work, until somebody waits for it."""

    def __init__(self, attempt):
        super().__init__(name="h", files={"/it": b"half"})
        self.attempt = attempt

    def fence(self, operation):
        assert operation.attempt == self.attempt
        self.files["/it"] = b"whole"


def looked(host, **more):
    """What a task sees whose plan hook is content as soon as there is something."""
    seen, messages = [], []

    def plan(ctx, params):
        seen.append(ctx.get("/it"))
        return Preview.unchanged("it is there")

    task = Task(None)
    task.has_plan, task.plan = True, plan
    pool = FakePool()
    pool.made["h"] = host
    renderer = TemplateRenderer(directory=".", hosts=lambda _: [])
    tasks = type("Tasks", (), {"get": lambda *_: task})()
    job = dataclasses.replace(JOB, record="", **more)
    Worker(tasks=tasks, transports=pool, renderer=renderer, secret=str)(job, messages.append)
    assert messages[-1].verdict is Verdict.UNCHANGED
    return seen


def test_what_an_attempt_of_unknown_fate_has_done_is_told_once_it_has_ended():
    """Its command may be at work still, when its host answers again."""
    assert looked(AtWork("r/s@h/execute/1"), kind=JobKind.SETTLE)[-1] == b"whole"


def test_another_attempt_looks_once_the_one_before_has_ended():
    assert looked(AtWork("r/s@h/execute/1"), kind=JobKind.PREPARE, attempt=2) == [b"whole"]


def test_the_first_attempt_waits_for_none():
    assert looked(AtWork(""), kind=JobKind.PREPARE) == [b"half"]
