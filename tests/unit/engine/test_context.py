"""What a task sees of the world."""

import hashlib
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opsflow.errors import CommandFailed, Interrupted, TaskFailed, TransferFailed, Unreachable
from opsflow.model import CommandResult, Log, Output, Phase, Progress
from opsflow.playbook import TemplateRenderer
from opsflow.testing.context import make_context
from opsflow.transport.fake import FakeTransport

SECRET = "hunter2-and-more"


@pytest.fixture
def host():
    ends = iter([1, 1, 0, 9])
    return FakeTransport(
        name="web",
        files={"/there": b"content\xff", "/lines": b"a\nb\n"},
        commands=[
            (r"^exit (\d+)", lambda o: CommandResult(exit_status=int(o.subject.split()[1]), stderr="why\n")),
            ("^slow", CommandResult(exit_status=143, timed_out=True)),
            ("^echo", lambda o: o.subject.removeprefix("echo ") + "\n" + o.input.decode() + "".join(o.env.values())),
            ("^up", lambda _: CommandResult(exit_status=next(ends))),
        ],
    )


@pytest.fixture
def said():
    return []


@pytest.fixture
def ctx(host, said):
    return make_context(host, phase=Phase.EXECUTE, emit=said.append, secrets={"env:X": SECRET})


# Who and where


def test_what_it_is_called_for(host, tmp_path):
    ctx = make_context(
        host, directory=tmp_path, host="web", step="deploy", task="copy", run_id="r1", phase=Phase.REVERT,
        variables={"a": 1}, outputs={"build": {"path": "/x"}}, attempt=2,
    )  # fmt: skip
    assert (ctx.host, ctx.step, ctx.task, ctx.run_id, ctx.node) == ("web", "deploy", "copy", "r1", "deploy@web")
    assert (ctx.phase, ctx.attempt, ctx.deadline, ctx.project) == (Phase.REVERT, 2, None, tmp_path)
    assert dict(ctx.vars) == {"a": 1}
    assert ctx.outputs == {"build": {"path": "/x"}}


def test_the_project_is_absolute(host, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert make_context(host, directory="sub").project == tmp_path / "sub"


def test_phase_is_none_in_plan(host):
    assert make_context(host).phase is None


def test_variables_are_rendered_when_looked_at(host):
    from opsflow.engine.context import HookContext
    from opsflow.model import Job, JobKind

    job = Job(
        kind=JobKind.EXECUTE, run_id="r", node="s@h", step="s", host="h", task="t",
        variables={"n": "{{ 1 + m }}", "m": 2, "broken": "{{ nothing }}"}, facts={"host": "h"},
    )  # fmt: skip
    renderer = TemplateRenderer(directory=".", hosts=lambda _: [])
    ctx = HookContext(job, host, emit=lambda _: None, secret=lambda n: n, renderer=renderer)
    assert ctx.vars["n"] == 3
    assert set(ctx.vars) == {"n", "m", "broken"}
    with pytest.raises(Exception, match="nothing"):
        ctx.vars["broken"]
    with pytest.raises(KeyError):
        ctx.vars["absent"]


# Plan only looks


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        (lambda c: c.run("rm -rf /"), "run 'rm -rf /'"),
        (lambda c: c.put("x", "/y"), "put '/y'"),
        (lambda c: c.write("/y", "x"), "write '/y'"),
    ],
)
def test_in_plan_an_operation_is_refused_and_named(host, operation, named):
    with pytest.raises(TaskFailed, match="may only look") as caught:
        operation(make_context(host))
    assert named in caught.value.message
    assert host.operations == []


def test_in_plan_reads_and_talk_are_fine(host, said):
    ctx = make_context(host, emit=said.append)
    assert ctx.probe("echo x").ok
    assert ctx.get("/there") == b"content\xff"
    assert ctx.tail("/lines") == ["a", "b"]
    ctx.log("hello")
    assert [m.text for m in said] == ["hello"]
    assert ctx.link.operations == 0


# Operations


def test_run_gives_what_the_command_gave_and_tells_it(ctx, said):
    result = ctx.run("echo x", input="in", env={"A": "1"})
    assert result == CommandResult(exit_status=0, stdout="x\nin1")
    assert [(m.stream, m.text) for m in said if isinstance(m, Output)] == [("stdout", "x\nin1")]
    assert ctx.link.operations == 1


def test_run_passes_everything_on(ctx, host):
    ctx.run("echo", input=b"\x00\xff"[:1], env={"A": "1"}, cwd="/srv", timeout=5)
    asked = host.operations[-1]
    assert (asked.input, asked.env, asked.cwd, asked.timeout) == (b"\x00", {"A": "1"}, "/srv", 5)


def test_a_status_is_an_error_unless_it_is_expected(ctx):
    with pytest.raises(CommandFailed) as caught:
        ctx.run("exit 3")
    assert (caught.value.exit_status, caught.value.command, caught.value.stderr) == (3, "exit 3", "why")
    assert ctx.run("exit 3", check=False).exit_status == 3


def test_a_timeout_is_an_error_even_if_a_status_is_expected(ctx):
    with pytest.raises(CommandFailed) as caught:
        ctx.run("slow", check=False, timeout=2)
    assert "2 s" in caught.value.hint


def test_write_and_put(ctx, host, tmp_path):
    import hashlib

    assert ctx.write("/a", "text") == hashlib.sha256(b"text").hexdigest()
    ctx.write("/b", b"\x00", mode=0o644)
    (tmp_path / "f").write_bytes(b"local")
    ctx.put(tmp_path / "f", "/c")
    assert {p: host.files[p] for p in ("/a", "/b", "/c")} == {"/a": b"text", "/b": b"\x00", "/c": b"local"}
    assert (host.modes["/a"], host.modes["/b"]) == (0o600, 0o644)
    assert ctx.link.operations == 3


def test_put_takes_relative_paths_from_the_project(host, tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"local")
    monkeypatch.chdir("/")
    make_context(host, directory=tmp_path, phase=Phase.EXECUTE).put("f", "/c")
    assert host.files["/c"] == b"local"


def test_a_local_file_that_is_not_there_fails_before_anything_is_begun(ctx, host):
    with pytest.raises(TaskFailed, match=r"cannot read .*nothing-here"):
        ctx.put("nothing-here", "/c")
    assert host.operations == []
    assert ctx.link.operations == 0


# Reads


def test_a_probe_never_raises_for_its_status(ctx):
    assert ctx.probe("exit 9").exit_status == 9
    assert ctx.link.operations == 0


def test_get_of_nothing(ctx):
    with pytest.raises(TransferFailed):
        ctx.get("/nothing")


def test_a_fetched_file_is_whole_and_private(host, tmp_path):
    ctx = make_context(host, phase=Phase.EXECUTE, directory=tmp_path)
    copy = tmp_path / "dumps/web/copy"
    assert ctx.fetch("/there", "dumps/web/copy") == hashlib.sha256(b"content\xff").hexdigest()
    assert (copy.read_bytes(), copy.stat().st_mode & 0o7777) == (b"content\xff", 0o600)
    with pytest.raises(TransferFailed):
        ctx.fetch("/nothing", copy)
    assert (copy.read_bytes(), os.listdir(copy.parent)) == (b"content\xff", ["copy"])


@pytest.mark.parametrize(("place", "why"), [("", "it is a directory"), ("file/copy", "a file is where")])
def test_where_nothing_can_be_written_nothing_is_fetched(host, tmp_path, place, why):
    (tmp_path / "file").write_text("")
    with pytest.raises(TaskFailed, match=f"(?i){why}"):
        make_context(host, phase=Phase.EXECUTE).fetch("/there", tmp_path / place)
    assert host.operations == []


def test_a_plan_hook_fetches_nothing(host, tmp_path):
    with pytest.raises(TaskFailed, match="may only look"):
        make_context(host).fetch("/there", tmp_path / "copy")


def test_tail(ctx, host):
    assert ctx.tail("/lines", 5) == ["a", "b"]
    assert ctx.tail("/no such") == []
    assert ctx.tail("/lines", 1) == ["b"]
    assert ctx.tail("/lines", 0) == []
    host.files["/lines"] = b"a\xff\n\nno newline"
    assert ctx.tail("/lines") == ["a\ufffd", "", "no newline"]


def test_a_tail_is_masked(host):
    ctx = make_context(host, secrets={"env:X": SECRET})
    ctx.secret("env:X")
    host.files["/lines"] = f"it is {SECRET}\n".encode()
    assert ctx.tail("/lines") == ["it is ***"]


def test_wait_until_stops_at_success(ctx, host):
    assert ctx.wait_until("up", timeout=10, every=0.01).ok
    assert len(host.operations) == 3


def test_wait_until_gives_the_last_result_when_the_time_is_over(ctx):
    began = time.monotonic()
    assert ctx.wait_until("exit 4", timeout=0.2, every=0.05).exit_status == 4
    assert 0.2 <= time.monotonic() - began < 5


def test_wait_until_looks_at_least_once(ctx, host):
    assert ctx.wait_until("echo", timeout=0).ok
    assert len(host.operations) == 1


def test_now_and_random(ctx):
    assert abs((ctx.now() - datetime.now(UTC)).total_seconds()) < 5
    assert ctx.now().tzinfo is UTC
    assert 0 <= ctx.random() < 1
    assert len({ctx.random() for _ in range(50)}) > 1


def test_quote(ctx):
    assert ctx.quote("a b'c") == "'a b'\"'\"'c'"
    assert ctx.quote(Path("/x y")) == "'/x y'"
    assert ctx.quote("") == "''"


def test_talk(ctx, said):
    ctx.log("hello")
    ctx.progress(1, 4)
    assert isinstance(said[0], Log)
    assert (said[1].done, said[1].total) == (1, 4)
    assert isinstance(said[1], Progress)


# The attempt's time


def test_no_operation_is_given_more_time_than_the_attempt_has(host):
    ctx = make_context(host, phase=Phase.EXECUTE, timeout=10)
    ctx.run("echo")
    ctx.run("echo", timeout=3)
    ctx.run("echo", timeout=100)
    ctx.probe("echo")
    given = [o.timeout for o in host.operations]
    assert given[1] == 3
    assert all(9 < t <= 10 for t in (given[0], given[2], given[3]))
    assert 9 < ctx.deadline <= 10


def test_when_the_time_is_over_nothing_is_begun_any_more(host):
    ctx = make_context(host, phase=Phase.EXECUTE, timeout=0.05)
    ctx.sleep(5)  # no longer than the attempt
    assert ctx.deadline == 0
    for use in (
        lambda: ctx.run("echo"),
        lambda: ctx.probe("echo"),
        lambda: ctx.sleep(1),
        lambda: ctx.write("/f", ""),
        lambda: ctx.get("/f"),
    ):
        with pytest.raises(TaskFailed, match=r"timed out after 0\.05 s"):
            use()
    assert host.operations == []


def test_without_a_limit_a_probe_has_a_minute(ctx, host):
    ctx.probe("echo")
    assert host.operations[-1].timeout == 60
    ctx.run("echo")
    assert host.operations[-1].timeout is None


# Secrets


def test_a_secret_is_masked_wherever_it_shows(ctx, said, host):
    value = ctx.secret("env:X")
    assert value == SECRET
    result = ctx.run("echo", input=value, env={"P": value})
    assert result.stdout == "echo\n******"
    assert ctx.probe("echo", env={"P": value}).stdout == "echo\n***"
    ctx.log(f"it is {value}")
    assert SECRET not in repr(said)
    assert host.operations[0].input.decode() == SECRET, "the host gets it as it is"


def test_a_long_input_with_a_secret_is_known_by_a_hash_of_the_rest(ctx, host):
    value = ctx.secret("env:X")
    ctx.run("echo", input="x" * 5000 + value)
    assert host.operations[0].input.decode().endswith(value)


def test_of_a_refused_command_the_line_with_the_secret_is_told(ctx):
    with pytest.raises(TaskFailed, match=r"^a secret stands in a command: echo \*\*\*$"):
        ctx.run(f"one\necho {ctx.secret('env:X')}\n" + "three\n" * 100)


@pytest.mark.parametrize("use", [lambda c, v: c.run(f"echo {v}"), lambda c, v: c.probe(f"echo {v}")])
def test_a_secret_in_a_command_is_refused(ctx, host, use):
    value = ctx.secret("env:X")
    with pytest.raises(TaskFailed, match=r"echo \*\*\*") as caught:
        use(ctx, value)
    assert "input=" in caught.value.hint
    assert host.operations == []


def test_a_secret_is_masked_in_the_error_of_a_command(host):
    host._commands.insert(0, (__import__("re").compile("^bad"), CommandResult(exit_status=1, stderr=f"no {SECRET}\n")))
    ctx = make_context(host, phase=Phase.EXECUTE, secrets={"env:X": SECRET})
    ctx.secret("env:X")
    with pytest.raises(CommandFailed) as caught:
        ctx.run("bad")
    assert caught.value.stderr == "no ***"


# Lost links


def test_once_the_link_is_lost_nothing_follows(ctx, host):
    host.interrupt(1, after_effect=True)
    with pytest.raises(Interrupted):
        ctx.run("echo one")
    for use in (
        lambda: ctx.run("echo two"), lambda: ctx.write("/f", ""), lambda: ctx.probe("echo"), lambda: ctx.get("/there"),
        lambda: ctx.tail("/lines"),
    ):  # fmt: skip
        with pytest.raises(Interrupted):
            use()
    assert len(host.operations) == 1
    assert ctx.link.operations == 1


def test_an_unreachable_host_may_be_tried_again(ctx, host):
    host.unreachable = True
    with pytest.raises(Unreachable):
        ctx.run("echo")
    assert ctx.link.operations == 0
    host.unreachable = False
    assert ctx.run("echo").ok
