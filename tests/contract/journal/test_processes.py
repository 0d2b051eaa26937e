"""What other processes do at the same moment, and what is left when one of them dies in the middle."""

import json
import os

import pytest

from opsflow.errors import HostsHeld
from opsflow.journal import SqlJournal
from opsflow.model import AttemptState, NodeState

KILLS = {"sqlite": 20, "mysql": 6, "postgresql": 6}


def _line(process):
    return process.stdout.readline().strip()


def test_a_writer_killed_in_the_middle_of_commits_leaves_whole_ones(journal, url, start, samples):
    count = KILLS[journal.engine.dialect.name]
    deaths = [json.loads(line) for line in start("kill_writers", url, str(count)).stdout]
    assert len(deaths) == count

    commits = 0
    for run_id, acknowledged in deaths:
        nodes = journal.nodes(run_id)
        assert len({(n.state, len(n.attempts), n.attempts[-1].state) for n in nodes}) == 1
        first, attempts = nodes[0], len(nodes[0].attempts)
        assert all(a.state is AttemptState.FAILED for a in first.attempts[:-1])
        expected = {NodeState.RUNNING: AttemptState.RUNNING, NodeState.FAILED: AttemptState.FAILED}
        assert first.attempts[-1].state is expected[first.state]
        ended = attempts - (first.state is NodeState.RUNNING)
        lines = [p.text for p in journal.output(run_id, host=nodes[3].host)]
        assert lines == [f"{n}\n" for n in range(1, ended + 1)]
        # Acknowledged means durable; of the one in the air nobody knows.
        assert acknowledged <= attempts + ended <= acknowledged + 1
        commits += acknowledged

        journal.resume(run_id, "bob@control")
        if first.state is NodeState.RUNNING:
            journal.commit(run_id, samples.outcome(run_id, first.id, attempts))
        journal.leave(run_id, release_hosts=True)
    print(f"{count} kills, {commits} commits acknowledged")
    assert commits > count  # else every one died at its first


def test_a_run_is_taken_from_a_killed_process_at_once_and_not_from_a_living_one(journal, url, start, samples):
    process = start("begin_and_wait", url, "20261124T213015-bbbbb", "web-1")
    assert _line(process) == "begun"
    with pytest.raises(HostsHeld) as error:
        journal.resume("20261124T213015-bbbbb", "bob@control")
    assert str(process.pid) in error.value.message

    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and left a zombie
    journal.resume("20261124T213015-bbbbb", "bob@control")
    journal.commit("20261124T213015-bbbbb", samples.intent("20261124T213015-bbbbb", "stop@web-1"))


def _race(start, url, *actions):
    processes = [start("race", url, *action) for action in actions]
    assert [_line(p) for p in processes] == ["ready"] * len(processes)
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [_line(p) for p in processes]


def test_processes_that_open_a_fresh_database_at_once_all_succeed(url, start):
    assert _race(start, url, *[["open"]] * 4) == ["done"] * 4
    journal = SqlJournal.open(url)
    assert journal.runs() == []
    journal.close()


def test_of_two_runs_begun_on_a_host_at_once_exactly_one_wins(journal, url, start):
    for n in range(3):
        hosts = [f"shared-{n}", f"common-{n}"]
        result = _race(start, url, ["begin", f"a{n}", *hosts, f"a{n}"], ["begin", f"b{n}", f"b{n}", *hosts[::-1]])
        assert sorted(result) == ["HostsHeld", "done"]
        runs = [run.id for run in journal.runs() if run.id in (f"a{n}", f"b{n}")]
        assert runs == [f"a{n}" if result[0] == "done" else f"b{n}"]
