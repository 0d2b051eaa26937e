"""Rounds of `kills` on several subjects, each in a process of its own; and what its command line says."""

import argparse
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from kills import POINTS, play

TRIES = 5
"""How often a moment is tried that came too late."""


def arguments(documentation, names, turn, document):
    """What the command line says, checked.

    Args:
        documentation: Docstring of the program.
        names: Of all subjects.
        turn: Of how many kills a turn consists.
        document: The page that is written.
    """
    parser = argparse.ArgumentParser(description=documentation.splitlines()[0])
    parser.add_argument("--turns", type=int, default=None, help=f"how often {turn} kills for each; default: all ways")
    parser.add_argument("--minutes", type=float, default=None, help="no new kill after so many")
    parser.add_argument("--only", action="append", choices=names, help="only this one; may be repeated")
    parser.add_argument("--write", type=Path, default=None, help=f"where the figures go; of all: {document.name}")
    given = parser.parse_args()
    given.names = given.only or names
    given.write = given.write or (None if given.only else document)
    return given


def campaign(one, usual, chosen, *, until=None, say=print):
    """Rounds on one subject; what came of them. A kill that comes too late is tried again sooner."""
    told = []
    for played in chosen:
        for _ in range(TRIES):
            if until is not None and time.monotonic() > until:
                return told
            told.append(play(one, usual, played))
            say("\n".join((told[-1].line(), *(f"  WRONG {what}" for what in told[-1].wrong))))
            if told[-1].hit or told[-1].wrong:
                break
            usual.came_too_late(played)
    return told


def side_by_side(alone, given, chosen):
    """A campaign for each name in a process of its own, all at once; what came of them.

    Args:
        alone: Function of a module: name, its number, an empty directory, rounds, when to end; gives what came of it.
        given: What the command line says.
        chosen: The rounds.
    """
    with ProcessPoolExecutor(len(given.names), mp_context=get_context("spawn")) as pool:
        playing = [pool.submit(_within, alone, name, n, chosen, given.minutes) for n, name in enumerate(given.names)]
        return [one for played in playing for one in played.result()]


def _within(alone, name, n, chosen, minutes):
    until = None if minutes is None else time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory(prefix="kills-", ignore_cleanup_errors=True) as directory:
        return alone(name, n, Path(directory), chosen, until)


def publish(given, told, text):
    """Show the page, write it, and end with what it means."""
    print("\n" + text)
    if given.write:
        given.write.write_text(text)
    wrong = sum(bool(one.wrong) for one in told)
    sys.exit(f"{wrong} rounds are not as they must be; they are named above" if wrong else 0)


def every_moment(tasks):
    """How many kills are every moment of every task once."""
    return POINTS * len(tasks)
