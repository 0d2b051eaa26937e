"""The plan for people: what each step would do on which hosts, what is not known, what cannot be undone."""

from collections import Counter
from collections.abc import Iterable, Sequence

from opsflow.events import NodePlanned, RolloutPlanned
from opsflow.model import Action
from opsflow.report.text import BAD, BOLD, DIM, GOOD, INFO, MARKS, WARN, Paint, clean, duration, one_line, plural, some

_DIFF_LINES = 40
_DIFFS = 10
_BATCHES = 10
_UNITS = 10


def plan_lines(
    planned: Sequence[NodePlanned], paint: Paint, *, rollout: RolloutPlanned | None = None, verbose: bool = False
) -> list[str]:
    """The whole view.

    Args:
        planned: Nodes in the plan's order.
        paint: Colours.
        rollout: In which batches.
        verbose: Every host by name, and every diff whole.
    """
    if rollout and rollout.gates:  # of which the lines about the rollout tell
        planned = [node for node in planned if node.node not in set(rollout.gates)]
    limit = len(planned) if verbose else 3
    steps: dict[str, list[NodePlanned]] = {}
    for node in sorted(planned, key=lambda node: node.at_end):
        steps.setdefault(node.step, []).append(node)
    step_of = {node.node: node.step for node in planned}
    lines = []
    for number, (step, nodes) in enumerate(steps.items(), 1):
        needs = {id(node.needs): node.needs for node in nodes}.values()  # behind a barrier they are one and the same
        after = dict.fromkeys(step_of[need] for them in needs for need in them if need in step_of)
        waits = paint(f"  after {some(after, max(limit, 5))}", DIM) if after else ""
        last = paint("  finally", DIM) if nodes[0].at_end else ""
        lines.append(f"{number:>3}. {paint(step, BOLD)}{last}{waits}")
        for alike in _alike(nodes):
            lines += _group(alike, paint, limit)
    if rollout:
        lines += ["", *_rollout_lines(rollout, paint, None if verbose else _BATCHES)]
    shown = _diffs(planned, paint, None if verbose else _DIFFS, None if verbose else _DIFF_LINES)
    return [*lines, *shown, *_warnings(planned, paint, max(limit, 10)), "", _totals(planned, paint)]


def _rollout_lines(rollout: RolloutPlanned, paint: Paint, limit: int | None) -> list[str]:
    units = sum(map(len, rollout.batches))
    said = f"{plural(units, 'unit')} by {one_line(rollout.by)}; no further batch once {_too_many(rollout.max_failures)}"
    if rollout.gates:
        said += "; somebody has to approve each batch but the first"
    elif rollout.pause:
        said += f"; {duration(rollout.pause)} between batches"
    lines = [f"{paint('rollout', BOLD)}: {said}"]
    for number, batch in enumerate(rollout.batches[:limit], 1):
        lines.append(f"  batch {number}: {one_line(some(batch, len(batch) if limit is None else _UNITS))}")
    more = len(rollout.batches) - len(rollout.batches[:limit])
    return [*lines, paint(f"  {more:,} more (-v shows all)", DIM)] if more else lines


def _too_many(may_fail: int) -> str:
    return f"more than {may_fail:,} have failed" if may_fail else "one has failed"


def _alike(nodes: Iterable[NodePlanned]) -> list[list[NodePlanned]]:
    """Nodes of one step of which the same is said."""
    groups: dict[tuple[object, ...], list[NodePlanned]] = {}
    for node in nodes:
        groups.setdefault((node.action, node.reversible, node.on, node.summary), []).append(node)
    return list(groups.values())


def _group(nodes: Sequence[NodePlanned], paint: Paint, limit: int) -> list[str]:
    first = nodes[0]
    places = [node.node.removeprefix(node.step).removeprefix("@") for node in nodes]  # with `foreach` `[KEY]@HOST`
    what = "hosts" if places[0] == first.host else "nodes"
    count = f"{len(nodes):,} {what}: " if len(nodes) > limit else ""
    hosts = one_line(some(places, limit)) + (f" on {one_line(first.on)}" if first.on else "")
    final = paint("  cannot be undone", WARN) if _final(first) else ""
    said = f"  {one_line(first.summary)}" if first.summary else ""
    return [f"     {MARKS[first.action]} {paint.state(first.action, 9)}  {count}{hosts}{said}{final}"]


def _diffs(planned: Iterable[NodePlanned], paint: Paint, diffs: int | None, length: int | None) -> list[str]:
    """Each distinct diff once, with the nodes that it is of."""
    nodes_of: dict[str, list[str]] = {}
    for node in planned:
        if node.diff.strip():
            nodes_of.setdefault(node.diff, []).append(node.node)
    lines = []
    for diff, nodes in list(nodes_of.items())[:diffs]:
        body = clean(diff).splitlines()
        lines += ["", f"diff of {some(nodes)}:", *(f"    {_diff_line(line, paint)}" for line in body[:length])]
        if len(body) > len(body[:length]):
            lines.append(paint(f"    {plural(len(body) - len(body[:length]), 'more line')} (-v shows all)", DIM))
    if diffs is not None and len(nodes_of) > diffs:
        lines.append(paint(f"{plural(len(nodes_of) - diffs, 'more diff')} (-v shows all)", DIM))
    return lines


def _diff_line(line: str, paint: Paint) -> str:
    styles = {"+": GOOD, "-": BAD, "@": INFO}
    return paint(line, styles.get(line[:1], ""))


def _warnings(planned: Sequence[NodePlanned], paint: Paint, limit: int) -> list[str]:
    said = {
        "not known before the run": [node.node for node in planned if node.action is Action.UNKNOWN and not node.gate],
        "waits for approval": [node.node for node in planned if node.gate],
        "cannot be undone": [node.node for node in planned if _final(node)],
        "would fail": [node.node for node in planned if node.action is Action.FAIL],
    }
    lines = [f"{paint(what, WARN)}: {some(nodes, limit)}" for what, nodes in said.items() if nodes]
    return ["", *lines] if lines else []


def _totals(planned: Sequence[NodePlanned], paint: Paint) -> str:
    counts = Counter(node.action for node in planned)
    words = {
        Action.CHANGE: "to change",
        Action.UNCHANGED: "unchanged",
        Action.UNKNOWN: "unknown until run",
        Action.SKIP: "to skip",
        Action.FAIL: "would fail",
    }
    said = ", ".join(f"{counts[action]:,} {word}" for action, word in words.items() if counts[action])
    final = sum(map(_final, planned))
    irreversible = f"; {final:,} cannot be undone" if final else ""
    return f"{paint('plan', BOLD)}: {said or 'nothing to do'}{irreversible}"


def _final(node: NodePlanned) -> bool:
    # What runs at the end is not to be undone anyway.
    return not node.reversible and not node.at_end and node.action in (Action.CHANGE, Action.UNKNOWN)
