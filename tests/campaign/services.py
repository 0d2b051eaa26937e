"""Shows that a server is in the state it has to be, whatever dies while its release is exchanged.

A server of every backend is stopped, gets another release, and is started, by the real command line; at 20 moments of every task
the controller is killed, or that and all that opsflow runs on the host. The server writes down its starts and stops.

Whole: `make services`. Less of it: `make services ARGS="--turns 1"`; a part: `ARGS="--only systemd --minutes 5"`.
"""

import itertools
import sys
from collections import Counter
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from kill_campaign import arguments, campaign, every_moment, publish, side_by_side
from kills import POINTS, VICTIMS, WAYS, Usual, rounds
from service_ground import BACKENDS, TASKS, missing, served
from service_rounds import Exchange

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from fault_about import surroundings

from opsflow.testing.machines import machines_missing

DOCUMENT = Path(__file__).parents[2] / "docs" / "service-kills.md"
INTRODUCTION = f"""\
# Servers whose controllers are killed

This page is written by `make services`. A server is stopped, gets another release and is started (`stop_server`, `deploy_app`,
`start_server`) by the real command line. At {POINTS} moments, spread evenly over each of the three tasks, the controller gets SIGKILL, or it
and all that opsflow runs on the host: its runner and the task's script. Then come `resume` and, once its outcome has been looked at,
`rollback`; or `rollback` at once; or it is the controller of a `rollback` that is killed. The server writes down each of its starts and
stops. Each time exactly one server has to run, to answer with the right release, and to have been stopped and started once and no more;
nothing half done may be left on the host.

| server of | kills | in `stop_server` | `deploy_app` | `start_server` | controller alone | with the runner | wrong |
|---|---|---|---|---|---|---|---|"""
AFTERWARDS = (
    "Then: resumed {}, rolled back at once {}, killed in the rollback {} times. Kills that came after the task's end are"
    f" not counted, but tried again sooner. All moments on all ways are {len(list(rounds(TASKS)))} for each kind of server; what is spread over them goes first."
)


def alone(backend, n, directory, chosen, until):
    """A backend's campaign, for a process of its own."""
    with served(directory, [backend], address=f"127.0.146.{101 + n}") as (server,):
        one = Exchange(server)
        return campaign(one, Usual(one), chosen, until=until, say=partial(print, flush=True))


def document(told, about):
    """The page with the figures."""
    lines = [INTRODUCTION]
    for backend in BACKENDS:
        mine = [one for one in told if one.name == backend and one.hit]
        tasks, victims = Counter(one.round.task for one in mine), Counter(one.round.victim for one in mine)
        wrong = sum(bool(one.wrong) for one in told if one.name == backend)
        cells = [backend, len(mine), *(tasks[task] for task in TASKS), *(victims[v] for v in VICTIMS), wrong]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    ways = Counter(one.round.way for one in told if one.hit)
    lines += ["", AFTERWARDS.format(*(ways[way] for way in WAYS)), ""]
    lines += [f"- {name}: {what}" for name, what in about.items()]
    lines.append("- systemd: a machine with a systemd of its own; the others: sshd processes, with a real supervisord")
    return "\n".join(lines) + "\n"


def main():
    turn = every_moment(TASKS)
    given = arguments(__doc__, BACKENDS, turn, DOCUMENT)
    if reason := machines_missing() or missing():
        sys.exit(f"the campaign needs real machines and a supervisor: {reason}")
    chosen = list(itertools.islice(rounds(TASKS), given.turns and turn * given.turns))
    told = side_by_side(alone, given, chosen)
    publish(given, told, document(told, surroundings()))


if __name__ == "__main__":
    main()
