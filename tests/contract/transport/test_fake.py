"""The fake host."""

import io

import pytest

from opsflow.errors import Interrupted, Unreachable
from opsflow.model import CommandResult
from opsflow.model import Operation as Recordable
from opsflow.transport.fake import FakeTransport, Operation


def test_the_first_fitting_answer_is_given():
    fake = FakeTransport(
        commands=[
            ("^systemctl is-active", CommandResult(exit_status=3, stdout="inactive\n")),
            ("^systemctl (?!is-)", lambda asked: asked.subject.split()[1]),
        ]
    )
    assert fake.run("systemctl is-active game").exit_status == 3
    assert fake.run("systemctl start game").stdout == "start"
    assert fake.run("reboot").exit_status == 127


def test_what_was_asked_is_recorded_in_order():
    fake = FakeTransport(files={"/etc/x": b"1"}, commands=[("", "")])
    fake.run("ls", input=b"in", env={"A": "b"}, cwd="/tmp", timeout=3)
    fake.put(io.BytesIO(b"2"), "/etc/y", mode=0o644)
    fake.get("/etc/x")
    assert fake.operations == [
        Operation(kind="run", subject="ls", input=b"in", env={"A": "b"}, cwd="/tmp", timeout=3),
        Operation(kind="put", subject="/etc/y", input=b"2"),
        Operation(kind="get", subject="/etc/x"),
    ]
    assert fake.files == {"/etc/x": b"1", "/etc/y": b"2"}
    assert fake.modes == {"/etc/y": 0o644}


def test_an_unreachable_host_does_nothing():
    fake = FakeTransport(files={"a": b""}, commands=[("", "")])
    fake.unreachable = True
    for operation in (
        lambda: fake.run("ls"),
        lambda: fake.put(io.BytesIO(b"x"), "a"),
        lambda: fake.get("a"),
        fake.identity,
    ):
        with pytest.raises(Unreachable):
            operation()
    assert fake.operations == []
    assert fake.files == {"a": b""}


@pytest.mark.parametrize("after_effect", [False, True])
def test_the_link_is_lost_once_before_or_after_the_effect(after_effect):
    done = []
    fake = FakeTransport(commands=[("", lambda asked: done.append(asked.subject) or "")])
    fake.interrupt(2, after_effect=after_effect)
    fake.run("first")
    with pytest.raises(Interrupted):
        fake.run("second")
    fake.run("third")
    assert done == (["first", "second", "third"] if after_effect else ["first", "third"])


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_lost_link_leaves_a_file_whole_or_away(after_effect):
    fake = FakeTransport()
    fake.interrupt(1, after_effect=after_effect)
    with pytest.raises(Interrupted):
        fake.put(io.BytesIO(b"x"), "f")
    assert fake.files == ({"f": b"x"} if after_effect else {})


def test_a_cancelled_attempt_starts_nothing_more():
    host = FakeTransport(commands=[("", "")])
    op = Recordable(run="run", epoch=1, attempt="a", number=1, digest="d")
    host.claim("run", 1)
    host.cancel(op)
    with pytest.raises(Interrupted):
        host.run("true", op=op)
    assert host.operations == []
