"""Steps whose doing and undoing can be counted on the hosts, and what has to be true of them."""

from collections import Counter

from opsflow.model import NodeState, Phase

HELD = "a run that is over holds hosts"
WAIT = "while [ ! -e go ]; do sleep 0.05; done; "
GOOD = {NodeState.SUCCEEDED, NodeState.UNCHANGED, NodeState.SKIPPED}


def step(name, hosts="all", *, slow=0.0, wait="", extra="", with_=""):
    """A step that writes a line on its host and makes a file, and takes both back with another line.

    Args:
        name: Its id.
        hosts: Its pattern.
        slow: Seconds that both take.
        wait: `do` or `undo`: which of both goes on only when the host has been told to; see `Ground.go`.
        extra: More keys of the step.
        with_: More parameters.
    """
    pause = f"sleep {slow}; " if slow else ""
    pauses = {what: (WAIT if what == wait else "") + pause for what in ("do", "undo")}
    return f"""
[[step]]
id = "{name}"
task = "command"
hosts = "{hosts}"
{extra}
[step.with]
run = "echo do {name} >> log; {pauses["do"]}touch {name}.done"
undo = "echo undo {name} >> log; {pauses["undo"]}rm -f {name}.done"
{with_}
"""


FAILS = """
[[step]]
id = "fails"
task = "command"
hosts = "two"
on_unknown = "revert"
with = { run = "exit 3", undo = "true" }
"""
"""A step that always fails."""


def broken(ground, seen, code, *, idempotent=()):
    """What is not as it must be after a session that ended by itself; empty if all is."""
    found = []
    for name, node in seen.nodes.items():
        lines = Counter(ground.lines(node.host))
        did, undid = lines[f"do {node.step}"], lines[f"undo {node.step}"]
        there = ground.done(node.step, node.host)
        begun = len(seen.attempts(name))
        wrong = {
            "reads succeeded and is not there": node.state is NodeState.SUCCEEDED and not (there and did),
            "reads reverted and is there": node.state is NodeState.REVERTED and there,
            "was left in the middle": node.state in {NodeState.RUNNING, NodeState.REVERTING},
            "has an attempt without an outcome": name in seen.interrupted() | seen.interrupted(Phase.REVERT),
            "reads untouched and was touched": not begun and bool(did or undid or there),
            f"ran {did} times": did > (begun if node.step in idempotent else 1),
            "was undone without an attempt": undid > len(seen.attempts(name, Phase.REVERT)),
        }
        found += [f"{name} {what}" for what, is_so in wrong.items() if is_so]
    steps = [name.partition("@")[0] for name in seen.nodes]
    for host in ground.fleet.names:
        lines = [line.split() for line in ground.lines(host)]
        done = [steps.index(step) for what, step in lines if what == "do"]
        undone = [steps.index(step) for what, step in lines if what == "undo"]
        if lines != sorted(lines, key=lambda line: line[0]) or done != sorted(done) or undone != sorted(undone)[::-1]:
            found.append(f"the order on {host}: {ground.lines(host)}")
    states = set(seen.states.values())
    doubtful = bool(states & {NodeState.UNKNOWN, NodeState.REVERT_FAILED})
    wrong = {
        "all is good and the code is not 0, or the other way round": (code == 0) != (states <= GOOD)
        and not (code == 0 and seen.run.state == "rolled_back"),
        "something is in doubt and the code is not 4, or the other way round": (code == 4) != doubtful,
        "the journal has another exit code": seen.run.exit_code != code,
        HELD: seen.run.state in {"succeeded", "rolled_back"} and bool(ground.held()),
    }
    return [*found, *(what for what, is_so in wrong.items() if is_so)]
