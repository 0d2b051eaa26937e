"""A hook that was interrupted is called again: what it did and read answers from the record."""

import io
from dataclasses import replace

import pytest

from opsflow.engine.context import HookContext
from opsflow.engine.trail import Trail
from opsflow.errors import Diverged, Interrupted, TransferFailed, Unreachable
from opsflow.model import CommandResult, Job, JobKind, Recorded
from opsflow.transport.fake import FakeTransport

JOB = Job(
    kind=JobKind.EXECUTE, run_id="run", node="step@host", step="step", host="host", task="task",
    record="run/step@host/execute/1", epoch=1,
)  # fmt: skip


class Service:
    """A host with a service that runs until it is stopped; every command that changes something is counted."""

    def __init__(self):
        self.running = True
        self.did = []
        self.fake = FakeTransport(
            commands=[
                ("is-running", lambda _: CommandResult(exit_status=0 if self.running else 1)),
                ("stop", lambda asked: self.do(asked, running=False)),
                ("start", lambda asked: self.do(asked, running=True)),
                ("", self.do),
            ]
        )

    def do(self, asked, **changes):
        self.__dict__.update(changes)
        self.did.append(asked.subject)
        return f"{asked.subject} done\n"

    def context(self, *, replay=False, epoch=1):
        self.machine = self.fake.claim("run", epoch)
        job = replace(JOB, replay=replay, epoch=epoch, machine=self.machine)
        return HookContext(job, self.fake, emit=lambda _: None, secret=lambda name: name)


def hook(ctx):
    """Looks, acts on what it saw, writes a file, waits, acts."""
    seen = {"was_running": ctx.probe("is-running").ok, "at": ctx.now().isoformat(), "number": ctx.random()}
    if seen["was_running"]:
        seen["stopped"] = ctx.run("stop it").stdout
    ctx.write("/etc/it", "new")
    ctx.run("migrate it")
    seen["content"] = ctx.get("/etc/it").decode()
    seen["last"] = ctx.run("start it").stdout
    seen["up"] = ctx.wait_until("is-running", timeout=1).ok
    return seen


CALLS = ["is-running", "stop it", "/etc/it", "migrate it", "/etc/it", "start it", "is-running"]


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("number", range(1, len(CALLS) + 1))
def test_a_hook_that_is_cut_anywhere_goes_on_where_it_was(number, after_effect):
    service = Service()
    service.fake.interrupt(number, after_effect=after_effect)
    with pytest.raises(Interrupted):
        hook(service.context())
    again = service.context(replay=True, epoch=2)
    seen = hook(again)
    again.end()
    assert service.did == ["stop it", "migrate it", "start it"]
    assert (seen["was_running"], seen["content"], seen["up"]) == (True, "new", True)
    assert sum(o.kind == "put" for o in service.fake.operations) == 1 + (number == 3 and not after_effect)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_an_operation_that_was_tried_again_keeps_its_place(number):
    """The first try has certainly not begun, so the record does not know of it."""

    def patient(ctx):
        ctx.run("one")
        try:
            ctx.run("two")
        except Unreachable:
            service.fake.unreachable = False
            ctx.run("two")
        ctx.probe("is-running")
        ctx.run("three")

    service = Service()
    service.fake.interrupt(number, after_effect=True)
    first = service.context()
    run = service.fake.run
    service.fake.run = lambda command, **more: (run(command, **more), setattr(
        service.fake, "unreachable", command == "one"))[0]  # fmt: skip
    with pytest.raises(Interrupted):
        patient(first)
    service.fake.run = run
    again = service.context(replay=True, epoch=2)
    patient(again)
    again.end()
    assert service.did == ["one", "two", "three"]


def test_an_answer_that_an_operation_changed_is_the_one_of_the_first_time():
    """Failure 4: reads are part of the record."""
    service = Service()
    service.fake.interrupt(4)
    with pytest.raises(Interrupted):
        hook(service.context())
    assert not service.running
    assert hook(service.context(replay=True, epoch=2))["was_running"]


def test_time_and_chance_are_as_they_were():
    service, seen = Service(), []

    def cut(ctx):
        seen.append((ctx.now(), ctx.random()))
        ctx.run("act")
        seen.append(ctx.random())

    cut(service.context())
    cut(service.context(replay=True, epoch=2))
    assert seen[0] == seen[2]
    assert seen[1] != seen[3]  # after the last operation on record all is live


def test_a_hook_is_called_again_twice_and_knows_its_reads_still():
    service = Service()
    service.fake.interrupt(4)
    with pytest.raises(Interrupted):
        hook(service.context())
    service.fake.interrupt(len(service.fake.operations) + 3)
    with pytest.raises(Interrupted):
        hook(service.context(replay=True, epoch=2))
    hook(service.context(replay=True, epoch=3))
    assert service.did == ["stop it", "migrate it", "start it"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda ctx: ctx.run("something else"), "began another operation 1"),
        (lambda ctx: (ctx.probe("is-running"), ctx.run("stop it")), "did not read at this place before operation 1"),
        (lambda ctx: ctx.write("/x", "y"), "began another operation 1"),
        (lambda ctx: (ctx.run("stop it"), ctx.run("other")), "read 'probe' before operation 2"),
        (lambda ctx: (ctx.run("stop it"), ctx.probe("is-running"), ctx.run("other")), "began another operation 2"),
        (lambda ctx: ctx.run("stop it"), "went on with operation 2"),
        (lambda ctx: None, "went on with operation 1"),
        (lambda ctx: ctx.run("stop it", cwd="/"), "began another operation 1"),
        (lambda ctx: ctx.run("stop it", env={"A": "b"}), "began another operation 1"),
        (lambda ctx: ctx.run("stop it", input="x"), "began another operation 1"),
    ],
)
def test_a_task_that_does_something_else_is_found_out_and_named(other, said):
    service = Service()
    ctx = service.context()
    ctx.run("stop it")
    ctx.probe("is-running")
    ctx.run("start it")
    did = list(service.did)
    again = service.context(replay=True, epoch=2)

    def call():
        other(again)
        again.end()

    with pytest.raises(Diverged, match=f"the task task is not deterministic.*{said}"):
        call()
    assert service.did == did


def test_an_operation_whose_record_is_empty_is_left_to_the_target_to_judge():
    """Its hash and its reads did not get to the disk: the task is not blamed for that."""
    recorded = [Recorded(digest="-")]
    trail = Trail(replace(JOB, replay=True, machine="place"), recorded)
    assert trail.read("probe", "x", lambda: "live") == "live"
    operation = trail.operation("run", "x")
    assert (operation.number, operation.place) == (1, "place")
    trail.end()
    with pytest.raises(Diverged):
        Trail(replace(JOB, replay=True, machine="place"), recorded).end()


def test_a_long_answer_is_asked_for_again_and_must_be_the_same():
    service = Service()
    service.fake.files["/big"] = b"x" * 100_000
    ctx = service.context()
    ctx.get("/big")
    ctx.run("act")
    again = service.context(replay=True, epoch=2)
    assert len(again.get("/big")) == 100_000
    service.fake.files["/big"] = b"y" * 100_000
    with pytest.raises(Diverged, match="read something else before operation 1"):
        service.context(replay=True, epoch=3).get("/big")


def test_a_file_that_was_fetched_is_fetched_again_only_where_it_is_missing(tmp_path):
    service = Service()
    service.fake.files["/dump"] = b"old"
    copy = tmp_path / "dump"
    ctx = service.context()
    digest = ctx.fetch("/dump", copy)
    ctx.run("act")
    service.fake.operations.clear()
    assert service.context(replay=True, epoch=2).fetch("/dump", copy) == digest
    assert service.fake.operations == []
    copy.unlink()
    assert service.context(replay=True, epoch=3).fetch("/dump", copy) == digest
    assert copy.read_bytes() == b"old"
    copy.unlink()
    service.fake.files["/dump"] = b"new"
    with pytest.raises(TransferFailed, match="no longer what was fetched"):
        service.context(replay=True, epoch=4).fetch("/dump", copy)


def test_secrets_are_neither_in_hashes_nor_in_records():
    service = Service()
    ctx = service.context()
    value = ctx.secret("correct-horse-battery")
    service.fake.files["/with"] = b"nothing"
    ctx.probe("is-running")
    ctx.run("act", input=value, env={"TOKEN": value})
    again = service.context(replay=True, epoch=2)
    again.masker.add("another-value-of-it")
    again.probe("is-running")
    again.run("act", input="another-value-of-it", env={"TOKEN": "another-value-of-it"})
    again.end()
    assert len(service.did) == 1


def test_an_earlier_owner_is_shut_out():
    service = Service()
    stale = service.context(epoch=1)
    service.context(epoch=2)
    with pytest.raises(Interrupted):
        stale.run("stop it")
    assert service.did == []


def test_a_file_is_not_put_again_over_what_came_later():
    """Failure 5: put and write are operations."""
    service = Service()
    op_context = service.context()
    op_context.write("/etc/conf", "first")
    service.fake.put(io.BytesIO(b"edited"), "/etc/conf")
    service.context(replay=True, epoch=2).write("/etc/conf", "first")
    assert service.fake.files["/etc/conf"] == b"edited"
