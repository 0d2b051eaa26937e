import io
import json
from datetime import UTC, datetime

from opsflow import events
from opsflow.errors import Difference, Position, Problem
from opsflow.model import NodeState, RunState
from opsflow.report.jsonl import JsonLines


def written(happened):
    stream = io.StringIO()
    report = JsonLines(stream)
    for event in happened:
        report(event)
    report.close()
    return stream.getvalue()


def test_every_event_is_a_line_and_the_last_one_tells_the_end(story):
    lines = written([story.begin(), story.start("a@h"), story.end(RunState.FAILED, 1, "opsflow resume", failed=1)])
    first, second, last = map(json.loads, lines.splitlines())
    assert first == {
        "event": "run_started",
        "run_id": "01RUN",
        "at": "2026-11-24T20:00:01.000Z",
        "playbook": "upgrade",
        "command": "apply",
        "nodes": 2,
        "hosts": 1,
    }
    assert (second["event"], second["phase"]) == ("node_started", "execute")
    assert last == {
        "event": "run_finished",
        "run_id": "01RUN",
        "at": "2026-11-24T20:00:03.000Z",
        "state": "failed",
        "exit_code": 1,
        "counts": {"failed": 1},
        "left": [],
        "hint": "opsflow resume",
    }


def test_failures_come_without_their_traceback(story):
    (line,) = map(json.loads, written([story.fail("a@h")]).splitlines())
    assert line["error"] == {
        "kind": "CommandFailed",
        "message": "exit status 3: migrate",
        "command": "migrate --now",
        "exit_status": 3,
        "stderr": "warming up\nno such table\n",
        "hint": "look at the schema",
    }


def test_lines_hold_ascii_only(story, evil):
    text = written([story(events.NodeOutput, node="a@h", stream="stdout", text=evil + "\n")])
    assert text.count("\n") == 1
    assert text.isascii()
    assert text[:-1].isprintable()
    assert json.loads(text)["text"] == evil + "\n"


CHANGED = Difference(what="step", names=("a",), change="changed", key="with.run", before='"x"', after='"y"')


def test_every_kind_of_event_can_be_written(story):
    kinds = {kind.__name__ for kind in events.Event.__subclasses__()}
    from opsflow.model import Action, Phase

    made = [
        story.begin(),
        story.start("a@h"),
        story(events.NodeFollowed, node="a@h", phase=Phase.EXECUTE, n=1, since=datetime.now(UTC)),
        story.finish("a@h", NodeState.SUCCEEDED, outputs={"n": [1, None]}),
        story(events.NodeOutput, node="a@h", stream="log", text="x"),
        story(events.NodeProgressed, node="a@h", done=1, total=2),
        story(events.NodeRetrying, node="a@h", n=1, delay=1.5, error=None),
        story(events.NodeWaiting, node="a@h", step="a", question="well?"),
        story(events.RolloutPlanned, by="host", batches=(("h",),), max_failures=0, pause=0.0, gates=()),
        story(events.BatchBegan, number=1, total=2, units=("h",)),
        story(events.RolloutPaused, number=2, delay=1.5),
        story(events.RolloutStopped, failed=("h",), max_failures=0, left=1),
        story(events.RollbackBegan, scope="run", nodes=("a@h",), cause="x"),
        story(events.PlanChanged, differences=(CHANGED,), added=("b@h",), removed=(), kept=()),
        story(events.RunStopping, running=()),
        story(events.HostKeyAccepted, host="h", where="h (u@h:22)", key="ssh-ed25519 SHA256:x", file="known"),
        story(
            events.InventoryNoticed,
            notice=Problem(message="not understood", position=Position(file="i.yml", line=1, column=2)),
        ),
        story(events.ListenerFailed, listener="theirs", error="ValueError: x"),
        story.end(),
        story(
            events.NodePlanned,
            node="a@h",
            step="a",
            host="h",
            action=Action.CHANGE,
            reversible=True,
            summary="",
            diff="",
            needs=(),
        ),
    ]
    names = [json.loads(line)["event"] for line in written(made).splitlines()]
    assert {type(event).__name__ for event in made} == kinds
    assert names[3:5] == ["node_finished", "node_output"]
    assert Phase.EXECUTE in written(made)
