"""The order of steps as a picture: a tree for terminals, Mermaid, Graphviz's DOT, SVG.

Formats: https://mermaid.js.org/syntax/flowchart.html, https://graphviz.org/doc/info/lang.html,
https://www.w3.org/TR/SVG2/.
"""

import json
from collections.abc import Iterator
from html import escape

import networkx as nx

from opsflow.plan import Batches, Picture, PictureStep
from opsflow.report.text import BOLD, DIM, Paint, clean, one_line, plural, some

_STEP, _GAP, _HIGH, _BELOW = 220, 30, 54, 56
"""Of SVG, in pixels: width of a step, between two, height of a step, room below for arrows."""

_LETTERS = 34
"""That fit into a step."""

_TIP = (
    '<defs><marker id="tip" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 10 5 0 10z" fill="#555"/></marker></defs>'
)


def tree_lines(picture: Picture, paint: Paint) -> list[str]:
    """A tree: below each step those that need it. What needs several stands below the last of them, and names all."""
    lines = [paint(one_line(picture.name), BOLD)]
    before = {step.id: _before(picture, step.id) for step in picture.steps}
    below: dict[str, list[PictureStep]] = {}
    for step in picture.steps:
        root = "finally" if step.at_end else ""
        below.setdefault(next(reversed(before[step.id]), root), []).append(step)

    def branches(above: str, indent: str) -> None:
        steps = below.get(above, [])
        for step in steps:
            last = step is steps[-1]
            lines.append(f"{indent}{'└─ ' if last else '├─ '}{_line(step, before[step.id], paint)}")
            branches(step.id, indent + ("   " if last else "│  "))

    branches("", "")
    lines += ["finally"] if "finally" in below else []
    branches("finally", "")
    return [*lines, one_line(_batches(picture.batches))] if picture.batches else lines


def _batches(batches: Batches) -> str:
    sizes = some([f"{len(units):,}" for units in batches.units], 10)
    return f"in batches: {len(batches.units):,} by {batches.by}, of {sizes} units"


def _before(picture: Picture, id_: str) -> dict[str, str]:
    """What a step needs, in the order of the playbook, and per what."""
    return {need.before: need.per for need in picture.needs if need.after == id_}


def _line(step: PictureStep, before: dict[str, str], paint: Paint) -> str:
    waits = ", ".join(f"{name} per {per}" if per else name for name, per in before.items())
    needs = paint(f"  after {waits}", DIM) if len(before) > 1 or any(before.values()) else ""
    rolled = paint("  in batches", DIM) if step.rolled else ""
    return f"{paint(step.id, BOLD)}  {step.task} on {_where(step)}{needs}{rolled}"


def _where(step: PictureStep) -> str:
    return f"{_placed(step)}, done on {one_line(step.on)}" if step.on else _placed(step)


def _placed(step: PictureStep) -> str:
    pattern = one_line(step.where)
    if step.hosts is None or step.nodes is None or (step.hosts == (step.where,) and step.nodes == 1):
        return pattern
    nodes = "" if step.nodes == len(step.hosts) else f", {plural(step.nodes, 'node')}"
    return f"{pattern} ({plural(len(step.hosts), 'host')}{nodes})"


def mermaid_lines(picture: Picture) -> list[str]:
    """A flowchart."""
    number = {step.id: f"s{index}" for index, step in enumerate(picture.steps)}

    def box(step: PictureStep) -> str:
        text = f"<b>{escape(step.id)}</b><br>{escape(step.task)}<br>{escape(_where(step))}"
        shape = '(["{}"])' if step.at_end else '["{}"]'
        return f"    {number[step.id]}{shape.format(text)}"

    lines = ["flowchart TD", *(box(step) for step in picture.steps if not step.rolled)]
    if picture.batches:
        rolled = [f"    {box(step)}" for step in picture.steps if step.rolled]
        lines += [f'    subgraph rolled ["{escape(_batches(picture.batches))}"]', *rolled, "    end"]
    for need in picture.needs:
        label = f'|"per {escape(need.per)}"|' if need.per else ""
        lines.append(f"    {number[need.before]} -->{label} {number[need.after]}")
    return lines


def dot_lines(picture: Picture) -> list[str]:
    """A digraph."""

    def box(step: PictureStep) -> str:
        style = ", peripheries=2" if step.at_end else ""
        text = "\n".join([step.id, step.task, _where(step)])
        return f"    {_quoted(step.id)} [label={_quoted(text)}{style}];"

    lines = [f"digraph {_quoted(picture.name)} {{", "    node [shape=box, style=rounded];"]
    lines += [box(step) for step in picture.steps if not step.rolled]
    if picture.batches:
        rolled = [f"    {box(step)}" for step in picture.steps if step.rolled]
        lines += [
            "    subgraph cluster_rolled {",
            f"        label={_quoted(_batches(picture.batches))};",
            *rolled,
            "    }",
        ]
    for need in picture.needs:
        label = f" [label={_quoted(f'per {need.per}')}]" if need.per else ""
        lines.append(f"    {_quoted(need.before)} -> {_quoted(need.after)}{label};")
    return [*lines, "}"]


def _quoted(text: str) -> str:
    return json.dumps(clean(text), ensure_ascii=False)


def svg_lines(picture: Picture) -> list[str]:
    """A drawing, a row for steps that may run at the same time; what runs at the end is in the last rows."""
    places = _places(picture)
    width = max((x for x, _ in places.values()), default=0) + _STEP + _GAP
    height = max((y for _, y in places.values()), default=0) + _HIGH + _GAP
    below = f'<text x="{_GAP}" y="{height - 9}">{escape(_batches(picture.batches))}</text>' if picture.batches else ""
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f"<title>{escape(picture.name)}</title>",
        _TIP,
    ]
    lines += [_arrow(places[need.before], places[need.after], need.per) for need in picture.needs]
    for step in picture.steps:
        lines += _box(step, *places[step.id])
    return [*lines, *filter(None, [below]), "</svg>"]


def _places(picture: Picture) -> dict[str, tuple[int, int]]:
    ends = {step.id for step in picture.steps if step.at_end}
    graph = picture.graph
    rows: list[list[str]] = []
    for part in (graph.nodes - ends, ends):
        rows += [list(row) for row in nx.topological_generations(graph.subgraph(part))]
    order = {step.id: index for index, step in enumerate(picture.steps)}
    return {
        id_: (_GAP + column * (_STEP + _GAP), _GAP + row * (_HIGH + _BELOW))
        for row, ids in enumerate(rows)
        for column, id_ in enumerate(sorted(ids, key=order.__getitem__))
    }


def _arrow(before: tuple[int, int], after: tuple[int, int], per: str) -> str:
    x1, y1, x2, y2 = before[0] + _STEP // 2, before[1] + _HIGH, after[0] + _STEP // 2, after[1]
    bend = (y2 - y1) // 2
    path = f"M{x1} {y1} C{x1} {y1 + bend} {x2} {y2 - bend} {x2} {y2 - 1}"
    line = f'<path d="{path}" fill="none" stroke="#555" marker-end="url(#tip)"/>'
    text = f'<text x="{(x1 + x2) // 2 + 6}" y="{(y1 + y2) // 2}" fill="#555">per {escape(per)}</text>' if per else ""
    return line + text


def _box(step: PictureStep, x: int, y: int) -> Iterator[str]:
    dashes = ' stroke-dasharray="4"' if step.at_end else ""
    fill = "#e4f0fb" if step.rolled else "#fff"
    yield f'<rect x="{x}" y="{y}" width="{_STEP}" height="{_HIGH}" rx="6" fill="{fill}" stroke="#333"{dashes}/>'
    rows = ((step.id, ' font-weight="bold"'), (step.task, ""), (_where(step), ' fill="#555"'))
    for number, (text, style) in enumerate(rows):
        shown = text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
        yield f'<text x="{x + 8}" y="{y + 15 + number * 16}"{style}>{escape(shown)}</text>'


def picture_data(picture: Picture) -> dict[str, object]:
    """The same for programs."""
    return {
        "playbook": picture.name,
        "steps": [
            {
                "id": step.id,
                "task": step.task,
                "where": step.where,
                "hosts": None if step.hosts is None else list(step.hosts),
                "nodes": step.nodes,
                "on": step.on or None,
                "finally": step.at_end,
                "rolled": step.rolled,
            }
            for step in picture.steps
        ],
        "needs": [{"step": need.after, "needs": need.before, "per": need.per or "all"} for need in picture.needs],
        "rollout": {"by": batches.by, "batches": [list(b) for b in batches.units]}
        if (batches := picture.batches)
        else None,
    }
