"""Shows that a run is what its journal says, by making the controller and the journal die at every moment there is.

Pairs of real ssh hosts work through a run that goes every way, driven by the real command line with the journal in
SQLite and in MariaDB, while controllers are killed and databases are restarted, cut off, or full. A witness on the hosts counts.

Whole: `make faults`. One phase: `make faults ARGS="--phase disks"`; one boundary: `ARGS="--boundary 'the host is claimed'"`.
"""

import argparse
import json
import os
import signal
import sqlite3
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from fault_about import surroundings
from fault_boundaries import BY_NAME
from fault_figures import document
from fault_phases import PHASES
from fault_pool import Arena, Pool, restarting
from fault_rounds import Told

from opsflow.testing.mariadb import PrivateMariaDB

DOCUMENT = Path(__file__).parents[2] / "docs" / "journal-faults.md"
NETWORK = "127.0.150"
WORKERS = 6


def campaign(phases, pool, server, restarts, *, scale, seed, boundary=None):
    """Play phases; what came of their rounds, as it comes."""
    counts = pool.census() if "boundaries" in phases else {}
    for name in phases:
        phase = PHASES[name]
        rounds = phase.rounds(counts, scale, seed)
        if boundary:
            rounds = (one for one in rounds if one.boundary == boundary)
        with ExitStack() as while_:
            if name == "restarts":
                while_.enter_context(restarting(server, restarts))
            yield from pool.play(rounds, phase.enough(scale))


def heard(told, kept):
    """What came of rounds, shown and kept: of those before, too, and of all that there were when it is interrupted."""
    found = [Told(**json.loads(line)) for line in kept.read_text().splitlines()] if kept and kept.exists() else []
    with ExitStack() as open_, suppress(KeyboardInterrupt):
        file = open_.enter_context(kept.open("a")) if kept else None
        for one in told:
            found.append(one)
            print(one.line(), *(f"  WRONG {kind}: {what}" for kind, what in one.wrong), sep="\n", flush=True)
            if file:
                print(json.dumps(vars(one)), file=file, flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="how much of a whole campaign")
    parser.add_argument("--phase", action="append", choices=list(PHASES), help="only this trouble; may be repeated")
    parser.add_argument("--boundary", choices=list(BY_NAME), help="only this boundary")
    parser.add_argument("--seed", type=int, default=1, help="of the first run of every phase")
    parser.add_argument("--workers", type=int, default=WORKERS, help="pairs of hosts at work at the same time")
    parser.add_argument("--write", type=Path, default=None, help=f"where the figures go; a whole one: {DOCUMENT.name}")
    parser.add_argument(
        "--kept", type=Path, default=None, help="file that keeps what came of rounds, and may have some"
    )
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has it ignored
    if os.geteuid() != 0:
        sys.exit("the campaign mounts a small disk and gives a controller another machine's name: it needs root")
    phases = ["boundaries"] if given.boundary else given.phase or list(PHASES)
    with ExitStack() as running:
        directory = Path(
            running.enter_context(tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True))
        )
        server = running.enter_context(PrivateMariaDB(directory))
        restarts = directory / "restarts"
        arenas = [
            Arena(
                directory=directory / f"pair-{n}",
                address=f"{NETWORK}.{1 + 2 * n}",
                url=server.create(f"journal{n}"),
                port=server.port,
                restarts=restarts,
            )
            for n in range(given.workers)
        ]
        pool = running.enter_context(Pool(arenas))
        journals = f"SQLite {sqlite3.sqlite_version}; MariaDB {server.execute('SELECT VERSION()').strip()}"
        told = heard(
            campaign(phases, pool, server, restarts, scale=given.scale, seed=given.seed, boundary=given.boundary),
            given.kept,
        )
    minutes = sum(one.seconds for one in told) / 60
    took = f"{minutes:.0f} minutes of rounds, up to {given.workers} at the same time"
    text = document(told, {**surroundings(), "journals": journals, "took": took})
    print("\n" + text)
    write = given.write or (DOCUMENT if given.scale >= 1 and phases == list(PHASES) else None)
    if write:
        write.parent.mkdir(exist_ok=True)
        write.write_text(text)
    wrong = sum(bool(one.wrong) for one in told)
    sys.exit(f"{wrong} runs are not as they must be; they are named above" if wrong else 0)


if __name__ == "__main__":
    main()
