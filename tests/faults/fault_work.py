"""A run that goes every way there is, on two real hosts, and what has to be true once it has come to its end."""

import shutil
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fault_boundaries import AT_END, BACK, FORWARD
from fault_ground import Ground
from sqlalchemy import create_engine, make_url, text

from opsflow.errors import UnknownRun
from opsflow.model import AttemptState, NodeState, Phase, RunState

PLUGIN = Path(__file__).parent / "plugins" / "witnessed.py"
KINDS = ("run twice", "lost", "false state", "no intent", "out of order", "at once", "left held")
"""What must never be."""

NEEDS = {
    "first": (),
    "wide": ("first",),
    "again": ("first",),
    "between": ("first",),
    "last": ("wide", "again", "between"),
    "breaks": ("last",),
    AT_END: (),
}
"""The steps, and what each needs on all hosts."""
_FAILING = {"again": 1, "between": 1, "breaks": 9}
"""How many attempts of a step fail."""
_PARTS = {"first": 2}
PLAYBOOK = f"""
flow = "graph"
[inputs]
sound = {{ type = "boolean", default = true }}
pace = {{ type = "number", default = 0.0 }}

[defaults]
per = "all"

[[step]]
id = "first"
task = "witnessed"
hosts = "all"
with = {{ parts = 2, pace = "{{{{ pace }}}}" }}

[[step]]
id = "wide"
task = "witnessed"
hosts = "all"
needs = ["first"]
retry = {{ attempts = 2, delay = "50ms" }}
with = {{ pace = 0.3, sticks = true }}

[[step]]
id = "again"
task = "witnessed"
hosts = "all"
needs = ["first"]
retry = {{ attempts = 2, delay = "60ms" }}
with = {{ fails = 1 }}

[[step]]
id = "between"
task = "witnessed"
hosts = "all[0]"
needs = ["first"]
retry = {{ attempts = 2, delay = "40ms", revert_between = true }}
with = {{ fails = 1 }}

[[step]]
id = "last"
task = "witnessed"
hosts = "all"
needs = ["wide", "again", "between"]
with = {{ pace = "{{{{ pace }}}}" }}

[[step]]
id = "breaks"
task = "witnessed"
hosts = "all[0]"
needs = ["last"]
when = "not sound"
with = {{ fails = 9 }}

[[step]]
id = "{AT_END}"
task = "witnessed"
hosts = "all"
finally = true
with = {{ puts = false }}
"""
APPLY = ("apply", "play.toml", "--yes")
FAILING = (*APPLY, "-e", "sound:=false")
ENDS = {FORWARD: RunState.SUCCEEDED, BACK: RunState.ROLLED_BACK}


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


class Stage(Ground):
    """Two hosts, a journal and the playbook.

    Args:
        fleet: The hosts.
        project: Directory of the project, made here.
        url: Of the journal; None: SQLite in the project.
        disk: The small disk that the journal is on, if it is.
        cutter: Cuts connections to the journal's server, if something does.
        restarts: File with a line for each time that this server was restarted.
    """

    def __init__(self, fleet, project, url=None, *, disk=None, cutter=None, restarts=None):
        super().__init__(fleet, project, url)
        self.disk = disk
        self.cutter = cutter
        self._restarts = restarts
        self.witness = fleet.home(fleet.names[0]).parent / "witness"
        (project / "plugins").mkdir()
        shutil.copy(PLUGIN, project / "plugins")
        self.playbook(PLAYBOOK)

    def restarts(self):
        """How often the journal's server was restarted."""
        return self._restarts.read_text().count("\n") if self._restarts and self._restarts.exists() else 0

    @contextmanager
    def through_cutter(self):
        """Commands reach the journal through what cuts connections."""
        settings = self.project / "opsflow.toml"
        straight = settings.read_text()
        url = make_url(self.url).set(port=self.cutter.port).render_as_string(hide_password=False)
        settings.write_text(straight.replace(self.url, url))
        try:
            yield
        finally:
            settings.write_text(straight)

    def clear(self):
        """Let the hosts be as before the first run; what opsflow has there stays."""
        self.settle()
        self.witness.write_text("")
        for name in self.fleet.names:
            for path in self.fleet.home(name).iterdir():
                if path.name != ".opsflow":
                    path.unlink()

    def seen_lines(self):
        """What the witness saw, in order."""
        found = [line.split() for line in self.witness.read_text().splitlines()]
        return [Line(host=h, what=w, step=s, attempt=int(a), part=int(p)) for h, w, s, a, p in found]

    def newest(self):
        """The newest run; None: there is none."""
        with suppress(UnknownRun):
            return self.seen().run
        return None

    def drop(self):
        """Leave nothing of the journal, not even its tables."""
        url = make_url(self.url)
        if url.get_backend_name() == "sqlite":
            for path in Path(url.database).parent.glob("journal.db*"):
                path.unlink()  # with what SQLite has beside it
            return
        engine = create_engine(url.set(drivername="mysql+pymysql"))
        with engine.begin() as connection:
            connection.execute(text(f"DROP DATABASE `{url.database}`"))
            connection.execute(text(f"CREATE DATABASE `{url.database}` CHARACTER SET utf8mb4"))
        engine.dispose()

    def forget(self):
        """Leave nothing of a round that went wrong."""
        self.clean()
        for name in self.fleet.names:
            self.fleet.restart(name)
        self.wipe()
        self.drop()


def judged(stage, way):
    """What is wrong with the newest run, which has come to its end: (one of `KINDS`, what)."""
    seen, lines = stage.seen(), stage.seen_lines()
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
    fails = attempt.n <= _FAILING.get(node.step, 0)
    whole = len(parts) == _PARTS.get(node.step, 1)
    if attempt.state is AttemptState.SUCCEEDED and (fails or not whole):
        yield "lost", f"attempt {attempt.n} reads succeeded; the witness saw parts {parts} end"
    if attempt.state is AttemptState.FAILED and not (fails and whole):
        yield "false state", f"attempt {attempt.n} reads failed; the witness saw parts {parts} end"
