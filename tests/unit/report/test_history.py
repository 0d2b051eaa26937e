from dataclasses import replace
from datetime import timedelta

import pytest

from opsflow.errors import Difference, HostsHeld, InputError, Position, Problem
from opsflow.model import (
    Asked,
    AttemptRecord,
    AttemptState,
    Failure,
    NodeRecord,
    NodeState,
    Phase,
    RequestRecord,
    RollbackRecord,
    RunRecord,
    RunState,
    Turn,
    approval,
)
from opsflow.plan import Accepted
from opsflow.report.data import error_data, run_data, show_data
from opsflow.report.history import runs_lines, show_lines
from opsflow.report.text import Paint

PLAIN = Paint(colour=False)


@pytest.fixture
def run(start):
    return RunRecord(
        id="01RUN",
        state=RunState.ROLLBACK_INCOMPLETE,
        playbook="playbooks/up.toml",
        inventory="prod",
        fingerprint="abc",
        command="apply",
        operator="ops@ctl",
        started=start,
        finished=start + timedelta(seconds=65),
        exit_code=4,
    )


def attempt(start, node, phase=Phase.EXECUTE, state=AttemptState.SUCCEEDED, **fields):
    base = {"n": 1, "started": start, "finished": start + timedelta(seconds=2)}
    return AttemptRecord(
        id=f"01RUN/{node}/{phase}/1", run_id="01RUN", node=node, phase=phase, state=state, **base | fields
    )


@pytest.fixture
def nodes(start):
    error = Failure(
        kind="CommandFailed", message="exit status 1: boom", command="boom", exit_status=1, stderr="\x1b[2J"
    )
    return [
        NodeRecord(
            id="stop@web",
            step="stop",
            host="web",
            task="stop_server",
            state=NodeState.REVERT_FAILED,
            outputs={"was": "running"},
            error=error,
            attempts=(
                attempt(start, "stop@web"),
                attempt(start, "stop@web", Phase.REVERT, AttemptState.FAILED, exit_status=1, undoes=1, error=error),
            ),
        ),
        NodeRecord(id="start@web", step="start", host="web", task="start_server", state=NodeState.PENDING),
    ]


@pytest.fixture
def rollbacks(start):
    return [
        RollbackRecord(id="01RUN/1", run_id="01RUN", scope="run", nodes=("stop@web",), started=start, complete=False)
    ]


def test_a_run_is_shown_with_its_attempts_failures_and_what_comes_next(run, nodes, rollbacks):
    assert "\n".join(show_lines(run, nodes, rollbacks, PLAIN)) == (
        "run 01RUN: apply rollback_incomplete, exit code 4\n"
        "  playbook     playbooks/up.toml\n"
        "  inventory    prod\n"
        "  operator     ops@ctl\n"
        "  started      2026-11-24T20:00:00Z\n"
        "  finished     2026-11-24T20:01:05Z  1m05s\n"
        "  fingerprint  abc\n"
        "\n"
        "  revert_failed  stop@web   stop_server   execute 1 succeeded (2.0s) · revert 1 failed (2.0s, exit 1)\n"
        "  pending        start@web  start_server\n"
        "\n"
        "nodes: 1 pending, 1 revert_failed\n"
        "rollback of run: incomplete; stop@web\n"
        "\n"
        "revert_failed stop@web: exit status 1: boom\n"
        "    step     stop\n"
        "    host     web\n"
        "    command  boom\n"
        "    exit     1\n"
        "    stderr   \\x1b[2J\n"
        "    output   opsflow logs 01RUN --step stop --host web\n"
        "    mark     opsflow mark 01RUN stop@web reverted --why TEXT   once you have put it back by hand\n"
        "\n"
        "next: opsflow rollback 01RUN"
    )


def test_a_node_of_unknown_fate_is_shown_with_the_way_to_mark_it(run):
    lost = Failure(kind="Interrupted", message="the link was lost")
    node = NodeRecord(id="a[x y]@h", step="a", host="h", task="t", state=NodeState.UNKNOWN, error=lost)
    shown = "\n".join(show_lines(run, [node], [], PLAIN))
    assert "opsflow mark 01RUN 'a[x y]@h' succeeded|failed|skipped|reverted --why TEXT" in shown


def test_what_operators_asked_for_is_shown_with_who_when_and_why(run, start):
    def request(what, **more):
        fields = {"id": 1, "run_id": "01RUN", "operator": "eve@far", "at": start, "applied": start, **more}
        return RequestRecord(what=what, **fields)

    verdict = {"node": "a@h", "verdict": "succeeded", "why": "seen \x1b[2J"}
    requests = [
        request(Asked.CANCEL, data={"kill": False}),
        request(Asked.CANCEL, data={"kill": True}, applied=None),
        request(Asked.MARK, data=verdict, answer={"state": "succeeded"}),
        request(Asked.MARK, data=verdict, answer={"refused": "a@h is running"}),
    ]
    shown = show_lines(run, [], [], PLAIN, requests=requests)
    for line in (
        "asked to stop by eve@far at 2026-11-24T20:00:00Z",
        "asked to stop, and what ran to be ended by eve@far at 2026-11-24T20:00:00Z (nobody took it up)",
        "a@h marked succeeded by eve@far at 2026-11-24T20:00:00Z: seen \\x1b[2J",
        "a@h marked succeeded by eve@far at 2026-11-24T20:00:00Z: seen \\x1b[2J (refused: a@h is running)",
    ):
        assert line in shown
    assert show_data(run, [], [], requests)["requests"][2] == {
        "what": "mark",
        "operator": "eve@far",
        "asked": "2026-11-24T20:00:00.000Z",
        "applied": "2026-11-24T20:00:00.000Z",
        "data": verdict,
        "answer": {"state": "succeeded"},
    }


def test_a_large_run_is_shown_by_step_unless_verbose(run):
    nodes = [
        NodeRecord(id=f"stop@w{n}", step="stop", host=f"w{n}", task="t", state=NodeState.SUCCEEDED) for n in range(500)
    ]
    short = show_lines(run, nodes, [], PLAIN)
    assert "  stop  500 succeeded" in short
    assert len(short) < 20
    assert any("stop@w499" in line for line in show_lines(run, nodes, [], PLAIN, verbose=True))


def test_an_attempt_that_did_not_end_says_so(run, start):
    node = NodeRecord(
        id="a@h",
        step="a",
        host="h",
        task="t",
        state=NodeState.RUNNING,
        attempts=(attempt(start, "a@h", state=AttemptState.RUNNING, finished=None),),
    )
    assert any("execute 1 running (not ended)" in line for line in show_lines(run, [node], [], PLAIN))


def test_what_an_attempt_was_given_is_shown(run, start):
    turn = Turn(values={"mirror": "b", "port": 2}, place=1, of=3)
    found = attempt(start, "get@web", state=AttemptState.FAILED, exit_status=1, turn=turn)
    node = NodeRecord(id="get@web", step="get", host="web", task="command", state=NodeState.FAILED, attempts=(found,))
    assert "execute 1 failed (2.0s, exit 1, mirror=b, port=2)" in "\n".join(show_lines(run, [node], [], PLAIN))
    (told,) = show_data(run, [node], [])["nodes"][0]["attempts"]
    assert told["vary"] == {"mirror": "b", "port": 2}


def test_a_run_that_is_rolled_back_but_for_its_end_is_to_be_resumed(run):
    left = replace(run, state=RunState.ROLLED_BACK, exit_code=1)
    assert show_lines(left, [], [], PLAIN)[-1] == "next: opsflow resume 01RUN"
    meanwhile = show_lines(left, [], [], PLAIN, driven=True)[-1]
    assert meanwhile == "next: opsflow logs 01RUN -f   or   opsflow cancel 01RUN"
    assert "next" not in "\n".join(show_lines(replace(left, exit_code=3), [], [], PLAIN))


def test_runs_are_a_table(run):
    head, line = runs_lines([run], PLAIN)
    assert head.split() == ["RUN", "STATE", "COMMAND", "PLAYBOOK", "STARTED", "TOOK", "EXIT", "OPERATOR"]
    assert line.split() == [
        *("01RUN", "rollback_incomplete", "apply", "playbooks/up.toml"),
        *("2026-11-24T20:00:00Z", "1m05s", "4", "ops@ctl"),
    ]
    assert runs_lines([], PLAIN) == ["no runs yet"]


def test_the_json_form_of_a_run(run, nodes, rollbacks):
    data = show_data(run, nodes, rollbacks)
    assert (
        data["run"]
        == run_data(run)
        == {
            "id": "01RUN",
            "state": "rollback_incomplete",
            "playbook": "playbooks/up.toml",
            "inventory": "prod",
            "command": "apply",
            "operator": "ops@ctl",
            "fingerprint": "abc",
            "started": "2026-11-24T20:00:00.000Z",
            "finished": "2026-11-24T20:01:05.000Z",
            "exit_code": 4,
        }
    )
    stop, begin = data["nodes"]
    assert {key: stop[key] for key in ("id", "step", "host", "task", "state", "outputs")} == {
        "id": "stop@web",
        "step": "stop",
        "host": "web",
        "task": "stop_server",
        "state": "revert_failed",
        "outputs": {"was": "running"},
    }
    assert stop["error"]["exit_status"] == 1
    assert stop["attempts"][1] == {
        "id": "01RUN/stop@web/revert/1",
        "phase": "revert",
        "n": 1,
        "state": "failed",
        "exit_status": 1,
        "started": "2026-11-24T20:00:00.000Z",
        "finished": "2026-11-24T20:00:02.000Z",
        "undoes": 1,
        "vary": None,
        "on": None,
        "error": stop["error"],
    }
    assert (begin["error"], begin["attempts"]) == (None, [])
    assert data["rollbacks"][0]["complete"] is False


def test_the_json_form_of_errors():
    where = Position(file="p.toml", line=3, column=5)
    data = error_data(
        InputError([Problem(message="no such task", position=where), Problem(message="no hosts")], hint="h")
    )
    assert data["error"]["type"] == "InputError"
    assert data["error"]["hint"] == "h"
    assert data["error"]["problems"] == [
        {"message": "no such task", "hint": "", "file": "p.toml", "line": 3, "column": 5},
        {"message": "no hosts", "hint": "", "file": None, "line": None, "column": None},
    ]
    assert error_data(HostsHeld("held", holders={}))["error"] == {
        "type": "HostsHeld",
        "message": "held",
        "hint": "",
        "problems": [],
    }


def open_node(step, state=NodeState.PENDING, **fields):
    return NodeRecord(id=f"{step}@h", step=step, host="h", task="command", state=state, **fields)


def test_what_runs_at_the_end_is_marked(run):
    nodes = [open_node("one"), open_node("bye")]
    shown = "\n".join(show_lines(run, nodes, [], PLAIN, at_end={"bye"}))
    assert "bye@h (finally)" in shown
    assert "one@h (finally)" not in shown
    assert [node["finally"] for node in show_data(run, nodes, [], at_end={"bye"})["nodes"]] == [False, True]
    many = [replace(open_node("bye"), id=f"bye@h{n}") for n in range(101)]
    assert any("bye (finally)" in line for line in show_lines(run, many, [], PLAIN, at_end={"bye"}))


def test_accepted_changes_of_the_plan_are_listed_with_who_accepted_them(run, start):
    changes = tuple(
        Difference(what="step", names=("two",), change="changed", key="with.run", before='"\x1b[2J"', after=f'"{n}"')
        for n in range(12)
    )
    accepted = Accepted(number=1, at=start, operator="ops@far", differences=changes)
    lines = show_lines(run, [], [], PLAIN, accepted=[accepted])
    assert "plan 1: its changes accepted by ops@far at 2026-11-24T20:00:00Z" in lines
    assert '    ~ step two, with.run: "\\x1b[2J" → "0"' in lines
    assert "    and 2 more (--output json tells all)" in lines
    (told,) = show_data(run, [], [], accepted=[accepted])["plans"]
    assert (told["number"], told["operator"], len(told["differences"])) == (1, "ops@far", 12)


def test_a_gate_says_what_it_asks_and_how_to_answer(run):
    waits = open_node("go live", error=approval("is it\nwell?"))
    left = replace(run, state=RunState.SUSPENDED, exit_code=7)
    lines = show_lines(left, [waits, open_node("two")], [], PLAIN)
    assert "waiting go live@h: is it well?" in lines
    assert "    approve  opsflow approve 01RUN 'go live'   (--reject refuses it)" in lines
    assert lines[-1] == "then: opsflow resume 01RUN"
    assert show_data(left, [waits], [])["nodes"][0]["approval"] == "is it\nwell?"


def test_who_approved_refused_or_paused_is_told(run, start):
    def asked(n, what, **data):
        return RequestRecord(id=n, run_id="01RUN", what=what, operator="ops@far", at=start, applied=start, data=data)

    requests = [
        asked(1, Asked.PAUSE, why="odd"),
        asked(2, Asked.APPROVE, nodes=["go@h"], reject=True, why="no"),
        asked(3, Asked.APPROVE, nodes=["go@h"], reject=False, why=""),
    ]
    by = "by ops@far at 2026-11-24T20:00:00Z"
    opened = open_node("go", NodeState.SUCCEEDED, outputs={"by": "ops@far", "at": "2026-11-24T20:00:00Z", "why": ""})
    lines = show_lines(run, [opened], [], PLAIN, requests=requests)
    assert [f"asked to pause {by}: odd", f"go@h rejected {by}: no", f"go@h approved {by}"] == lines[-5:-2]
    assert any(line.endswith(f"approved {by}") for line in lines[:10])


def test_what_was_put_back_by_hand_leaves_only_the_rollback(run):
    left = replace(run, state=RunState.FAILED, exit_code=1)
    nodes = [open_node("one", NodeState.REVERTED), open_node("two", NodeState.BLOCKED)]
    assert show_lines(left, nodes, [], PLAIN)[-1] == "next: opsflow rollback 01RUN"


def test_where_another_rollback_would_leave_the_same_it_is_not_offered(run, start):
    stays = [open_node("mail", NodeState.SUCCEEDED), open_node("two", NodeState.REVERTED)]
    rollback = RollbackRecord(
        id="01RUN/rollback/1", run_id="01RUN", scope="run", nodes=("two@h", "mail@h"), started=start,
        finished=start + timedelta(seconds=2), complete=False,
    )  # fmt: skip
    by_hand = "next: put back by hand what is left, then opsflow apply PLAYBOOK --abandon 01RUN"
    assert show_lines(run, stays, [rollback], PLAIN)[-1] == by_hand
    marked = RequestRecord(
        id=1, run_id="01RUN", what=Asked.MARK, operator="ops@far", at=start, applied=start + timedelta(seconds=1),
        data={"node": "two@h", "verdict": "reverted", "why": "seen"},
    )  # fmt: skip
    assert show_lines(run, stays, [rollback], PLAIN, requests=[marked])[-1] == by_hand
    later = replace(marked, applied=start + timedelta(seconds=3))
    assert show_lines(run, stays, [rollback], PLAIN, requests=[later])[-1] == "next: opsflow rollback 01RUN"
    stuck = [open_node("two", NodeState.REVERT_FAILED)]
    assert show_lines(run, stuck, [rollback], PLAIN)[-1] == "next: opsflow rollback 01RUN"
