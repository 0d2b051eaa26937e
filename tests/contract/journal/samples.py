"""Records for the tests, and what other processes do in them (`python samples.py COMMAND URL ...`)."""

import json
import os
import random
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial

from opsflow.errors import OpsflowError
from opsflow.journal import SqlJournal
from opsflow.model import (
    AttemptFinished,
    AttemptRecord,
    AttemptStarted,
    AttemptState,
    NodeChanged,
    NodeRecord,
    NodeState,
    OutputAppended,
    Phase,
    RunRecord,
    RunState,
)

NOW = datetime(2026, 11, 24, 21, 30, 15, 123456, tzinfo=UTC)
LATER = NOW + timedelta(hours=1, microseconds=1)


def run(run_id="20261124T213015-aaaaa", **changes):
    fields = {
        "state": RunState.RUNNING,
        "playbook": "playbooks/upgrade.toml",
        "inventory": "inventories/prod.toml",
        "fingerprint": "f" * 64,
        "command": "apply",
        "operator": "alice@control",
        "started": NOW,
    }
    return RunRecord(id=run_id, **fields | changes)


def node(host="web-1", step="stop", **changes):
    fields = {"id": f"{step}@{host}", "state": NodeState.PENDING, **changes}
    return NodeRecord(step=step, host=host, task="command", **fields)


def begin(journal, record=None, hosts=("web-1",), steps=("stop",), hold=None):
    """Begin a run of one node per host and step."""
    record = record or run()
    nodes = [node(host, step) for step in steps for host in hosts]
    journal.begin(record, {"nodes": [n.id for n in nodes]}, nodes, list(hosts) if hold is None else hold)
    return record


def attempt(run_id, node_id, n=1, phase=Phase.EXECUTE, **changes):
    return AttemptRecord(
        id=f"{run_id}/{node_id}/{phase}/{n}",
        run_id=run_id,
        node=node_id,
        phase=phase,
        n=n,
        **{"state": AttemptState.RUNNING, "started": NOW} | changes,
    )


def intent(run_id, node_id, n=1, before=NodeState.PENDING, **changes):
    return [
        NodeChanged(node=node_id, before=before, after=NodeState.RUNNING),
        AttemptStarted(attempt=attempt(run_id, node_id, n, **changes)),
    ]


def outcome(run_id, node_id, n=1, state=AttemptState.SUCCEEDED, after=NodeState.SUCCEEDED, **changes):
    return [
        AttemptFinished(id=f"{run_id}/{node_id}/execute/{n}", state=state, finished=LATER, **changes),
        NodeChanged(node=node_id, before=NodeState.RUNNING, after=after),
    ]


def printed(run_id, node_id, text, stream="stdout", n=1):
    return OutputAppended(attempt=f"{run_id}/{node_id}/execute/{n}", stream=stream, text=text, at=NOW)


def commit_for_ever(journal, run_id, acknowledge):
    """All nodes in lockstep: each round is an intent of all, and a failure of all with a line of output."""
    nodes = [record.id for record in journal.nodes(run_id)]
    before, n, commits = NodeState.PENDING, 1, 0
    while True:
        journal.commit(run_id, [c for node in nodes for c in intent(run_id, node, n, before)])
        commits += 1
        acknowledge(commits)
        failed = {"state": AttemptState.FAILED, "after": NodeState.FAILED}
        text = [printed(run_id, node, f"{n}\n", n=n) for node in nodes]
        journal.commit(run_id, [*text, *(c for node in nodes for c in outcome(run_id, node, n, **failed))])
        commits += 1
        acknowledge(commits)
        before, n = NodeState.FAILED, n + 1


def _dot(writing, _):
    os.write(writing, b".")


def kill_writers(url, count):
    """Let `count` processes, one after the other, commit until SIGKILL. Prints run id and acknowledged commits each."""
    for k in range(int(count)):
        run_id = f"20261124T213015-k{k:04}"
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            journal = SqlJournal.open(url)
            hosts = [f"k{k}-{n}" for n in range(8)]
            begin(journal, run(run_id), hosts)
            commit_for_ever(journal, run_id, partial(_dot, writing))
        os.close(writing)
        acknowledged = sum(len(os.read(reading, 1)) for _ in range(k % 3 + 1))
        time.sleep(random.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while data := os.read(reading, 65536):
            acknowledged += len(data)
        os.close(reading)
        print(json.dumps([run_id, acknowledged]), flush=True)


def begin_and_wait(url, run_id, *hosts):
    """Begin a run, say so, live until stdin ends, and go without a word to the journal."""
    begin(SqlJournal.open(url), run(run_id), hosts)
    print("begun", flush=True)
    sys.stdin.read()
    os._exit(0)


def race(url, action, *arguments):
    """When a line comes in, open or begin; print how it went."""
    journal = None if action == "open" else SqlJournal.open(url)
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        if journal is None:
            SqlJournal.open(url).close()
        else:
            begin(journal, run(arguments[0]), arguments[1:])
        print("done", flush=True)
    except OpsflowError as error:
        print(type(error).__name__, flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    {"kill_writers": kill_writers, "begin_and_wait": begin_and_wait, "race": race}[sys.argv[1]](*sys.argv[2:])
