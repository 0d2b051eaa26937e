"""What the witness on the hosts saw of a run that has come to its end, and what the journal says otherwise."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from fault_boundaries import AT_END, BACK, FORWARD
from fault_work import ENDS, FAILING_TRIES, NEEDS, PARTS

from opsflow.model import AttemptState, NodeState, Phase

KINDS = ("run twice", "lost", "false state", "no intent", "out of order", "at once", "left held")
"""What must never be."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What the witness saw: a command's beginning or its end. See `plugins/witnessed.py`."""

    host: str
    what: str
    step: str
    attempt: int
    part: int

    @property
    def node(self):
        return f"{self.step}@{self.host}"


def seen_lines(stage):
    """What the witness saw, in order."""
    found = [line.split() for line in stage.witness.read_text().splitlines()]
    return [Line(host=h, what=w, step=s, attempt=int(a), part=int(p)) for h, w, s, a, p in found]


def judged(stage, way):
    """What is wrong with the newest run, which has come to its end: (one of `KINDS`, what)."""
    seen, lines = stage.seen(), seen_lines(stage)
    wrong = [*_counted(seen, lines), *_ordered(lines), *_alone(lines)]
    for node in seen.nodes.values():
        wrong += [(kind, f"{node.id} is {node.state}: {what}") for kind, what in _false(stage, way, node, seen, lines)]
    if seen.run.state is not ENDS[way]:
        wrong.append(("false state", f"the run is {seen.run.state}"))
    if stage.held():
        wrong.append(("left held", f"{stage.held()} hosts"))
    return wrong


def _counted(seen, lines):
    """What began more often than it may, or without being on record."""
    intents = {(a.node, a.n) for n in seen.nodes for a in seen.attempts(n)}
    reverts = Counter((a.node, a.undoes) for n in seen.nodes for a in seen.attempts(n, Phase.REVERT))
    begun = Counter((line.node, line.attempt, line.part) for line in lines if line.what == "begin")
    back = Counter((line.node, line.attempt) for line in lines if line.what == "back")
    yield from (("run twice", f"{key} began {count} times") for key, count in begun.items() if count > 1)
    for key, count in back.items():
        if count > reverts[key]:
            yield "run twice", f"{key} was reverted {count} times by {reverts[key]} attempts"
    yield from (("no intent", f"{line} has no intent") for line in lines if (line.node, line.attempt) not in intents)


def _alone(lines):
    """Commands of a node that ran at the same time."""
    under_way = {}
    for line in lines:
        if line.what in {"begin", "back"}:
            if line.node in under_way:
                yield "at once", f"{line} while {under_way[line.node]} ran"
            under_way[line.node] = line
        else:
            under_way.pop(line.node, None)


def _ordered(lines):
    """What began too early, or forward once the way back had begun."""
    places = defaultdict(list)
    backs = [n for n, line in enumerate(lines) if line.what == "back" and not _between(line)]
    turn = backs[0] if backs else len(lines)
    for n, line in enumerate(lines):
        kind = "do" if line.what in {"begin", "end"} else "undo"
        if not (kind == "undo" and _between(line)):
            places[line.step, kind].append(n)
        if kind == "do" and n > turn and line.step != AT_END:
            yield "out of order", f"{line} after the first revert"
    for step, needs in NEEDS.items():
        for need in needs:
            for one, other in (((need, "do"), (step, "do")), ((step, "undo"), (need, "undo"))):
                if places[one] and places[other] and max(places[one]) > min(places[other]):
                    yield "out of order", f"{other} before {one}"
    rest = [n for n, line in enumerate(lines) if line.step != AT_END]
    if rest and places[AT_END, "do"] and max(places[AT_END, "do"]) < max(rest):
        yield "out of order", f"{AT_END} before the end"


def _between(line):
    """Whether it belongs to a revert between two tries, on the way forward."""
    return line.step == "between" and line.attempt == 1


def _false(stage, way, node, seen, lines):
    """What the journal says of a node and the witness does not."""
    mine = [line for line in lines if line.node == node.id]
    there = (stage.fleet.home(node.host) / f"{node.step}.done").exists()
    begun = any(line.what == "begin" for line in mine)
    good = {NodeState.SUCCEEDED} if way == FORWARD or node.step == AT_END else {NodeState.REVERTED}
    idle = {NodeState.SKIPPED, *([NodeState.BLOCKED, NodeState.PENDING] if way == BACK else [])}
    if node.state not in (good if begun else idle):
        yield ("false state" if begun else "lost"), f"{len(mine)} lines of the witness"
    for attempt in node.attempts:
        if attempt.state is AttemptState.RUNNING:
            yield "false state", f"attempt {attempt.n} of {attempt.phase} has no outcome"
        elif attempt.phase is Phase.EXECUTE:
            yield from _false_attempt(node, attempt, mine)
    if node.step == AT_END or not begun:
        return
    if there is not (node.state is NodeState.SUCCEEDED):
        yield "false state", f"what it makes is {'' if there else 'not '}there"
    over = {line.attempt for line in mine if line.what == "over"}
    owed = {line.attempt for line in mine if line.what == "begin"} - over
    if node.state is NodeState.REVERTED and owed:
        yield "lost", f"attempts {owed} were not reverted"
    backs = [line.attempt for line in mine if line.what == "back"]
    if not _between(mine[0]) and backs != sorted(backs, reverse=True):
        yield "out of order", f"it was reverted in the order {backs}"


def _false_attempt(node, attempt, mine):
    """What the journal says of an attempt of execute and the witness does not."""
    parts = {line.part for line in mine if line.what == "end" and line.attempt == attempt.n}
    fails = attempt.n <= FAILING_TRIES.get(node.step, 0)
    whole = len(parts) == PARTS.get(node.step, 1)
    if attempt.state is AttemptState.SUCCEEDED and (fails or not whole):
        yield "lost", f"attempt {attempt.n} reads succeeded; the witness saw parts {parts} end"
    if attempt.state is AttemptState.FAILED and not (fails and whole):
        yield "false state", f"attempt {attempt.n} reads failed; the witness saw parts {parts} end"
