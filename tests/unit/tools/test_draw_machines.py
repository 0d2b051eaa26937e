"""The page of states is what the tables draw."""

import importlib.util
import re
from pathlib import Path

import pytest

from opsflow.engine.machine import LOOP_TABLE, NODE_TABLE, RUN_TABLE
from opsflow.model import Mark, NodeState, RunState

PROGRAM = Path(__file__).parents[3] / "tools" / "draw_machines.py"


@pytest.fixture(scope="module")
def drawing():
    spec = importlib.util.spec_from_file_location("draw_machines", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_tables_draw_now(drawing):
    assert drawing.PAGE.read_text() == drawing.page(), "run: python tools/draw_machines.py"


def test_every_state_is_explained_to_an_operator_on_one_line(drawing):
    assert list(drawing.NODES) == list(NodeState)
    assert list(drawing.RUNS) == list(RunState)
    for means, then in (*drawing.NODES.values(), *drawing.RUNS.values()):
        assert means
        assert then
        assert "\n" not in means + then


def test_every_line_of_the_tables_is_on_the_page(drawing):
    text = drawing.page()
    arrows = set()
    for before, after, events in re.findall(r"^    (\w+) --> (\w+): (.+)$", text, re.MULTILINE):
        arrows |= {(before, event, after) for event in events.split(" / ")}
    for event, sources, after in re.findall(r"^\| ([\w ]+) \| (`.+`) \| `(\w+)` \|$", text, re.MULTILINE):
        arrows |= {(before, event.replace(" ", "_"), after) for before in re.findall(r"`(\w+)`", sources)}
    assert arrows == {tuple(map(str, line)) for line in (*NODE_TABLE, *RUN_TABLE, *LOOP_TABLE)}


def test_commands_that_it_names_exist(drawing):
    from opsflow.cli import main

    program = main._program()
    known = {
        command.name or command.callback.__name__
        for g in program.registered_groups
        for command in g.typer_instance.registered_commands
    }
    named = set(re.findall(r"opsflow (\w+)", drawing.page()))
    assert named
    assert named <= known | {"engine"}


def test_the_verdicts_that_it_names_are_the_models(drawing):
    _, then = drawing.NODES[NodeState.UNKNOWN]
    assert "|".join(Mark) in then
