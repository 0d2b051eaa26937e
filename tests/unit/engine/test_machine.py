"""Every line of the tables, and nothing beside them."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsflow.engine.machine import (
    LOOP_TABLE,
    MARK_TABLE,
    NODE_TABLE,
    RUN_TABLE,
    Machine,
    loop_machine,
    node_machine,
    run_machine,
)
from opsflow.errors import IllegalTransition
from opsflow.model import Mark, NodeState, RunState

TABLES = {"node": NODE_TABLE, "run": RUN_TABLE, "loop": LOOP_TABLE}
MACHINES = {"node": node_machine(), "run": run_machine(), "loop": loop_machine()}
LINES = [(name, *line) for name, table in TABLES.items() for line in table]


def states(name):
    return {s for before, _, after in TABLES[name] for s in (before, after)}


def events(name):
    return {event for _, event, _ in TABLES[name]}


REST = [
    (name, state, event)
    for name in TABLES
    for state, event in product(sorted(states(name)), sorted(events(name)))
    if not any((state, event) == line[:2] for line in TABLES[name])
]


@pytest.mark.parametrize(("name", "before", "event", "after"), LINES)
def test_every_line_happens(name, before, event, after):
    assert MACHINES[name].after(before, event) == after


@pytest.mark.parametrize(("name", "state", "event"), REST)
def test_everything_else_is_refused_and_named(name, state, event):
    with pytest.raises(IllegalTransition, match=rf"{name}: '{event}' does not happen in '{state}'"):
        MACHINES[name].after(state, event)


@pytest.mark.parametrize("name", TABLES)
def test_a_state_and_an_event_lead_to_one_state(name):
    assert len({line[:2] for line in TABLES[name]}) == len(TABLES[name])


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("event", ["", "nothing", "PENDING"])
def test_unknown_events_and_states_are_refused(name, event):
    machine = MACHINES[name]
    with pytest.raises(IllegalTransition):
        machine.after(next(iter(states(name))), event)
    with pytest.raises(IllegalTransition):
        machine.after("nowhere", next(iter(events(name))))


def test_a_refusal_leaves_the_machine_as_it_was():
    machine = node_machine()
    with pytest.raises(IllegalTransition):
        machine.after(NodeState.PENDING, "undo")
    assert machine.after(NodeState.PENDING, "start") == NodeState.RUNNING


def test_a_machine_keeps_no_state():
    machine = Machine("m", [("a", "go", "b"), ("b", "go", "c")])
    assert [machine.after("a", "go") for _ in range(3)] == ["b", "b", "b"]


# What the tables promise

FOUND_OUT = [line for line in NODE_TABLE if not line[1].startswith("mark_")]
"""What opsflow finds out itself: an operator's word is not in it."""


def test_an_operator_may_speak_only_of_what_is_not_known_or_did_not_work():
    assert {before for before, *_ in MARK_TABLE} == {NodeState.UNKNOWN, NodeState.FAILED, NodeState.REVERT_FAILED}
    assert all(str(verdict) == str(after) for _, verdict, after in MARK_TABLE)
    assert {verdict for before, verdict, _ in MARK_TABLE if before is NodeState.UNKNOWN} == set(Mark)


def reached(name, start):
    found, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        new = {after for before, _, after in TABLES[name] if before == here} - found
        found |= new
        waiting += new
    return found


def test_every_state_of_the_words_is_in_the_tables_and_can_be_reached():
    assert states("node") == set(NodeState) == reached("node", NodeState.PENDING)
    assert states("run") == set(RunState) == reached("run", RunState.PLANNED)
    assert reached("loop", "resuming") == states("loop")


def test_what_is_final():
    def final(name):
        return states(name) - {before for before, _, _ in TABLES[name]}

    assert final("node") == {NodeState.REVERTED}
    assert final("run") == set()
    assert final("loop") == {"finished"}


def test_a_run_that_was_rolled_back_only_comes_there_again():
    assert {after for before, _, after in RUN_TABLE if before is RunState.ROLLED_BACK} == {RunState.ROLLING_BACK}


def test_what_was_found_in_place_is_looked_at_again_only_at_another_end():
    assert {event for before, event, _ in NODE_TABLE if before is NodeState.UNCHANGED} == {"renew"}


def test_nothing_was_reverted_that_was_not_being_reverted():
    assert {before for before, _, after in FOUND_OUT if after is NodeState.REVERTED} == {NodeState.REVERTING}


def test_a_reverted_node_and_one_on_its_way_back_never_go_forward():
    forward = {NodeState.PENDING, NodeState.RUNNING, NodeState.SUCCEEDED}
    for state in (NodeState.REVERTING, NodeState.REVERTED, NodeState.REVERT_FAILED):
        assert not reached("node", state) & forward


def test_a_run_on_its_way_back_never_reads_succeeded_again():
    assert RunState.SUCCEEDED not in {after for b, _, after in RUN_TABLE if b is RunState.ROLLING_BACK}


def test_only_a_running_or_unknown_node_can_end_as_succeeded_or_one_that_began_before_or_was_approved():
    assert {(before, event) for before, event, after in FOUND_OUT if after is NodeState.SUCCEEDED} == {
        (NodeState.RUNNING, "succeed"),
        (NodeState.UNKNOWN, "succeed"),
        (NodeState.PENDING, "satisfy"),
        (NodeState.PENDING, "approve"),
    }


@given(st.lists(st.sampled_from(sorted(events("node"))), max_size=30))
def test_whatever_happens_a_node_is_in_a_state_of_the_words(happening):
    machine, state = MACHINES["node"], NodeState.PENDING
    for event in happening:
        try:
            state = NodeState(machine.after(state, event))
        except IllegalTransition:
            continue
    assert state in set(NodeState)
