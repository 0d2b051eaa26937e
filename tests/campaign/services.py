"""Shows that a server is in the state it has to be, whatever dies while its release is exchanged.

A server of every backend is stopped, gets another release, and is started, by the real command line; at 20 moments of every task
the controller is killed, or that and all that opsflow runs on the host. The server writes down its starts and stops.

Whole: `make services`. Less of it: `make services ARGS="--turns 1"`; a part: `ARGS="--backend systemd --minutes 5"`.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from service_ground import BACKENDS, TASKS, missing, served
from service_rounds import POINTS, VICTIMS, WAYS, Usual, play, rounds

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
    f" not counted. All moments on all ways are {len(list(rounds()))} for each kind of server; what is spread over them goes first."
)
TURN = POINTS * len(TASKS)


def campaign(one, chosen, *, until=None, say=print):
    """Rounds on one server; what came of them."""
    usual, told = Usual(one), []
    for played in chosen:
        if until is not None and time.monotonic() > until:
            break
        told.append(play(one, usual, played))
        say("\n".join((told[-1].line(), *(f"  WRONG {what}" for what in told[-1].wrong))))
    return told


def alone(backend, chosen, *, minutes, address):
    """A backend's campaign, for a process of its own."""
    until = None if minutes is None else time.monotonic() + 60 * minutes
    with (
        tempfile.TemporaryDirectory(prefix="services-", ignore_cleanup_errors=True) as directory,
        served(Path(directory), [backend], address=address) as (one,),
    ):
        return campaign(one, chosen, until=until, say=partial(print, flush=True))


def document(told, about):
    """The page with the figures."""
    lines = [INTRODUCTION]
    for backend in BACKENDS:
        mine = [one for one in told if one.backend == backend and one.hit]
        tasks, victims = Counter(one.round.task for one in mine), Counter(one.round.victim for one in mine)
        wrong = sum(bool(one.wrong) for one in told if one.backend == backend)
        cells = [backend, len(mine), *(tasks[task] for task in TASKS), *(victims[v] for v in VICTIMS), wrong]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    ways = Counter(one.round.way for one in told if one.hit)
    lines += ["", AFTERWARDS.format(*(ways[way] for way in WAYS)), ""]
    lines += [f"- {name}: {what}" for name, what in about.items()]
    lines.append("- systemd: a machine with a systemd of its own; the others: sshd processes, with a real supervisord")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=6, help=f"how often {TURN} kills for each backend; 6 are all ways")
    parser.add_argument("--minutes", type=float, default=None, help="no new kill after so many")
    parser.add_argument("--backend", action="append", choices=BACKENDS, help="only this one; may be repeated")
    parser.add_argument(
        "--write", type=Path, default=None, help=f"where the figures go; of all backends: {DOCUMENT.name}"
    )
    given = parser.parse_args()
    if reason := machines_missing() or missing():
        sys.exit(f"the campaign needs real machines and a supervisor: {reason}")
    backends = given.backend or BACKENDS
    chosen = list(itertools.islice(rounds(), TURN * given.turns))
    with ProcessPoolExecutor(len(backends), mp_context=get_context("spawn")) as pool:
        playing = [
            pool.submit(alone, backend, chosen, minutes=given.minutes, address=f"127.0.146.{101 + n}")
            for n, backend in enumerate(backends)
        ]
        told = [one for played in playing for one in played.result()]
    text = document(told, surroundings())
    print("\n" + text)
    write = given.write or (None if given.backend else DOCUMENT)
    if write:
        write.write_text(text)
    wrong = sum(bool(one.wrong) for one in told)
    sys.exit(f"{wrong} rounds are not as they must be; they are named above" if wrong else 0)


if __name__ == "__main__":
    main()
