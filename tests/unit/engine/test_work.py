"""One job: whatever a task does, one outcome comes of it, and no secret with it."""

import asyncio
import dataclasses
import threading

import pytest
from world import FakePool, World

from opsflow.engine.work import Worker
from opsflow.errors import CommandFailed, Interrupted, OpsflowError, Refused, TaskFailed, Unreachable
from opsflow.model import Action, Job, JobKind, Outcome, Preview, Verdict
from opsflow.playbook import TemplateRenderer
from opsflow.transport.fake import FakeTransport

SECRET = "hunter2-and-more"
HOOKS = [kind for kind in JobKind if kind is not JobKind.CANCEL]
"""Kinds of jobs that call a hook."""


class Task:
    """A task made of functions."""

    name, doc, source, digest, idempotent, reversible = "task", "", "", "", False, True

    def __init__(self, *, plan=None, execute=None, revert=None):
        self.has_plan = plan is not None
        self._plan, self._execute, self._revert = plan, execute, revert

    def plan(self, ctx, params):
        return self._plan(ctx, params) if self._plan else Preview.change("do")

    def execute(self, ctx, params, preview):
        return self._execute(ctx) or {}

    def revert(self, ctx, params, preview, outputs):
        self._revert(ctx)


class Bench:
    """A worker, a fake host, and what came out."""

    def __init__(self):
        self.host = FakeTransport(name="h", commands=[("fails", _fails), ("", _echo)])
        self.messages = []

    def work(self, task, kind=JobKind.EXECUTE, **more):
        tasks = type("Tasks", (), {"get": lambda _, name: task})()
        pool = FakePool()
        pool.made["h"] = self.host
        renderer = TemplateRenderer(directory=".", hosts=lambda _: [])
        worker = Worker(tasks=tasks, transports=pool, renderer=renderer, secret=lambda _: SECRET)
        job = Job(kind=kind, run_id="r", node="s@h", step="s", host="h", task="task", **{"params": {}, **more})
        worker(job, self.messages.append)
        outcome = self.messages[-1]
        assert [m for m in self.messages if isinstance(m, Outcome)] == [outcome]
        assert outcome.job is job
        return outcome


def _echo(asked):
    return asked.subject + asked.input.decode() + "".join(asked.env.values())


def _fails(asked):
    from opsflow.model import CommandResult

    return CommandResult(exit_status=7, stdout="out", stderr="\n".join(f"line {n}" for n in range(40)))


@pytest.fixture
def bench():
    return Bench()


def raising(error):
    def hook(*_):
        raise error

    return hook


# Verdicts


def test_a_false_condition_skips_and_asks_the_task_nothing(bench):
    task = Task(plan=raising(AssertionError("asked")))
    assert bench.work(task, JobKind.PREPARE, when="1 == 2").verdict is Verdict.SKIPPED


def test_a_true_condition_goes_on(bench):
    assert bench.work(Task(), JobKind.PREPARE, when="1 == 1").verdict is Verdict.PREPARED


@pytest.mark.parametrize("when", ["nothing.there", "'text'", "1 +"])
def test_a_condition_that_cannot_be_told_fails(bench, when):
    outcome = bench.work(Task(), JobKind.PREPARE, when=when)
    assert outcome.verdict is Verdict.FAILED
    assert outcome.failure.kind == "TemplateError"


def test_prepared_parameters_are_rendered_and_go_with_the_outcome(bench):
    seen = []
    task = Task(plan=lambda ctx, params: seen.append(params) or Preview.change("do", before={"was": 1}))
    outcome = bench.work(
        task, JobKind.PREPARE, params={"n": "{{ n }}", "t": "n={{ n }}"}, variables={"n": "{{ 2 + 1 }}"}
    )
    assert outcome.verdict is Verdict.PREPARED
    assert outcome.params == {"n": 3, "t": "n=3"} == seen[0]
    assert outcome.preview == Preview.change("do", before={"was": 1})
    assert outcome.outputs is None


def test_a_task_without_a_plan_hook_is_prepared(bench):
    assert bench.work(Task(), JobKind.PREPARE).verdict is Verdict.PREPARED


def test_unchanged_brings_its_outputs(bench):
    outcome = bench.work(Task(plan=lambda *_: Preview.unchanged("there", outputs={"x": [1]})), JobKind.PREPARE)
    assert outcome.verdict is Verdict.UNCHANGED
    assert outcome.outputs == {"x": [1]}


def test_a_preview_that_says_fail_fails_with_its_reason(bench):
    outcome = bench.work(Task(plan=lambda *_: Preview.fail("no disk")), JobKind.PREPARE)
    assert outcome.verdict is Verdict.FAILED
    assert outcome.failure.message == "no disk"


def test_a_template_that_cannot_be_rendered_fails(bench):
    outcome = bench.work(Task(), JobKind.PREPARE, params={"a": "{{ nope }}"})
    assert outcome.verdict is Verdict.FAILED
    assert "nope" in outcome.failure.message


def test_success_brings_the_outputs(bench):
    outcome = bench.work(Task(execute=lambda _: {"a": 1}))
    assert (outcome.verdict, outcome.outputs, outcome.failure) == (Verdict.SUCCEEDED, {"a": 1}, None)


def test_success_brings_the_status_of_the_last_command_if_there_was_one():
    def hook(ctx):
        ctx.run("fails", check=False)
        ctx.probe("echo")
        return {}

    assert Bench().work(Task(execute=hook)).exit_status == 7
    assert Bench().work(Task(execute=lambda _: {})).exit_status is None


def test_a_revert_that_returns_has_succeeded(bench):
    assert bench.work(Task(revert=lambda _: None), JobKind.REVERT).verdict is Verdict.SUCCEEDED


def test_a_failed_command_is_told_with_its_last_lines(bench):
    outcome = bench.work(Task(execute=lambda ctx: ctx.run("fails")))
    assert outcome.verdict is Verdict.FAILED
    assert outcome.exit_status == 7
    failure = outcome.failure
    assert (failure.kind, failure.command, failure.exit_status) == ("CommandFailed", "fails", 7)
    assert failure.stderr.splitlines() == [f"line {n}" for n in range(20, 40)]
    assert "test_work.py" in failure.trace


def test_settling_asks_the_plan_hook_with_the_recorded_parameters(bench):
    seen = []
    task = Task(plan=lambda ctx, params: seen.append((ctx.phase, params)) or Preview.unchanged("there"))
    assert bench.work(task, JobKind.SETTLE, params={"a": "{{ not rendered again }}"}).verdict is Verdict.UNCHANGED
    assert seen == [(None, {"a": "{{ not rendered again }}"})]


def test_settling_a_task_without_a_plan_hook_tells_nothing(bench):
    assert bench.work(Task(), JobKind.SETTLE).verdict is Verdict.PREPARED


def test_a_task_that_is_gone_is_named(bench):
    outcome = bench.work(None)
    assert outcome.verdict is Verdict.FAILED
    assert "there is no task 'task' any more" in outcome.failure.message


@pytest.mark.parametrize("kind", HOOKS)
def test_an_unknown_host_fails_the_job(kind):
    class Nowhere:
        def to(self, host, become=""):
            raise KeyError(host)

    messages = []
    tasks = type("Tasks", (), {"get": lambda _, name: Task()})()
    renderer = TemplateRenderer(directory=".", hosts=lambda _: [])
    worker = Worker(tasks=tasks, transports=Nowhere(), renderer=renderer, secret=lambda n: n)
    worker(Job(kind=kind, run_id="r", node="s@h", step="s", host="h", task="task"), messages.append)
    assert [m.verdict for m in messages] == [Verdict.FAILED]


# Lost links


def lose_at(bench, number, *, after):
    bench.host.interrupt(number, after_effect=after)


def test_a_link_lost_before_any_operation_leaves_no_doubt(bench):
    lose_at(bench, 1, after=True)
    outcome = bench.work(Task(execute=lambda ctx: ctx.probe("look") and None))
    assert outcome.verdict is Verdict.UNREACHABLE
    assert outcome.failure.kind == "Interrupted"


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("operation", [lambda c: c.run("x"), lambda c: c.write("f", "x")])
def test_a_link_lost_in_an_operation_leaves_it_unknown(bench, operation, after):
    lose_at(bench, 1, after=after)
    assert bench.work(Task(execute=operation)).verdict is Verdict.UNKNOWN


def test_a_link_lost_in_a_read_after_an_operation_leaves_it_unknown(bench):
    lose_at(bench, 2, after=False)

    def execute(ctx):
        ctx.run("x")
        ctx.get("f")

    assert bench.work(Task(execute=execute)).verdict is Verdict.UNKNOWN


def test_a_host_that_cannot_be_reached_began_nothing(bench):
    bench.host.unreachable = True
    for operation in (lambda c: c.run("x"), lambda c: c.write("f", "x"), lambda c: c.probe("x"), lambda c: c.get("f")):
        bench.messages.clear()
        outcome = bench.work(Task(execute=operation))
        assert outcome.verdict is Verdict.UNREACHABLE
        assert outcome.failure.kind == "Unreachable"


def test_a_host_that_cannot_be_reached_any_more_leaves_the_attempt_unknown(bench):
    def execute(ctx):
        ctx.run("x")
        bench.host.unreachable = True
        ctx.run("y")

    assert bench.work(Task(execute=execute)).verdict is Verdict.UNKNOWN


def test_a_host_that_refuses_the_next_operation_has_failed_and_nothing_is_unknown(bench):
    """Its disk is full, say: the operation before has ended, this one has not begun."""

    def execute(ctx):
        ctx.run("x")
        raise Refused("no room")

    assert bench.work(Task(execute=execute)).verdict is Verdict.FAILED


def swallow_exceptions(ctx):
    try:
        ctx.run("x")
    except Exception:
        return {"fine": True}


def swallow_everything(ctx):
    try:
        ctx.run("x")
    except:  # noqa: E722 - what a careless plugin does
        return {"fine": True}


def swallow_in_finally(ctx):
    try:
        ctx.run("x")
    finally:
        return {"fine": True}  # noqa: B012 - what a careless plugin does


def hide_behind_another(ctx):
    try:
        ctx.run("x")
    except BaseException:
        raise TaskFailed("something went wrong") from None


def go_on(ctx):
    try:
        ctx.run("x")
    except BaseException:
        ctx.run("y")


SWALLOWERS = [swallow_exceptions, swallow_everything, swallow_in_finally, hide_behind_another, go_on]


@pytest.mark.parametrize("execute", SWALLOWERS)
def test_a_lost_link_cannot_be_swallowed(bench, execute):
    lose_at(bench, 1, after=True)
    outcome = bench.work(Task(execute=execute))
    assert outcome.verdict is Verdict.UNKNOWN
    assert outcome.failure.kind == "Interrupted"
    assert [o.subject for o in bench.host.operations] == ["x"], "nothing follows an operation of unknown fate"


def test_a_lost_link_in_a_plan_hook_cannot_be_swallowed(bench):
    def plan(ctx, params):
        try:
            ctx.probe("x")
        except BaseException:
            return Preview.unchanged("surely fine")

    lose_at(bench, 1, after=False)
    assert bench.work(Task(plan=plan), JobKind.PREPARE).verdict is Verdict.UNREACHABLE


# Whatever a task raises


class Unsayable(Exception):
    def __str__(self):
        raise ValueError("no words")


class BadStatus(Exception):
    exit_status = "seven"


class WorseStatus(Exception):
    @property
    def exit_status(self):
        raise ValueError("no status")


RAISED = [
    ValueError("x"), SystemExit(3), asyncio.CancelledError(), GeneratorExit(), Unsayable(), BadStatus(), WorseStatus(),
    RecursionError(), MemoryError(), StopIteration(), TaskFailed("no"), OpsflowError("no"), RuntimeError(),
]  # fmt: skip


@pytest.mark.parametrize("error", RAISED, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("kind", HOOKS)
def test_whatever_a_task_raises_becomes_a_failure(bench, error, kind):
    hook = raising(error)
    outcome = bench.work(Task(plan=hook, execute=hook, revert=hook), kind)
    assert outcome.verdict is Verdict.FAILED
    assert outcome.failure.kind == type(error).__name__
    assert outcome.failure.message
    assert outcome.exit_status is None


def test_a_keyboard_interrupt_in_an_operation_leaves_it_unknown(bench):
    def execute(ctx):
        ctx.run("x")
        raise KeyboardInterrupt

    assert bench.work(Task(execute=execute)).verdict is Verdict.UNKNOWN


# Secrets


def leaks(bench, outcome):
    return SECRET in repr([dataclasses.replace(m, job=None) for m in bench.messages]) or SECRET in repr(outcome.failure)


def fetch(ctx):
    return ctx.secret("env:X")


def everywhere(ctx):
    value = fetch(ctx)
    ctx.log(f"it is {value}")
    ctx.run("cat", input=value)
    ctx.run("cat", env={"P": value})
    ctx.probe("cat", env={"P": value})
    return {"a": value, "b": [f"x{value}x"], "c": {value: 1}}


def test_secrets_are_masked_in_output_logs_and_outputs(bench):
    outcome = bench.work(Task(execute=everywhere))
    assert outcome.verdict is Verdict.SUCCEEDED
    assert outcome.outputs == {"a": "***", "b": ["x***x"], "c": {"***": 1}}
    assert not leaks(bench, outcome)
    assert len(bench.messages) > 3


def test_secrets_are_masked_in_every_field_of_a_preview(bench):
    def plan(ctx, params):
        value = fetch(ctx)
        return Preview.unchanged(f"has {value}", outputs={"o": value})

    outcome = bench.work(Task(plan=plan), JobKind.PREPARE)
    assert outcome.outputs == {"o": "***"}
    assert not leaks(bench, outcome)
    bench.messages.clear()

    def change(ctx, params):
        value = fetch(ctx)
        return Preview.change(f"has {value}", diff=f"+{value}", why=f"{value}?")

    outcome = bench.work(Task(plan=change), JobKind.PREPARE)
    assert outcome.verdict is Verdict.PREPARED
    assert not leaks(bench, outcome)
    bench.messages.clear()
    outcome = bench.work(Task(plan=lambda ctx, _: Preview.fail(fetch(ctx))), JobKind.PREPARE)
    assert outcome.failure.message == "***"
    assert not leaks(bench, outcome)


ERRORS = [
    lambda v: TaskFailed(f"bad {v}", hint=f"try {v}"),
    lambda v: CommandFailed(f"echo {v}", 1, f"said {v}", hint=f"or {v}"),
    ValueError,
    KeyError,
    lambda v: Unreachable(f"no {v}"),
    lambda v: Interrupted(f"lost {v}"),
    SystemExit,
]


@pytest.mark.parametrize("make", ERRORS)
def test_secrets_are_masked_in_every_field_of_a_failure(bench, make):
    def execute(ctx):
        try:
            raise RuntimeError(f"before: {fetch(ctx)}")
        except RuntimeError as error:
            raise make(fetch(ctx)) from error

    outcome = bench.work(Task(execute=execute))
    assert outcome.failure is not None
    assert "***" in outcome.failure.trace
    assert not leaks(bench, outcome)


@pytest.mark.parametrize("word", ["change", "action", "before", "summary", "outputs", "true", "ssh"])
def test_a_secret_that_is_a_word_of_ours_does_no_harm(word):
    bench = Bench()
    task = Task(plan=lambda ctx, _: (ctx.masker.add(word), Preview.change("do", before={"n": 1}))[1])
    outcome = bench.work(task, JobKind.PREPARE)
    assert outcome.verdict is Verdict.PREPARED
    assert outcome.preview.action is Action.CHANGE
    assert outcome.preview.before == {"n": 1}


def test_a_parameter_that_holds_a_secret_is_refused_not_altered(bench):
    """Masked, it would be journaled as `***`, and `***` is what execute would get."""
    task = Task(plan=lambda ctx, _: fetch(ctx) and Preview.change("do"))
    outcome = bench.work(task, JobKind.PREPARE, params={"fine": 1, "path": f"/srv/{SECRET}/x"})
    assert outcome.verdict is Verdict.FAILED
    assert "`path`" in outcome.failure.message
    assert not leaks(bench, outcome)


def test_a_before_that_holds_a_secret_is_refused_not_altered(bench):
    """Masked, revert would put `***` back."""
    task = Task(plan=lambda ctx, _: Preview.change("do", before={"content": f"password={fetch(ctx)}"}))
    outcome = bench.work(task, JobKind.PREPARE)
    assert outcome.verdict is Verdict.FAILED
    assert "`content`" in outcome.failure.message
    assert not leaks(bench, outcome)


def test_a_reference_to_a_secret_is_no_secret(bench):
    task = Task(plan=lambda ctx, _: fetch(ctx) and Preview.change("do"))
    outcome = bench.work(task, JobKind.PREPARE, params={"p": "{{ secret('env:X') }}"})
    assert outcome.verdict is Verdict.PREPARED
    assert outcome.params == {"p": {"$secret": "env:X"}}


# Threads


def test_a_context_used_from_another_thread_fails_there_and_does_nothing(bench):
    errors = []

    def execute(ctx):
        def elsewhere():
            for use in (
                lambda: ctx.run("x"), lambda: ctx.write("f", ""), lambda: ctx.put("f", "f"), lambda: ctx.probe("x"),
                lambda: ctx.get("f"), lambda: ctx.tail("f"), lambda: ctx.log("x"), lambda: ctx.progress(1, 2),
                lambda: ctx.secret("env:X"), lambda: ctx.sleep(0), lambda: ctx.wait_until("x", timeout=1),
            ):  # fmt: skip
                try:
                    use()
                except RuntimeError as error:
                    errors.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    assert bench.work(Task(execute=execute)).verdict is Verdict.SUCCEEDED
    assert len(errors) == 11
    assert bench.host.operations == []
    assert len(bench.messages) == 1


def test_one_worker_serves_many_threads_at_once():
    barrier = threading.Barrier(8, timeout=10)
    world = World()

    def execute(ctx):
        barrier.wait()
        ctx.secret(ctx.node)
        ctx.log(f"{ctx.node} here, not {ctx.host}")
        return {"node": ctx.node}

    task = Task(execute=execute)
    tasks = type("Tasks", (), {"get": lambda _, name: task})()
    renderer = TemplateRenderer(directory=".", hosts=lambda _: [])
    worker = Worker(tasks=tasks, transports=FakePool(), renderer=renderer, secret=lambda name: name)
    jobs = [
        Job(kind=JobKind.EXECUTE, run_id="r", node=f"node-{n}", step="s", host=f"host-{n}", task="task")
        for n in range(8)
    ]
    said = {job.node: [] for job in jobs}
    threads = [threading.Thread(target=worker, args=(job, said[job.node].append)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.log == []
    for job in jobs:
        log, outcome = said[job.node]
        assert log.text == f"*** here, not {job.host}"  # only its own secret is known to its masker
        assert outcome.outputs == {"node": "***"}


def test_a_job_is_done_as_its_user_and_what_is_hidden_is_masked(bench):
    asked = []

    class Pool:
        def to(self, host, become=""):
            asked.append((host, become))
            return bench.host

    def execute(ctx, *_):
        return {"said": ctx.run("say ", input="it is said-by-sudo").stdout}

    tasks = type("Tasks", (), {"get": lambda _, name: Task(execute=execute)})()
    renderer = TemplateRenderer(directory=".", hosts=lambda _: [])
    worker = Worker(
        tasks=tasks, transports=Pool(), renderer=renderer, secret=lambda n: n, hidden=lambda: ["said-by-sudo"]
    )
    job = Job(kind=JobKind.EXECUTE, run_id="r", node="s@h", step="s", host="h", task="task", become="db")
    worker(job, bench.messages.append)
    assert asked == [("h", "db")]
    assert bench.messages[-1].outputs == {"said": "say it is ***"}
