"""The context for tests of tasks."""

import pytest

from opsflow import Phase, TaskFailed
from opsflow.model import Output
from opsflow.testing import make_context
from opsflow.transport.local import LocalTransport


def test_it_says_what_it_was_told(tmp_path):
    ctx = make_context(
        LocalTransport(tmp_path),
        directory=tmp_path,
        step="s",
        task="t",
        run_id="r",
        phase=Phase.REVERT,
        variables={"a": 1},
        outputs={"before": {"b": 2}},
        attempt=3,
        timeout=60,
    )
    assert (ctx.host, ctx.step, ctx.node, ctx.task, ctx.run_id) == ("localhost", "s", "s@localhost", "t", "r")
    assert (ctx.phase, ctx.attempt, ctx.project) == (Phase.REVERT, 3, tmp_path)
    assert (dict(ctx.vars), ctx.outputs["before"]) == ({"a": 1}, {"b": 2})
    assert 0 < ctx.deadline <= 60


def test_without_a_phase_it_only_looks(tmp_path):
    ctx = make_context(LocalTransport(tmp_path))
    assert ctx.phase is None
    assert ctx.probe("echo seen").stdout == "seen\n"
    with pytest.raises(TaskFailed, match="may only look"):
        ctx.run("true")


def test_it_works_on_the_transport_and_tells_what_happens(tmp_path):
    heard = []
    ctx = make_context(LocalTransport(tmp_path), phase=Phase.EXECUTE, secrets={"env:P": "hush-hush"}, emit=heard.append)
    ctx.write("file", ctx.secret("env:P"))
    assert (tmp_path / "file").read_text() == "hush-hush"
    assert ctx.run("cat file").stdout == "***"
    assert [(m.stream, m.text) for m in heard if isinstance(m, Output)] == [("stdout", "***")]


def test_secrets_come_from_the_environment_and_from_files(tmp_path, monkeypatch):
    monkeypatch.setenv("GIVEN", "value")
    (tmp_path / "secret").write_text("kept\n")
    ctx = make_context(LocalTransport(tmp_path))
    assert ctx.secret("env:GIVEN") == "value"
    assert ctx.secret(f"file:{tmp_path / 'secret'}") == "kept"
