import io
import re

import pytest

from opsflow import events
from opsflow.model import NodeState, Phase, RunState
from opsflow.report.console import Terminal


class Screen(io.StringIO):
    """A terminal that remembers everything it got."""

    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def screen(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Screen()


def shown(screen, happened, **options):
    report = Terminal(screen, **options)
    for event in happened:
        report(event)
    report.close()
    return screen.getvalue()


def permanent(text):
    """What stays on the screen: the lines that the live part does not take away."""
    written = [line.split("\x1b[2K")[-1] for line in text.split("\n")]
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line).replace("\r", "") for line in written]
    live = re.compile(r"\[[#.]+\]|looking|  and |  \w+@\w+  [0-9.]+s")
    return [line for line in lines if line.strip() and not live.match(line)]


def test_a_small_run_gets_a_line_for_each_node_and_failures_in_full(screen, story):
    told = permanent(
        shown(
            screen,
            [
                story.begin(),
                story.start("stop@web"),
                story.finish("stop@web", summary="stopped"),
                story.start("migrate@db"),
                story.fail("migrate@db"),
                story.end(RunState.FAILED, 1, "opsflow resume 01RUN", failed=1, succeeded=1),
            ],
        )
    )
    assert told == [
        "apply upgrade: 2 nodes on 1 host (run 01RUN)",
        "succeeded stop@web: stopped  1.0s",
        "failed    migrate@db: exit status 3: migrate  1.0s",
        "    step     migrate at playbooks/up.toml:12:1",
        "    host     db",
        "    command  migrate --now",
        "    exit     3",
        "    stderr   warming up",
        "             no such table",
        "    hint     look at the schema",
        "    next     opsflow show 01RUN",
        "failed: 1 succeeded, 1 failed  (run 01RUN, exit code 1)",
        "next: opsflow resume 01RUN",
    ]


def test_ten_thousand_nodes_stay_within_two_screens(screen, story):
    happened = [story.begin(10_000, 1000)]
    for step in range(10):
        for host in range(1000):
            node = f"step{step}@host{host}"
            happened.append(story.start(node))
            happened.append(story.finish(node) if host % 2 else story.fail(node, stderr="line\n" * 100))
    happened.append(story.end(RunState.FAILED, 1, "opsflow resume 01RUN", failed=5000, succeeded=5000))
    told = shown(screen, happened)
    assert "and 4,995 failures more" in told
    assert "step3  500 failed, 500 succeeded" in told
    kept = permanent(told)
    assert sum("exit status 3" in line for line in kept) == 5
    assert len(kept) <= 60


def test_what_hosts_say_cannot_steer_the_terminal(screen, story, evil):
    told = shown(
        screen,
        [
            story.begin(),
            story.start("a@h", summary=evil),
            story(events.NodeOutput, node="a@h", stream="log", text=evil),
            story.fail("a@h", stderr=evil),
            story.end(),
        ],
        verbose=True,
    )
    for sequence in ("\x1b]", "\x07", "\x1b[2J", "\u202e", "\x9b"):
        assert sequence not in told


def test_markup_of_hosts_is_text(screen, story):
    told = shown(screen, [story.begin(), story.finish("a@h", summary="[red]x[/red] [/]"), story.end()])
    assert "[red]x[/red] [/]" in told


def test_states_have_colours_unless_refused(screen, story):
    happened = [story.begin(), story.finish("a@h"), story.end()]
    assert "\x1b[32msucceeded" in shown(screen, happened)


@pytest.mark.parametrize("how", ["option", "environment"])
def test_colours_can_be_refused(screen, story, monkeypatch, how):
    if how == "environment":
        monkeypatch.setenv("NO_COLOR", "1")
    told = shown(screen, [story.begin(), story.finish("a@h"), story.end()], colour=how != "option")
    assert not re.search(r"\x1b\[[0-9;]*m", told)


def test_the_live_part_shows_what_runs_and_how_far(screen, story):
    report = Terminal(screen)
    report(story.begin(40, 4))
    for node in range(10):
        report(story.start(f"copy@h{node}"))
    report(story(events.NodeProgressed, node="copy@h0", done=1, total=4))
    report(story(events.NodeOutput, node="copy@h1", stream="stdout", text="first\nlast line\n"))
    report(story.finish("other@h"))
    lines = [text.plain for text in report._draw().renderables]
    report.close()
    assert lines[0].startswith("[....................] 1/40  running 10  succeeded 1")
    assert lines[1].endswith("25%")
    assert lines[2].endswith("last line")
    assert lines[-1] == "  and 2 more"


def test_the_live_part_counts_what_is_reverted_in_a_rollback(screen, story):
    report = Terminal(screen)
    for event in (
        story.begin(4),
        story.finish("a@h"),
        story.finish("b@h"),
        story(events.RollbackBegan, scope="run", nodes=["b@h", "a@h"], cause="c@h failed"),
        story.start("b@h", Phase.REVERT),
        story.finish("b@h", NodeState.REVERTED, phase=Phase.REVERT),
    ):
        report(event)
    lines = [text.plain for text in report._draw().renderables]
    report.close()
    assert lines[0].startswith("[##########..........] 1/2  succeeded 1  reverted 1")


def test_while_looking_the_nodes_are_counted(screen, story):
    from opsflow.model import Action

    report = Terminal(screen)
    planned = {"step": "a", "host": "h", "action": Action.CHANGE, "reversible": True, "summary": "", "diff": ""}
    report(story(events.NodePlanned, node="a@h", needs=(), **planned))
    (text,) = report._draw().renderables
    report.close()
    assert text.plain == "looking: 1 node"
