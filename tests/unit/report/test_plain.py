import io
from datetime import UTC, datetime

import pytest

from opsflow import events
from opsflow.errors import Difference
from opsflow.model import Failure, NodeState, Phase, RunState
from opsflow.report.plain import Plain


def written(happened, **options):
    stream = io.StringIO()
    report = Plain(stream, **options)
    for event in happened:
        report(event)
    report.close()
    return stream.getvalue()


def test_a_run_is_told_line_by_line(story):
    told = written(
        [
            story.begin(),
            story.start("stop@web", summary="stop nginx"),
            story.finish("stop@web", summary="stopped"),
            story.start("migrate@db", n=2),
            story(events.NodeOutput, node="migrate@db", stream="stdout", text="not shown\n"),
            story(events.NodeOutput, node="migrate@db", stream="log", text="from version 3\n"),
            story(events.NodeProgressed, node="migrate@db", done=1, total=2),
            story(
                events.NodeRetrying,
                node="migrate@db",
                n=2,
                delay=90,
                error=Failure(kind="TaskFailed", message="locked"),
            ),
            story.fail("migrate@db"),
            story(events.RollbackBegan, scope="run", nodes=["stop@web"], cause="migrate@db failed"),
            story.start("stop@web", Phase.REVERT),
            story(events.RunStopping, running=["stop@web"]),
            story.finish("stop@web", NodeState.REVERTED, phase=Phase.REVERT),
            story.end(RunState.ROLLED_BACK, 3, "opsflow show 01RUN", failed=1, reverted=1),
        ]
    )
    assert told == (
        "2026-11-24T20:00:01Z apply upgrade: 2 nodes on 1 host (run 01RUN)\n"
        "2026-11-24T20:00:02Z running   stop@web: stop nginx\n"
        "2026-11-24T20:00:03Z succeeded stop@web: stopped  1.0s\n"
        "2026-11-24T20:00:04Z running   migrate@db, attempt 2\n"
        "2026-11-24T20:00:06Z migrate@db | from version 3\n"
        "2026-11-24T20:00:08Z retrying  migrate@db in 1m30s, attempt 2 failed: locked\n"
        "2026-11-24T20:00:09Z failed    migrate@db: exit status 3: migrate  5.0s\n"
        "    step     migrate at playbooks/up.toml:12:1\n"
        "    host     db\n"
        "    command  migrate --now\n"
        "    exit     3\n"
        "    stderr   warming up\n"
        "             no such table\n"
        "    hint     look at the schema\n"
        "    next     opsflow show 01RUN\n"
        "2026-11-24T20:00:10Z rolling back run: 1 node: migrate@db failed\n"
        "2026-11-24T20:00:11Z reverting stop@web\n"
        "2026-11-24T20:00:12Z stopping: waiting for stop@web; Ctrl-C again leaves them to themselves\n"
        "2026-11-24T20:00:13Z reverted  stop@web  2.0s\n"
        "2026-11-24T20:00:14Z rolled_back: 1 failed, 1 reverted  (run 01RUN, exit code 3)\n"
        "2026-11-24T20:00:14Z next: opsflow show 01RUN\n"
    )


def test_who_asked_for_a_stop_from_elsewhere_is_told(story):
    told = written(
        [
            story(events.RunStopping, running=["a@h"], by="ops@far"),
            story(events.RunStopping, running=["a@h"], by="ops@far", kill=True),
            story(events.RunStopping, running=[], by="ops@far", kill=True),
        ]
    )
    assert [line.split(" ", 1)[1] for line in told.splitlines()] == [
        "stopping, as ops@far asked: waiting for a@h; Ctrl-C again leaves them to themselves",
        "stopping, as ops@far asked: ending a@h; Ctrl-C again leaves them to themselves",
        "stopping, as ops@far asked",
    ]


def test_how_a_rollout_goes_on_and_why_it_stops_is_told(story):
    told = written(
        [
            story(events.BatchBegan, number=2, total=9, units=["b", "c"]),
            story(events.RolloutPaused, number=3, delay=600),
            story(events.RolloutStopped, failed=["b"], max_failures=0, left=7),
            story(events.RolloutStopped, failed=["b", "c"], max_failures=1, left=1),
        ]
    )
    assert "stopped" in written([story(events.RolloutStopped, failed=["b"], max_failures=0, left=1)], quiet=True)
    assert written([story(events.BatchBegan, number=1, total=1, units=["b"])], quiet=True) == ""
    assert [line.split(" ", 1)[1] for line in told.splitlines()] == [
        "batch 2 of 9: b, c",
        "pausing 10m00s before batch 3",
        "rollout stopped: b failed, and none may; 7 batches not begun",
        "rollout stopped: b, c failed, and 1 may; 1 batch not begun",
    ]


def test_what_hosts_say_cannot_steer_the_terminal(story, evil):
    told = written(
        [
            story(events.NodeOutput, node="a@h", stream="stdout", text=f"{evil}\n"),
            story.start("a@h", summary=evil),
            story.fail("a@h", stderr=evil, command=evil),
            story(events.RollbackBegan, scope=evil, nodes=[], cause=evil),
        ],
        verbose=True,
    )
    assert told.isprintable() or not (set(told) - {"\n"}) & set(evil) & set("\x1b\x07\u202e\x9b")
    assert r"\x1b]0;owned\x07\x1b[2J\u202e\x9b31m" in told


def test_verbose_shows_output_with_its_origin(story):
    output = story(events.NodeOutput, node="a@h", stream="stdout", text="one\ntwo\n")
    assert written([output], verbose=True).splitlines() == [
        "2026-11-24T20:00:01Z a@h | one",
        "2026-11-24T20:00:01Z a@h | two",
    ]
    assert written([output]) == ""


def test_a_line_that_comes_in_pieces_is_shown_as_one(story):
    def out(node, text, stream="stdout"):
        return story(events.NodeOutput, node=node, stream=stream, text=text)

    told = written(
        [out("a@h", "one "), out("b@h", "other\n"), out("a@h", "line\r\nno "), out("a@h", "end"), out("a@h", "log", "log"),
         story.finish("a@h")],
        verbose=True,
    )  # fmt: skip
    lines = [line.partition("Z ")[2] for line in told.splitlines()]
    assert lines == ["b@h | other", "a@h | one line", "a@h | log", "a@h | no end", "succeeded a@h"]


@pytest.mark.parametrize(("debug", "shown"), [(True, True), (False, False)])
def test_a_traceback_is_for_debugging_only(story, debug, shown):
    assert ("secret internals" in written([story.fail("a@h")], debug=debug)) is shown


def test_quiet_says_nothing_of_a_run_that_went_well(story):
    assert written([story.begin(), story.start("a@h"), story.finish("a@h"), story.end(succeeded=1)], quiet=True) == ""


def test_quiet_still_says_what_went_wrong(story):
    told = written([story.begin(), story.fail("a@h"), story.end(RunState.FAILED, 1, failed=1)], quiet=True)
    assert "failed    a@h: exit status 3" in told
    assert "failed: 1 failed  (run 01RUN, exit code 1)" in told
    assert "apply" not in told


def test_that_a_stranger_was_let_in_is_said_even_by_quiet(story):
    event = story(events.HostKeyAccepted, host="h", where="h (u@h:22)", key="ssh-ed25519 SHA256:x", file="/k")
    told = "warning h (u@h:22) was not known; its key is accepted: ssh-ed25519 SHA256:x (/k)\n"
    assert written([event], quiet=True).endswith(told)


def test_accepted_changes_are_told_with_what_becomes_of_the_nodes(story):
    change = Difference(what="step", names=("a",), change="changed", key="with.run", before='"x"', after='"\x1b[2J"')
    many = tuple(Difference(what="step", names=(f"s{n}",), change="added") for n in range(40))
    event = story(events.PlanChanged, differences=(change, *many), added=("b@h",), removed=(), kept=("a@h", "a@i"))
    told = written([event]).splitlines()
    assert told[0] == "2026-11-24T20:00:01Z changed the run goes on with what its files say now (run 01RUN):"
    assert told[1].startswith("    ~ step a, with.run: ")
    assert "\x1b" not in "".join(told)
    assert told[30:] == [
        "    + step s28",
        "    and 11 more",
        "    joins it: b@h",
        "    is done and stays as it is: a@h, a@i",
    ]


def test_a_blocked_node_says_why(story):
    event = story.finish("b@h", NodeState.BLOCKED, summary="it needs a@h, which failed")
    assert written([event]) == "2026-11-24T20:00:01Z blocked   b@h: it needs a@h, which failed\n"


def test_what_an_earlier_session_began_is_followed_and_timed_from_its_beginning(story):
    since = datetime(2026, 11, 24, 20, 0, 0, tzinfo=UTC)
    told = written(
        [
            story.begin(),
            story(events.NodeFollowed, node="a@h", phase=Phase.EXECUTE, n=1, since=since, summary="migrate"),
            story.finish("a@h"),
        ]
    )
    assert told.splitlines()[1:] == [
        "2026-11-24T20:00:02Z following a@h: migrate (began 2.0s ago)",
        "2026-11-24T20:00:03Z succeeded a@h  3.0s",
    ]


def test_a_scope_in_which_nothing_was_changed_is_not_said_to_be_rolled_back(story):
    told = written(
        [
            story(events.RollbackBegan, scope='shard="a"', nodes=[], cause="stop@web"),
            story(events.RollbackBegan, scope="run", nodes=[], cause="stop@web"),
        ]
    )
    assert told.count("rolling back") == told.count("rolling back run: 0 nodes") == 1
