import pytest

from opsflow.events import NodePlanned, RolloutPlanned
from opsflow.model import Action
from opsflow.report.data import plan_data
from opsflow.report.planview import plan_lines
from opsflow.report.text import Paint

PLAIN = Paint(colour=False)


def planned(node, action=Action.CHANGE, needs=(), **fields):
    step, host = node.split("@")
    base = {"reversible": True, "summary": "", "diff": ""}
    return NodePlanned(run_id="", node=node, step=step, host=host, action=action, needs=needs, **base | fields)


@pytest.fixture
def plan():
    return [
        planned("stop@web-1", summary="stop nginx"),
        planned("stop@web-2", Action.UNCHANGED, summary="is stopped"),
        planned("migrate@db", needs=("stop@web-1", "stop@web-2"), reversible=False, summary="2 scripts"),
        planned("config@web-1", needs=("migrate@db",), diff="--- a\n+++ b\n-old\n+new\n"),
        planned("config@web-2", needs=("migrate@db",), diff="--- a\n+++ b\n-old\n+new\n"),
        planned("start@web-1", Action.UNKNOWN, needs=("config@web-1",), summary="depends on what is before"),
        planned("check@web-1", Action.FAIL, summary="no curl"),
        planned("notify@web-1", Action.SKIP, reversible=False),
    ]


def test_steps_hosts_order_diffs_and_what_to_know(plan):
    assert "\n".join(plan_lines(plan, PLAIN)) == (
        "  1. stop\n"
        "     ~ change     web-1  stop nginx\n"
        "     = unchanged  web-2  is stopped\n"
        "  2. migrate  after stop\n"
        "     ~ change     db  2 scripts  cannot be undone\n"
        "  3. config  after migrate\n"
        "     ~ change     web-1, web-2\n"
        "  4. start  after config\n"
        "     ? unknown    web-1  depends on what is before\n"
        "  5. check\n"
        "     ! fail       web-1  no curl\n"
        "  6. notify\n"
        "     - skip       web-1\n"
        "\n"
        "diff of config@web-1, config@web-2:\n"
        "    --- a\n"
        "    +++ b\n"
        "    -old\n"
        "    +new\n"
        "\n"
        "not known before the run: start@web-1\n"
        "cannot be undone: migrate@db\n"
        "would fail: check@web-1\n"
        "\n"
        "plan: 4 to change, 1 unchanged, 1 unknown until run, 1 to skip, 1 would fail; 1 cannot be undone"
    )


def test_a_thousand_hosts_that_are_alike_are_one_line():
    lines = plan_lines([planned(f"stop@web-{n}", summary="stop it") for n in range(1000)], PLAIN)
    assert lines[1] == "     ~ change     1,000 hosts: web-0, web-1, web-2 and 997 more  stop it"
    assert len(lines) == 4


def test_verbose_names_every_host():
    nodes = [planned(f"stop@web-{n}") for n in range(20)]
    assert "web-19" not in "\n".join(plan_lines(nodes, PLAIN))
    assert "web-19" in "\n".join(plan_lines(nodes, PLAIN, verbose=True))


def test_long_and_many_diffs_are_cut_unless_verbose():
    nodes = [planned(f"copy@web-{n}", diff=f"+{n}\n" + "+line\n" * 99) for n in range(12)]
    short = plan_lines(nodes, PLAIN)
    assert "    60 more lines (-v shows all)" in short
    assert "2 more diffs (-v shows all)" in short
    assert "    +11" in plan_lines(nodes, PLAIN, verbose=True)


def test_nothing_to_do_is_said():
    assert plan_lines([], PLAIN)[-1] == "plan: nothing to do"


def test_hosts_cannot_steer_the_terminal(evil):
    text = "\n".join(plan_lines([planned("a@h", summary=evil, diff=evil + "\n")], PLAIN))
    assert not set("\x1b\x07\x9b\u202e") & set(text)
    assert text.count(r"\x1b]0;owned") == 2


def test_the_json_form_has_the_names_of_the_contract(plan):
    assert plan_data(plan)["nodes"][2] == {
        "id": "migrate@db",
        "step": "migrate",
        "host": "db",
        "action": "change",
        "reversible": False,
        "summary": "2 scripts",
        "diff": "",
        "needs": ["stop@web-1", "stop@web-2"],
        "batch": None,
        "on": None,
        "finally": False,
        "approval": False,
    }


def rollout(*batches, **more):
    base = {"by": "shard", "batches": batches, "max_failures": 0, "pause": 0.0, "gates": ()}
    return RolloutPlanned(run_id="", **base | more)


def test_a_rollout_is_shown_with_its_batches():
    nodes = [planned("a@h1", batch=1), planned("a@h2", batch=2)]
    shown = plan_lines(nodes, PLAIN, rollout=rollout(["s1"], ["s2", "s3"], max_failures=1, pause=90.0))
    assert shown[2:] == [
        "",
        "rollout: 3 units by shard; no further batch once more than 1 have failed; 1m30s between batches",
        "  batch 1: s1",
        "  batch 2: s2, s3",
        "",
        "plan: 2 to change",
    ]
    assert [node["batch"] for node in plan_data(nodes)["nodes"]] == [1, 2]
    assert plan_data(nodes)["rollout"] is None
    assert plan_data(nodes, rollout(["s1"]))["rollout"] == {
        "by": "shard", "batches": [["s1"]], "max_failures": 0, "pause": 0.0, "gates": [],
    }  # fmt: skip


def test_what_asks_between_batches_is_said_once_and_not_as_a_step_for_each():
    gates = [planned(f"batch/{n}@localhost", Action.UNKNOWN, gate=True) for n in range(2, 31)]
    many = rollout(*([f"s{n}"] for n in range(30)), gates=[node.node for node in gates])
    text = "\n".join(plan_lines([planned("a@h"), *gates], PLAIN, rollout=many))
    assert "once one has failed; somebody has to approve each batch but the first" in text
    assert "batch/2" not in text
    assert "  batch 10: s9\n  20 more (-v shows all)\n" in text
    assert "  batch 30: s29\n" in "\n".join(plan_lines([planned("a@h")], PLAIN, rollout=many, verbose=True))


def test_what_runs_at_the_end_is_shown_last_and_marked():
    nodes = [planned("say@web", at_end=True, reversible=False, summary="say so"), planned("one@web", summary="do it")]
    assert plan_lines(nodes, PLAIN)[:4] == [
        "  1. one",
        "     ~ change     web  do it",
        "  2. say  finally",
        "     ~ change     web  say so",
    ]
    assert [node["finally"] for node in plan_data(nodes)["nodes"]] == [True, False]


def test_what_waits_for_an_approval_is_said_apart_from_what_is_not_known():
    nodes = [
        planned("ask@localhost", Action.UNKNOWN, gate=True, summary="waits for approval: well?"),
        planned("two@web", Action.UNKNOWN),
    ]
    lines = plan_lines(nodes, PLAIN)
    assert "waits for approval: ask@localhost" in lines
    assert "not known before the run: two@web" in lines
    assert plan_data(nodes)["nodes"][0]["approval"] is True
