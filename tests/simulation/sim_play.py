"""Plays seeds: `make simulate SEEDS=1000000` many of them, `make simulate SEED=17` one again, with all that happens."""

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator

from sim_database import Ledger
from sim_seeds import KINDS
from simulation import Play

import opsflow

CHUNK = 500
ENOUGH = 10
"""Failing seeds after which no more are played."""


def main() -> int:
    """Play what the command line says; 1 if a seed failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="replay this one, and tell what happens")
    parser.add_argument("--first", type=int, default=0, help="the first of many")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many")
    parser.add_argument("--jobs", type=int, default=1, help="processes that play them")
    parser.add_argument("--until-one-fails", action="store_true", help="in this process, one after another")
    chosen = parser.parse_args()
    if chosen.seed is not None:
        return replay(chosen.seed)
    print(f"seeds of {opsflow.__file__}", file=sys.stderr)
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    if chosen.until_one_fails:
        return tell(failures(seeds, most=1)[1])
    return play(seeds, chosen.jobs)


def play(seeds: range, jobs: int) -> int:
    """Play many; 1 if some failed."""
    began, played, failed, tally = time.monotonic(), 0, 0, Counter[str]()
    for chunk, found, happened in in_processes(seeds, jobs):
        tell(found)
        tally += happened
        failed += len(found)
        if failed >= ENOUGH:
            break
        played += len(chunk)
        if played % 10_000 == 0 or played == len(seeds):
            print(f"{played} seeds, {failed} failed, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    for title, kinds in KINDS.items():
        print(f"\n{title}")
        for kind in kinds:
            print(f"{tally[kind]:>11,}  {kind}")
    return min(failed, 1)


def in_processes(seeds: range, jobs: int) -> Iterator[tuple[range, list[str], Counter[str]]]:
    """Play seeds in several processes: some of them, which failed, and what happened in them, each time."""
    chunks = [seeds[n : n + CHUNK] for n in range(0, len(seeds), CHUNK)]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(failures, chunks)


def failures(seeds: range, *, most: int = ENOUGH) -> tuple[range, list[str], Counter[str]]:
    """Play some seeds in this process; what failed of them, and how often what happened."""
    ledger, found, tally = Ledger(), [], Counter[str]()
    for seed in seeds:
        try:
            play = Play(seed, ledger)
            play.run()
            tally += play.ground.tally
        except Exception as error:  # whatever it is, the seed shows it again
            found.append(f"seed {seed}: {type(error).__name__}: {error}\n    make simulate SEED={seed}")
            if len(found) >= most:
                break
    return seeds, found, tally


def tell(found: list[str]) -> int:
    """Say which seeds failed; 1 if there are any."""
    for line in found:
        print(line, flush=True)
    return min(len(found), 1)


def replay(seed: int) -> int:
    """Play one seed, and tell what happens."""
    made = Play(seed, Ledger(), print)
    for step in made.ground.plan.playbook.steps:
        print(step)
    try:
        made.run()
    except AssertionError as error:
        print(f"seed {seed}: {error}")
        return 1
    print(f"seed {seed}: nothing is wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
