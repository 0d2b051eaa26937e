from datetime import UTC, datetime, timedelta

import pytest

from opsflow import events
from opsflow.model import Failure, NodeState, Phase, RunState

START = datetime(2026, 11, 24, 20, 0, 0, tzinfo=UTC)
EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m"


class Story:
    """Makes events of one run, a second apart."""

    run_id = "01RUN"

    def __init__(self):
        self._now = START

    def __call__(self, kind, **fields):
        self._now += timedelta(seconds=1)
        return kind(run_id=self.run_id, at=self._now, **fields)

    def begin(self, nodes=2, hosts=1):
        return self(events.RunStarted, playbook="upgrade", command="apply", nodes=nodes, hosts=hosts)

    def start(self, node, phase=Phase.EXECUTE, n=1, summary=""):
        return self(events.NodeStarted, node=node, phase=phase, n=n, summary=summary)

    def finish(self, node, state=NodeState.SUCCEEDED, **fields):
        return self(events.NodeFinished, node=node, state=state, phase=fields.pop("phase", Phase.EXECUTE), **fields)

    def fail(self, node, **fields):
        error = Failure(
            kind="CommandFailed",
            message="exit status 3: migrate",
            command=fields.pop("command", "migrate --now"),
            exit_status=3,
            stderr=fields.pop("stderr", "warming up\nno such table\n"),
            hint="look at the schema",
            trace="Traceback: secret internals",
        )
        return self.finish(node, NodeState.FAILED, error=error, source="playbooks/up.toml:12:1", **fields)

    def end(self, state=RunState.SUCCEEDED, exit_code=0, hint="", **counts):
        counted = {NodeState(name): count for name, count in counts.items()}
        return self(events.RunFinished, state=state, exit_code=exit_code, counts=counted, hint=hint)


@pytest.fixture
def story():
    return Story()


@pytest.fixture
def evil():
    return EVIL


@pytest.fixture
def start():
    return START
