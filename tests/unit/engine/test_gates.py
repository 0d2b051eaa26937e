"""Steps that wait until somebody approves: what waits with them, what an answer leads to, what a crash leaves."""

import threading
from collections import Counter

import pytest
from world import Crash, FakePool, PlayTasks, Stage, World, host, make_plan, step

from opsflow.engine.executors import SerialExecutor
from opsflow.engine.gates import decide_as_asked
from opsflow.engine.preview import DryRun
from opsflow.engine.stop import Stop
from opsflow.engine.work import Worker
from opsflow.journal import store
from opsflow.model import Answer, Asked, NodeState, OnFailure, Preview, RunState, question_of

HOSTS = [host("a1"), host("a2")]
GATE = "ask@localhost"


@pytest.fixture(autouse=True)
def _hear_at_once(monkeypatch):
    monkeypatch.setattr(store, "_HEAR_SECONDS", 0.0)


@pytest.fixture
def world():
    return World()


def gate(name="ask", *, needs=None, **more):
    return step(name, "localhost", needs=needs, task="ask", **more)


def stage(tmp_path, world, steps, hosts=HOSTS, **more):
    made = Stage(tmp_path, make_plan(steps, hosts, world, **more), world)
    made.pool = FakePool()
    return made


def said(s, name):
    return [event for event in s.events if type(event).__name__ == name]


def decide(s, *nodes, reject=False, why="seen"):
    """Answer as the command line does where nobody drives the run."""
    data = {"nodes": list(nodes), "reject": reject, "why": why}
    with s._taken_over(Asked.APPROVE, data) as (journal, run, request):
        answer = decide_as_asked(run, request)
        run.answer(request, answer)
        run.flush()
        journal.leave(s.run_id, release_hosts=False)
        return answer


def executed(world):
    return [node for what, node in world.log if what == "execute"]


def test_where_nobody_is_there_the_run_does_all_else_and_suspends_with_7(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), gate(), step("two"), step("beside", needs=[])])
    assert s.apply() == 7
    assert s.run_state() is RunState.SUSPENDED
    assert s.exit_code() == 7
    assert s.states()[GATE] is NodeState.PENDING
    assert s.states()["two@a1"] is NodeState.PENDING
    assert s.states()["beside@a2"] is NodeState.SUCCEEDED
    assert s.node(GATE).attempts == ()
    assert s.holds() == {"a1", "a2"}
    (waiting,) = said(s, "NodeWaiting")
    assert (waiting.node, waiting.step, waiting.question) == (GATE, "ask", "do it")
    found = s.node(GATE)
    assert question_of(found.state, found.error) == "do it"
    hint = said(s, "RunFinished")[-1].hint
    assert f"opsflow approve {s.run_id} ask" in hint
    assert f"opsflow resume {s.run_id}" in hint


def test_an_unanswered_gate_waits_again_after_every_resume(tmp_path, world):
    s = stage(tmp_path, world, [gate(), step("two")])
    assert [s.apply(), s.resume(), s.resume()] == [7, 7, 7]
    assert executed(world) == []
    assert len(said(s, "NodeWaiting")) == 3


def test_approved_while_nobody_drives_the_run_a_resume_goes_on_and_the_outputs_say_who_and_when(tmp_path, world):
    steps = [gate(), step("two", "a1", params={"v": "{{ outputs.ask.by }}: {{ outputs.ask.why }}"})]
    s = stage(tmp_path, world, steps)
    s.apply()
    assert decide(s, GATE) == {"nodes": [GATE], "state": "succeeded"}
    assert s.run_state() is RunState.SUSPENDED
    found = s.node(GATE)
    assert found.state is NodeState.SUCCEEDED
    assert found.error is None
    assert (found.outputs["by"], found.outputs["why"]) == ("ops@far", "seen")
    assert found.outputs["at"].endswith("Z")
    assert s.resume() == 0
    assert s.node("two@a1").attempts[0].params["v"] == "ops@far: seen"


def test_a_gate_is_nothing_that_a_rollback_could_put_back(tmp_path, world):
    s = stage(tmp_path, world, [step("one", "a1"), gate(), step("two", "a1")])
    s.apply()
    decide(s, GATE)
    assert s.resume() == 0
    assert s.rollback() == 0
    assert s.run_state() is RunState.ROLLED_BACK
    assert world.applied == set()
    assert ("revert", GATE) not in world.log


def test_rejected_its_scope_is_rolled_back_when_the_run_goes_on(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), gate(), step("two")])
    s.apply()
    assert decide(s, GATE, reject=True, why="too many errors")["state"] == "failed"
    assert s.resume() == 3
    assert s.run_state() is RunState.ROLLED_BACK
    assert world.applied == set()
    assert "two@a1" not in executed(world)
    error = s.node(GATE).error
    assert (error.kind, error.message) == ("Rejected", "rejected by ops@far: too many errors")
    assert s.holds() == set()


def test_rejected_where_that_halts_the_run_halts_and_the_gate_waits_once_more(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), gate(on_failure=OnFailure.HALT), step("two")])
    s.apply()
    decide(s, GATE, reject=True)
    assert s.resume() == 1
    assert s.run_state() is RunState.FAILED
    assert s.holds() == {"a1", "a2"}
    assert s.resume() == 7
    decide(s, GATE)
    assert s.resume() == 0


def test_rejected_where_that_is_gone_on_from_only_what_needs_it_is_blocked(tmp_path, world):
    steps = [gate(on_failure=OnFailure.CONTINUE), step("two"), step("beside", needs=[])]
    s = stage(tmp_path, world, steps)
    s.apply()
    decide(s, GATE, reject=True)
    assert s.resume() == 1
    assert s.states()["two@a1"] is NodeState.BLOCKED
    assert s.states()["beside@a1"] is NodeState.SUCCEEDED


@pytest.mark.parametrize(("reject", "code"), [(False, 0), (True, 3)])
def test_an_answer_while_the_run_is_driven_is_applied_by_its_process(tmp_path, world, reject, code):
    steps = [step("one", "a1"), gate(), step("two", "a1"), step("beside", "a2", needs=[])]
    s = stage(tmp_path, world, steps)
    decided = threading.Event()
    world.during = lambda ctx: decided.wait(30) if ctx.node == "beside@a2" and str(ctx.phase) == "execute" else None

    def listen(event):
        if type(event).__name__ == "NodeWaiting":
            s.ask(Asked.APPROVE, nodes=[event.node], reject=reject, why="")
        elif type(event).__name__ == "NodeFinished" and event.node == GATE:
            decided.set()

    s.listen(listen)
    assert s.apply(threads=True) == code
    assert s.answers() == [{"nodes": [GATE], "state": "failed" if reject else "succeeded"}]
    assert ("two@a1" in executed(world)) is not reject


def test_what_waits_for_nothing_cannot_be_approved_and_nothing_else_of_the_request_happens(tmp_path, world):
    s = stage(tmp_path, world, [step("one", "a1"), gate(), step("two", "a1")])
    s.apply()
    assert decide(s, GATE, "two@a1") == {"refused": "two@a1 is pending and waits for no approval"}
    assert decide(s, "three@a1") == {"refused": "the run has no node three@a1"}
    assert s.states()[GATE] is NodeState.PENDING
    decide(s, GATE)
    assert decide(s, GATE, reject=True) == {"refused": f"{GATE} is succeeded and waits for no approval"}


def test_a_process_that_dies_while_a_gate_waits_leaves_it_waiting(tmp_path):
    died = 0
    for at in [n / 2 for n in range(2, 40)]:
        world = World()
        directory = tmp_path / str(at)
        directory.mkdir()
        s = stage(directory, world, [step("one", "a1"), gate(), step("two", "a1")])
        try:
            assert s.apply(crash_at=at) == 7
        except Crash:
            died += 1
        if s.run_state() is not RunState.SUSPENDED:
            assert s.resume() == 7
        assert set(executed(world)) == {"one@a1"}
        found = s.node(GATE)
        assert question_of(found.state, found.error) == "do it"
        decide(s, GATE)
        assert s.resume() == 0
        assert executed(world)[-1] == "two@a1"
        assert all(len(s.node(node).attempts) == 1 for node in ("one@a1", "two@a1"))
    assert died >= 4


def test_what_runs_at_the_end_waits_for_the_gate_too(tmp_path, world):
    s = stage(tmp_path, world, [step("one", "a1"), gate(), step("two", "a1"), step("last", "a1", at_end=True)])
    assert s.apply() == 7
    assert "last@a1" not in executed(world)
    decide(s, GATE)
    assert s.resume() == 0
    assert executed(world) == ["one@a1", "two@a1", "last@a1"]


def test_a_failure_elsewhere_is_rolled_back_and_a_gate_of_another_scope_waits_on(tmp_path, world):
    world.fail["one@a1"] = 1
    steps = [
        step("one", needs=[], rollback_scope="host"),
        gate(needs=[]),
        step("two", "a2", needs=["ask", "one"], per="host", rollback_scope="host"),
    ]
    s = stage(tmp_path, world, steps)
    assert s.apply() == 7
    assert s.states()["one@a1"] is NodeState.REVERTED
    assert s.run_state() is RunState.SUSPENDED
    decide(s, GATE)
    s.resume()
    assert s.states()["two@a2"] is NodeState.SUCCEEDED
    assert s.states()["one@a1"] is NodeState.REVERTED
    assert executed(world).count("one@a1") == 1


def test_a_failure_that_rolls_the_run_back_closes_the_gate(tmp_path, world):
    world.fail["beside@a1"] = 1
    s = stage(tmp_path, world, [gate(needs=[]), step("two", "a1", needs=["ask"]), step("beside", "a1", needs=[])])
    assert s.apply() == 3
    assert s.states()[GATE] is NodeState.BLOCKED
    assert s.run_state() is RunState.ROLLED_BACK


def test_a_run_that_waits_can_be_rolled_back_instead(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), gate(), step("two")])
    s.apply()
    assert s.rollback() == 0
    assert s.run_state() is RunState.ROLLED_BACK
    assert s.states()[GATE] is NodeState.BLOCKED
    assert world.applied == set()


def test_what_is_unknown_needs_a_person_before_the_gate_does(tmp_path, world):
    world.lose.add("one@a1")
    s = stage(tmp_path, world, [step("one", "a1", task="blind", needs=[]), gate(needs=[])])
    assert s.apply() == 4
    assert s.run_state() is RunState.SUSPENDED


def test_a_gate_whose_look_finds_nothing_to_ask_opens_by_itself(tmp_path, world):
    world.in_place.add(GATE)
    s = stage(tmp_path, world, [gate(), step("two", "a1")])
    assert s.apply() == 0
    assert s.states()[GATE] is NodeState.UNCHANGED


def test_a_gate_whose_condition_is_false_asks_nobody(tmp_path, world):
    s = stage(tmp_path, world, [gate(when="false"), step("two", "a1")])
    assert s.apply() == 0
    assert s.states()[GATE] is NodeState.SKIPPED


def test_a_stop_while_only_a_gate_waits_interrupts(tmp_path, world):
    s = stage(tmp_path, world, [gate(), step("two", "a1")])
    s.approver = Person(s.stop.request)
    assert s.apply() == 130
    s.stop = Stop()
    s.approver = None
    assert s.resume() == 7


class Person:
    """At the terminal; does what it is told, once, when it is asked, and then answers one after the other."""

    name = "ops@here"

    def __init__(self, then=lambda: None, answers=()):
        self.then, self.answers = then, list(answers)
        self.asked, self.withdrawn = [], 0

    def ask(self, node, question):
        self.asked.append((node, question))
        self.then()

    def withdraw(self):
        self.withdrawn += 1

    def answer(self):
        return self.answers.pop(0) if self.answers else None


def test_who_is_at_the_terminal_is_asked_when_nothing_else_can_go_on(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), gate(), step("two")])
    s.approver = Person(lambda: world.log.append(("asked", "")), answers=[None, None, Answer.APPROVE])
    assert s.apply() == 0
    assert s.approver.asked == [(GATE, "do it")]
    assert [node for _, node in world.log].index("") == 2
    assert s.node(GATE).outputs["by"] == "ops@here"
    assert s.approver.withdrawn == 0


def test_who_refuses_at_the_terminal_has_the_run_rolled_back(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), gate(), step("two")])
    s.approver = Person(answers=[Answer.REJECT])
    assert s.apply() == 3
    assert s.node(GATE).error.message == "rejected by ops@here: at the terminal"


def test_who_leaves_it_open_has_the_run_suspended(tmp_path, world):
    s = stage(tmp_path, world, [gate(), step("two")])
    s.approver = Person(answers=[None, Answer.LATER])
    assert s.apply() == 7


def test_a_question_that_is_answered_elsewhere_is_withdrawn(tmp_path, world):
    s = stage(tmp_path, world, [gate(), gate("also", needs=["ask"]), step("two", "a1")])
    s.approver = Person(lambda: s.ask(Asked.APPROVE, nodes=[s.approver.asked[-1][0]], reject=False, why=""))
    assert s.apply() == 0
    assert [node for node, _ in s.approver.asked] == [GATE, "also@localhost"]
    assert s.approver.withdrawn == 2


def test_a_pause_lets_what_runs_end_and_begins_nothing_more(tmp_path, world):
    s = stage(tmp_path, world, [step("one"), step("two")])
    world.on_execute = lambda _node: s.ask(Asked.PAUSE, why="look first") if len(executed(world)) == 1 else None
    assert s.apply() == 130
    assert s.run_state() is RunState.SUSPENDED
    states = s.states()
    assert states["two@a1"] is states["two@a2"] is NodeState.PENDING
    assert NodeState.SUCCEEDED in states.values()
    assert NodeState.RUNNING not in states.values()
    (stopping,) = said(s, "RunStopping")
    assert (stopping.by, stopping.why, stopping.kill) == ("ops@far", "look first", False)
    s.stop = Stop()
    world.on_execute = lambda _node: None
    assert s.resume() == 0
    assert Counter(executed(world)) == Counter(["one@a1", "one@a2", "two@a1", "two@a2"])


def test_a_dry_run_says_that_it_waits_and_that_the_rest_is_known_all_the_same(tmp_path, world):
    world.plan = lambda ctx: Preview.change("is it well?") if ctx.node == GATE else Preview.unchanged("there")
    s = stage(tmp_path, world, [step("one", "a1"), gate(), step("two", "a1")])
    worker = Worker(tasks=PlayTasks(world), transports=s.pool, renderer=s.renderer, secret=str)
    look = DryRun(s.plan, renderer=s.renderer, executor=SerialExecutor(worker), stop=Stop(), run_id="preview")
    planned = {node.node: node for node in look.look()}
    assert (planned[GATE].action, planned[GATE].gate) == ("unknown", True)
    assert planned[GATE].summary == "waits for approval: is it well?"
    assert planned["two@a1"].action == "unchanged"
    assert not planned["two@a1"].gate
