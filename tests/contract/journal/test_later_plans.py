"""Another plan takes the place of a run's: all of it in one commit, nothing of the earlier one lost."""

import pytest

from opsflow.errors import HostsHeld, JournalConflict
from opsflow.model import LaterPlan, NodeChanged, NodeState, PlanReplaced, RunState


@pytest.fixture
def run(journal, samples):
    return samples.begin(journal, hosts=("web-1", "web-2"))


@pytest.fixture
def replaced(samples):
    def make(number=1, *, nodes=(), tasks=None, hosts=("web-1", "web-2"), plan=None):
        return PlanReplaced(
            record=LaterPlan(number=number, at=samples.LATER, operator="bob@control"),
            plan=plan or {"number": number},
            fingerprint=str(number) * 64,
            nodes=tuple(nodes),
            tasks=tasks or {},
            hosts=hosts,
        )

    return make


def test_the_newest_plan_is_the_runs_and_the_earlier_ones_stay(journal, run, replaced):
    first = journal.plan(run.id)
    assert journal.later_plans(run.id) == []
    journal.commit(run.id, [replaced(1)])
    journal.commit(run.id, [replaced(2, plan={"long": "x" * 3_000_000})])

    assert journal.plan(run.id) == {"long": "x" * 3_000_000}
    assert journal.plan(run.id, 1) == {"number": 1}
    assert journal.plan(run.id, 0) == first
    assert [(p.number, p.operator) for p in journal.later_plans(run.id)] == [(1, "bob@control"), (2, "bob@control")]
    assert journal.find(run.id).fingerprint == "2" * 64


def test_nodes_join_and_work_is_done_on_them(journal, run, samples, replaced):
    journal.commit(run.id, samples.intent(run.id, "stop@web-1"))
    new = [samples.node("web-3"), samples.node("web-1", "start")]
    joins = replaced(1, nodes=new, tasks={"stop@web-2": "stop_server"}, hosts=("web-1", "web-2", "web-3"))
    blocked = NodeChanged(node="start@web-1", before=NodeState.PENDING, after=NodeState.BLOCKED)
    journal.commit(run.id, [joins, blocked])
    journal.commit(run.id, samples.intent(run.id, "stop@web-3", plan=1))
    journal.commit(run.id, samples.outcome(run.id, "stop@web-3"))

    nodes = journal.nodes(run.id)
    assert [(n.id, n.task, n.state) for n in nodes] == [
        ("stop@web-1", "command", NodeState.RUNNING),
        ("stop@web-2", "stop_server", NodeState.PENDING),
        ("stop@web-3", "command", NodeState.SUCCEEDED),
        ("start@web-1", "command", NodeState.BLOCKED),
    ]
    assert [[a.plan for a in n.attempts] for n in nodes] == [[0], [], [1], []]


def test_its_hosts_are_held_from_then_on_and_by_whoever_goes_on(journal, open_journal, run, samples, replaced):
    journal.commit(run.id, [replaced(1, nodes=[samples.node("web-3")], hosts=("web-1", "web-2", "web-3", "localhost"))])
    with pytest.raises(HostsHeld, match="web-3"):
        samples.begin(open_journal(), samples.run("20261124T213016-other"), hosts=("web-3",))
    journal.leave(run.id, release_hosts=True)
    again = open_journal()
    again.resume(run.id, "carol@control")
    with pytest.raises(HostsHeld, match="web-3"):
        samples.begin(open_journal(), samples.run("20261124T213016-other"), hosts=("web-3",))
    again.commit(run.id, samples.intent(run.id, "stop@web-3", plan=1))
    assert again.nodes(run.id)[2].state is NodeState.RUNNING


def test_if_a_host_is_held_by_another_run_nothing_of_it_is_written(journal, run, samples, replaced):
    samples.begin(journal, samples.run("20261124T213016-other"), hosts=("web-3",))
    blocked = NodeChanged(node="stop@web-1", before=NodeState.PENDING, after=NodeState.BLOCKED)
    with pytest.raises(HostsHeld, match="20261124T213016-other"):
        journal.commit(run.id, [replaced(1, nodes=[samples.node("web-3")], hosts=("web-1", "web-3")), blocked])

    assert journal.later_plans(run.id) == []
    assert [(n.id, n.state) for n in journal.nodes(run.id)] == [
        ("stop@web-1", NodeState.PENDING),
        ("stop@web-2", NodeState.PENDING),
    ]
    # The run is as it was, and so is what this process believes of it.
    journal.commit(run.id, samples.intent(run.id, "stop@web-1"))
    with pytest.raises(JournalConflict, match="no node stop@web-3"):
        journal.commit(run.id, samples.intent(run.id, "stop@web-3"))


def test_whoever_lost_the_run_replaces_nothing(journal, open_journal, run, replaced):
    journal.leave(run.id, release_hosts=False)
    other = open_journal()
    other.resume(run.id, "carol@control")
    with pytest.raises(JournalConflict):
        journal.commit(run.id, [replaced(1)])
    assert other.later_plans(run.id) == []
    assert other.find(run.id).state is RunState.RUNNING
