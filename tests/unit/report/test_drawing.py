"""The order of steps as a picture, in every format."""

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from opsflow.plan import Batches, Picture, PictureNeed, PictureStep
from opsflow.report.drawing import dot_lines, mermaid_lines, picture_data, svg_lines, tree_lines
from opsflow.report.text import Paint

SVG = "{http://www.w3.org/2000/svg}"


def step(id_, where="web", hosts=None, nodes=None, *, at_end=False):
    return PictureStep(
        id=id_, task="command", where=where, hosts=hosts, nodes=nodes or (len(hosts) if hosts else None), at_end=at_end
    )


def drawn(lines):
    return "\n".join(lines)


@pytest.fixture
def upgrade():
    return Picture(
        name="upgrade",
        steps=(
            step("stop", hosts=("w1", "w2")),
            step("backup", "db", ("db",)),
            step("migrate", "db", ("db",), 3),
            step("deploy", hosts=("w1", "w2")),
            step("start", hosts=("w1", "w2")),
            step("report", "localhost", ("localhost",), at_end=True),
        ),
        needs=(
            PictureNeed(before="stop", after="backup"),
            PictureNeed(before="backup", after="migrate", per="shard"),
            PictureNeed(before="stop", after="deploy", per="host"),
            PictureNeed(before="migrate", after="start"),
            PictureNeed(before="deploy", after="start"),
        ),
    )


def test_a_tree_has_every_step_once_below_the_last_that_it_needs(upgrade):
    assert (
        drawn(tree_lines(upgrade, Paint(colour=False)))
        == """\
upgrade
└─ stop  command on web (2 hosts)
   ├─ backup  command on db
   │  └─ migrate  command on db (1 host, 3 nodes)  after backup per shard
   └─ deploy  command on web (2 hosts)  after stop per host
      └─ start  command on web (2 hosts)  after migrate, deploy
finally
└─ report  command on localhost"""
    )


def test_a_tree_of_what_needs_nothing():
    picture = Picture(name="free", steps=(step("one"), step("two")), needs=())
    assert tree_lines(picture, Paint(colour=False)) == ["free", "├─ one  command on web", "└─ two  command on web"]


def test_mermaid(upgrade):
    lines = mermaid_lines(upgrade)
    assert lines[0] == "flowchart TD"
    assert '    s1["<b>backup</b><br>command<br>db"]' in lines
    assert '    s5(["<b>report</b><br>command<br>localhost"])' in lines
    assert '    s1 -->|"per shard"| s2' in lines
    assert "    s2 --> s4" in lines
    assert len(lines) == 1 + len(upgrade.steps) + len(upgrade.needs)


def test_dot(upgrade):
    lines = dot_lines(upgrade)
    assert lines[0] == 'digraph "upgrade" {'
    assert '    "backup" -> "migrate" [label="per shard"];' in lines
    assert '    "report" [label="report\\ncommand\\nlocalhost", peripheries=2];' in lines
    assert lines[-1] == "}"


def test_svg_has_a_box_for_each_step_and_an_arrow_for_each_need_downwards(upgrade):
    root = ET.fromstring(drawn(svg_lines(upgrade)))
    boxes = {(int(box.get("x")), int(box.get("y"))) for box in root.iter(f"{SVG}rect")}
    assert len(boxes) == len(upgrade.steps)
    assert max(x for x, _ in boxes) < int(root.get("width"))
    arrows = [path.get("d").split() for path in root.iter(f"{SVG}path") if path.get("marker-end")]
    assert len(arrows) == len(upgrade.needs)
    assert all(int(arrow[1]) < int(arrow[-1]) for arrow in arrows)
    assert {"backup", "per shard"} <= {text.text for text in root.iter(f"{SVG}text")}


@pytest.mark.parametrize("draw", [mermaid_lines, dot_lines, svg_lines])
def test_names_cannot_break_out(draw):
    picture = Picture(name='"></svg>', steps=(step("one", 'all"];x'), step("two", "<b>")), needs=())
    text = drawn(draw(picture))
    assert 'all"];x' not in text
    if draw is svg_lines:
        assert ET.fromstring(text).find(f"{SVG}title").text == '"></svg>'


def test_a_long_name_is_cut_where_it_would_leave_its_box():
    picture = Picture(name="x", steps=(step("s" * 60),), needs=())
    assert "s" * 33 + "…" in drawn(svg_lines(picture))


def test_for_programs(upgrade):
    data = json.loads(json.dumps(picture_data(upgrade)))
    assert data["steps"][2] == {
        "id": "migrate", "task": "command", "where": "db", "hosts": ["db"], "nodes": 3, "on": None, "finally": False,
        "rolled": False,
    }  # fmt: skip
    assert data["needs"][:2] == [
        {"step": "backup", "needs": "stop", "per": "all"},
        {"step": "migrate", "needs": "backup", "per": "shard"},
    ]


def test_where_else_a_step_is_done_is_drawn_in_every_format():
    drain = PictureStep(id="drain", task="command", where="web", hosts=None, nodes=None, at_end=False, on="lb-1")
    picture = Picture(name="p", steps=(drain,), needs=())
    for lines in (tree_lines(picture, Paint(colour=False)), mermaid_lines(picture), dot_lines(picture)):
        assert "web, done on lb-1" in drawn(lines)
    assert picture_data(picture)["steps"][0]["on"] == "lb-1"


def test_what_is_rolled_is_shown_together_with_its_batches(upgrade):
    steps = tuple(replace(step, rolled=step.id in {"deploy", "start"}) for step in upgrade.steps)
    batches = Batches(by="shard", units=(("a",), ("b", "c")), max_failures=0)
    rolled = replace(upgrade, steps=steps, batches=batches)
    said = "in batches: 2 by shard, of 1, 2 units"
    tree = tree_lines(rolled, Paint(colour=False))
    assert sum(line.endswith("  in batches") for line in tree) == 2
    assert tree[-1] == said
    mermaid = drawn(mermaid_lines(rolled))
    assert mermaid.index(f'subgraph rolled ["{said}"]') < mermaid.index("<b>deploy</b>") < mermaid.index("    end")
    dot = drawn(dot_lines(rolled))
    assert dot.index("cluster_rolled") < dot.index('"start" [label') < dot.index("    }") < dot.index("->")
    shapes = ET.fromstring(drawn(svg_lines(rolled)))
    assert [box.get("fill") for box in shapes.iter(f"{SVG}rect")].count("#e4f0fb") == 2
    assert said in [text.text for text in shapes.iter(f"{SVG}text")]
    data = picture_data(rolled)
    assert data["rollout"] == {"by": "shard", "batches": [["a"], ["b", "c"]]}
    assert [step["id"] for step in data["steps"] if step["rolled"]] == ["deploy", "start"]
