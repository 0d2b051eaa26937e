"""What a commit is: all or nothing, each change from the state it names, in a fixed number of statements."""

from dataclasses import replace

import pytest
from sqlalchemy import event

from opsflow.errors import JournalConflict
from opsflow.model import (
    AttemptFinished,
    AttemptStarted,
    AttemptState,
    Failure,
    NodeChanged,
    NodeState,
    Phase,
    RollbackFinished,
    RollbackRecord,
    RollbackStarted,
    RunChanged,
    RunState,
)

FAILURE = Failure(kind="CommandFailed", message="exit status 1: false", command="false", exit_status=1, stderr="no 🙈")


@pytest.fixture
def run(journal, samples):
    return samples.begin(journal, hosts=("web-1", "web-2", "web-3"))


def _states(journal, run):
    return [node.state for node in journal.nodes(run.id)]


def test_an_intent_and_its_outcome_come_back_as_written(journal, run, samples):
    params = {"run": "stop 'x'", "nested": {"list": [1, 2.5, None, True]}}
    preview = {"action": "change", "before": {"running": True}}
    journal.commit(
        run.id, samples.intent(run.id, "stop@web-1", params=params, preview=preview, machine="machine-id boot-id")
    )
    journal.commit(
        run.id,
        [
            AttemptFinished(
                id=f"{run.id}/stop@web-1/execute/1",
                state=AttemptState.FAILED,
                finished=samples.LATER,
                exit_status=1,
                error=FAILURE,
            ),
            NodeChanged(node="stop@web-1", before=NodeState.RUNNING, after=NodeState.FAILED, error=FAILURE),
        ],
    )

    first, second, _ = journal.nodes(run.id)
    wanted = samples.attempt(run.id, "stop@web-1", params=params, preview=preview, machine="machine-id boot-id")
    wanted = replace(wanted, state=AttemptState.FAILED, finished=samples.LATER, exit_status=1, error=FAILURE)
    assert first.attempts == (wanted,)
    assert (first.state, first.error) == (NodeState.FAILED, FAILURE)
    assert (second.state, second.attempts) == (NodeState.PENDING, ())


def test_a_node_may_pass_several_states_and_an_attempt_begin_and_end_in_one_commit(journal, run, samples):
    journal.commit(
        run.id,
        [
            *samples.intent(run.id, "stop@web-1"),
            *samples.outcome(run.id, "stop@web-1", outputs={"pid": 7}),
            RunChanged(before=RunState.RUNNING, after=RunState.ROLLING_BACK),
            RunChanged(before=RunState.ROLLING_BACK, after=RunState.ROLLED_BACK, finished=samples.LATER, exit_code=3),
        ],
    )

    node = journal.nodes(run.id)[0]
    assert node.state is NodeState.SUCCEEDED
    assert node.attempts[0].state is AttemptState.SUCCEEDED
    assert node.attempts[0].outputs == {"pid": 7}
    found = journal.find(run.id)
    assert (found.state, found.exit_code, found.finished) == (RunState.ROLLED_BACK, 3, samples.LATER)


def test_outputs_and_error_of_a_node_are_those_of_its_last_change(journal, run):
    def to(before, after, **values):
        return NodeChanged(node="stop@web-1", before=before, after=after, **values)

    journal.commit(run.id, [to(NodeState.PENDING, NodeState.RUNNING, outputs={"a": 1}, error=FAILURE)])
    journal.commit(run.id, [to(NodeState.RUNNING, NodeState.FAILED)])
    assert (journal.nodes(run.id)[0].outputs, journal.nodes(run.id)[0].error) == ({}, None)
    journal.commit(
        run.id, [to(NodeState.FAILED, NodeState.RUNNING, outputs={"b": 2}), to(NodeState.RUNNING, NodeState.SUCCEEDED)]
    )
    assert (journal.nodes(run.id)[0].outputs, journal.nodes(run.id)[0].error) == ({}, None)


def _node(node, before, after):
    return NodeChanged(node=node, before=before, after=after)


CONFLICTS = {
    "a node in another state": lambda s, r: [_node("stop@web-2", NodeState.RUNNING, NodeState.FAILED)],
    "a broken chain": lambda s, r: [
        _node("stop@web-2", NodeState.PENDING, NodeState.RUNNING),
        _node("stop@web-2", NodeState.PENDING, NodeState.SKIPPED),
    ],
    "a chain that should have begun elsewhere": lambda s, r: [
        _node("stop@web-2", NodeState.RUNNING, NodeState.PENDING),
        _node("stop@web-2", NodeState.PENDING, NodeState.SKIPPED),
    ],
    "one of many nodes": lambda s, r: [
        _node("stop@web-2", NodeState.PENDING, NodeState.RUNNING),
        _node("stop@web-3", NodeState.RUNNING, NodeState.FAILED),
    ],
    "an unknown node": lambda s, r: [_node("stop@web-9", NodeState.PENDING, NodeState.RUNNING)],
    "the run in another state": lambda s, r: [RunChanged(before=RunState.PLANNED, after=RunState.FAILED)],
    "a broken chain of the run": lambda s, r: [
        RunChanged(before=RunState.RUNNING, after=RunState.FAILED),
        RunChanged(before=RunState.RUNNING, after=RunState.SUCCEEDED),
    ],
    "an attempt begun before": lambda s, r: [AttemptStarted(attempt=s.attempt(r, "stop@web-3"))],
    "an attempt begun twice": lambda s, r: 2 * [AttemptStarted(attempt=s.attempt(r, "stop@web-2"))],
    "an attempt ended before it began": lambda s, r: [
        s.outcome(r, "stop@web-2")[0],
        AttemptStarted(attempt=s.attempt(r, "stop@web-2")),
    ],
    "an outcome of no attempt": lambda s, r: s.outcome(r, "stop@web-2")[:1],
    "an outcome of an ended attempt": lambda s, r: s.outcome(r, "stop@web-3")[:1],
    "two outcomes": lambda s, r: [
        AttemptStarted(attempt=s.attempt(r, "stop@web-2")),
        *2 * s.outcome(r, "stop@web-2")[:1],
    ],
    "an attempt of another run": lambda s, r: [AttemptStarted(attempt=s.attempt("other", "stop@web-2"))],
    "the end of no rollback": lambda s, r: [RollbackFinished(id="none", finished=s.LATER, complete=True)],
    "output of an unknown node": lambda s, r: [s.printed(r, "stop@web-9", "x")],
}


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_a_conflict_leaves_nothing_of_its_commit(journal, run, samples, conflict):
    journal.commit(run.id, [*samples.intent(run.id, "stop@web-3"), *samples.outcome(run.id, "stop@web-3")])
    before = journal.nodes(run.id)
    rollback = RollbackRecord(id="rb", run_id=run.id, scope="run", nodes=("stop@web-1",), started=samples.NOW)
    good = [
        *samples.intent(run.id, "stop@web-1"),
        samples.printed(run.id, "stop@web-1", "printed"),
        RollbackStarted(rollback=rollback),
        RunChanged(before=RunState.RUNNING, after=RunState.RUNNING, exit_code=9),
    ]
    bad = CONFLICTS[conflict](samples, run.id)
    if any(isinstance(change, RunChanged) for change in bad):
        good.pop()

    with pytest.raises(JournalConflict):
        journal.commit(run.id, [*good, *bad])

    assert journal.nodes(run.id) == before
    assert journal.rollbacks(run.id) == []
    assert list(journal.output(run.id)) == []
    assert journal.find(run.id) == run
    journal.commit(run.id, good)  # and the writer may go on
    assert _states(journal, run)[0] is NodeState.RUNNING


def test_an_unknown_attempt_may_still_get_an_outcome(journal, run, samples):
    journal.commit(run.id, samples.intent(run.id, "stop@web-1"))
    unknown = samples.outcome(run.id, "stop@web-1", state=AttemptState.UNKNOWN, error=FAILURE)[0]
    journal.commit(run.id, [unknown])
    journal.commit(run.id, [samples.outcome(run.id, "stop@web-1", outputs={"x": 1}, exit_status=0)[0]])

    attempt = journal.nodes(run.id)[0].attempts[0]
    assert (attempt.state, attempt.outputs, attempt.error) == (AttemptState.SUCCEEDED, {"x": 1}, None)


def test_attempts_are_listed_in_the_order_in_which_they_began(journal, run, samples):
    for n in (1, 2, 10):
        journal.commit(run.id, [AttemptStarted(attempt=samples.attempt(run.id, "stop@web-1", n))])
    undo = samples.attempt(run.id, "stop@web-1", 1, Phase.REVERT, undoes=10)
    journal.commit(run.id, [AttemptStarted(attempt=undo)])

    attempts = journal.nodes(run.id)[0].attempts
    assert [(a.phase, a.n, a.undoes) for a in attempts] == [
        (Phase.EXECUTE, 1, None),
        (Phase.EXECUTE, 2, None),
        (Phase.EXECUTE, 10, None),
        (Phase.REVERT, 1, 10),
    ]


def test_rollback_plans_are_frozen_and_an_incomplete_one_may_end_again(journal, run, samples):
    first = RollbackRecord(
        id=f"{run.id}/run", run_id=run.id, scope="run", nodes=("stop@web-3", "stop@web-1"), started=samples.NOW
    )
    second = replace(first, id=f"{run.id}/host=web-2", scope="host=web-2", nodes=())
    journal.commit(run.id, [RollbackStarted(rollback=first)])
    ended = RollbackFinished(id=second.id, finished=samples.LATER, complete=True)
    journal.commit(run.id, [RollbackStarted(rollback=second), ended])
    assert journal.rollbacks(run.id) == [first, replace(second, finished=samples.LATER, complete=True)]

    journal.commit(run.id, [RollbackFinished(id=first.id, finished=samples.NOW, complete=False)])
    journal.commit(run.id, [RollbackFinished(id=first.id, finished=samples.LATER, complete=True)])
    assert journal.rollbacks(run.id)[0] == replace(first, finished=samples.LATER, complete=True)
    with pytest.raises(JournalConflict):
        journal.commit(run.id, [RollbackFinished(id=first.id, finished=samples.LATER, complete=True)])


def test_statements_of_a_commit_do_not_grow_with_its_changes(journal, samples):
    hosts = [f"h{n}" for n in range(60)]
    run = samples.begin(journal, hosts=hosts)
    counts, begins = [], []
    event.listen(journal.engine, "before_cursor_execute", lambda *a: counts.append(a[2]))
    event.listen(journal.engine, "begin", lambda *a: begins.append(1))

    def everything(n, part):
        ids = [f"stop@{host}" for host in part]
        attempts = [c for name in ids for c in samples.intent(run.id, name)]
        rollback = RollbackRecord(id=f"rb{n}", run_id=run.id, scope="run", nodes=tuple(ids), started=samples.NOW)
        yield [
            *attempts,
            *(samples.printed(run.id, name, "x") for name in ids),
            RollbackStarted(rollback=rollback),
            RunChanged(before=RunState.RUNNING, after=RunState.RUNNING),
        ]
        yield [
            *(c for name in ids for c in samples.outcome(run.id, name, outputs={"a": name})),
            RollbackFinished(id=f"rb{n}", finished=samples.LATER, complete=True),
        ]

    seen = []
    for n, part in enumerate((hosts[:1], hosts[1:])):
        for changes in everything(n, part):
            counts.clear()
            begins.clear()
            journal.commit(run.id, changes)
            seen.append(len([s for s in counts if not s.startswith("BEGIN")]))
            assert len(begins) == 1
    assert seen[:2] == seen[2:] == [6, 4]  # with one row each for the fence
