"""What a campaign against the journal has shown, as a page."""

from collections import Counter

from fault_boundaries import BACK, BOUNDARIES, FORWARD
from fault_phases import DATABASES, PHASES
from fault_witness import KINDS

_PAGE = """\
# The journal under faults: what was shown

opsflow promises that a run is what its journal says, whatever dies. This page is written by `make faults`, which does its best to
break that. Pairs of real ssh hosts work through a run that goes every way there is: two steps side by side, attempts that
fail and are tried again, one that is reverted between two tries, a rollback with a revert that fails once, a step at the
end. The real `opsflow apply`, `resume` and `rollback` drive it, with the journal in SQLite and in MariaDB.

Every command writes its name, its attempt and its end into one file that all hosts of a run have in common: the witness. When the last
resume has come to its end, it is compared with the journal.

{about}

| what happened | how often | runs | {kinds} |
|---|---|---|{columns}|
{phases}

*Run twice*: a command that began more than once in an attempt, or a revert that began more often than the journal has attempts of it.
*Lost*: what reads succeeded or reverted, and of which the witness did not see the end. *False state*: a state, an
outcome or an exit code that the witness contradicts, a node left in the middle or of unknown fate, or a command that does not end.
*No intent*: a command that the journal has no attempt for. *Out of order*: before what it needs, forward after the first revert,
or a revert before those that come first. *At once*: two commands of one node at the same time. *Left held*: hosts
that a run still holds when it is over.

- *Killed*: with SIGKILL. The next session begins at once, or when the hosts are quiet, by turns.
- *MariaDB restarted*: by turns killed with SIGKILL and stopped in good order, while several runs are under way. A run waits for the
  server for about eight seconds; one that is left without ends with exit code 6, and is resumed. A command that finds no server as it
  begins is refused at once, with exit code 6 too, and given again.
- *Cut around a COMMIT*: every COMMIT of a run in its turn, once so that it arrives and its answer is lost, once so that it is lost
  itself. The run goes on by itself; nobody resumes it.
- *Full disk*: at a random moment, and until the controller has ended. It ends with exit code 6; once there is room it is resumed.
- *Stopped past its lease*: with SIGSTOP, at a random moment that is not within a transaction, on what it takes for another machine. Another
  controller is refused for a minute, then takes the run over and ends it. Then the first one goes on (SIGCONT): it
  ends with exit code 6, no row of the journal is another one, and the witness has seen nothing more.

## The boundaries

The moments at which controllers were killed, {count} of them, each at the first and at later times that a session came by it, in
first sessions, in resumes and in rollbacks. They are listed in `tests/faults/fault_boundaries.py`; one whose place in the code is
gone, or that no session comes by any more, fails the campaign. Not all are on both ways.

| boundary | {ways} | not as it must be |
|---|{way_columns}|---|
{boundaries}

## Again

| | |
|---|---|
| `make faults` | all of it, as root; writes this page |
| `make faults ARGS="--scale 0.1"` | a tenth |
| `make faults ARGS="--phase random --seed 17"` | one kind of trouble; the seed decides when it comes |
| `make faults ARGS="--boundary 'the host is claimed'"` | one boundary |
| `make faults ARGS="--kept FILE"` | what came of each run is kept there, so that it can be interrupted (Ctrl-C), and a later one adds to it |
| `make test ARGS="tests/faults"` | every boundary once, and a little of the rest, as CI does |
| `make test ARGS="tests/mutations"` | what the journal rests on is taken away in a copy (the epoch, the check of the state that is changed from, SQLite's and the servers' durability, the commit of intents before acts), and a test has to fail |
"""


def document(told, about):
    """The page.

    Args:
        told: What came of the rounds.
        about: What it was done with, by name.
    """
    ways = [(way, database) for way in (FORWARD, BACK) for database in DATABASES]
    phases = [(phase, [one for one in told if one.phase == name]) for name, phase in PHASES.items()]
    kills = Counter(
        (one.boundary, one.way, one.database) for one in told if one.boundary for _ in range(one.done.get("kills", 0))
    )
    wrong = Counter(one.boundary for one in told if one.boundary and one.wrong)
    return _PAGE.format(
        about="\n".join(f"- {name}: {value}" for name, value in about.items()),
        kinds=" | ".join(KINDS),
        columns="---|" * (len(KINDS) - 1) + "---",
        phases="\n".join(_row(phase, ours) for phase, ours in phases if ours),
        count=len(BOUNDARIES),
        ways=" | ".join(f"{way}, {database}" for way, database in ways),
        way_columns="---|" * (len(ways) - 1) + "---",
        boundaries="\n".join(
            f"| {b.name} | {' | '.join(str(kills[b.name, *way] or '') for way in ways)} | {wrong[b.name]} |"
            for b in BOUNDARIES
        ),
    )


def _row(phase, told):
    done, kinds = Counter(), Counter()
    for one in told:
        done.update(one.done)
        kinds.update(kind for kind, _ in one.wrong)
    often = ", ".join(f"{count:,} {what}" for what, count in sorted(done.items()))
    cells = " | ".join(f"{kinds[kind]:,}" for kind in KINDS)
    return f"| {phase.title} | {often} | {len(told):,} | {cells} |"
