"""Shows that a database is in the state it has to be, whatever dies while it is backed up and migrated.

A game's database of every engine is backed up and migrated, with undos or with a backup to restore, by the real command line;
at 20 moments of both tasks the controller is killed, or that and all that opsflow runs on the host.

Whole: `make databases`. Less of it: `make databases ARGS="--turns 1"`; a part: `ARGS="--only sqlite --minutes 5"`.
"""

import itertools
import sys
from collections import Counter
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from database_ground import ENGINES, TASKS, kept, missing
from database_rounds import Migration
from database_schema import PLAYS
from kill_campaign import arguments, campaign, every_moment, publish, side_by_side
from kills import POINTS, VICTIMS, WAYS, Usual, rounds

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from fault_about import surroundings, version

ROWS = 300_000
DOCUMENT = Path(__file__).parents[2] / "docs" / "database-kills.md"
INTRODUCTION = f"""\
# Databases whose controllers are killed

This page is written by `make databases`. A game's database (accounts and items, {ROWS:,} rows; a view, a trigger; functions and
procedures on MariaDB and PostgreSQL; an event on MariaDB) is backed up (`backup_db`, with `verify = "restore"`) and migrated
(`migrate_db`, two scripts) by the real command line over a real sshd. One playbook's scripts have undos, those of the other have none:
there the backup is restored. At {POINTS} moments, spread evenly over each of both tasks, the controller gets SIGKILL, or it and all
that opsflow runs on the host: its runner, the task's script, and the database's clients. Then come `resume` and, once its outcome has
been looked at, `rollback`; or `rollback` at once; or it is the controller of a `rollback` that is killed.

Each time: what is resumed has every script once; what is rolled back is equal to what it was, by the hashes of all rows, by all
definitions, and by the history of migrations. All backups are whole, private and have the right rows; no other database, file, session or
lock is left.

| database | kills | in `backup_db` | `migrate_db` | with undos | restored | controller alone | with the runner | by hand | wrong |
|---|---|---|---|---|---|---|---|---|---|"""
AFTERWARDS = (
    "Then: resumed {}, rolled back at once {}, killed in the rollback {} times. A kill that came after the task's end is not"
    " counted, but tried again sooner. All moments on all ways are {} for each database; what is spread over them goes first."
)
BY_HAND = (
    "By hand: once the runner and the client are gone, nobody can tell what became of a statement that MariaDB had begun, nor, where"
    " a backup may be restored, whose the changes of a script are that died. Then opsflow stops and [says what to do by"
    " hand](databases.md#what-a-revert-does); the campaign does what is said, and what comes of it has to be right, too. With the"
    " controller alone killed it is never so."
)


def alone(engine, n, directory, chosen, until):
    """An engine's campaign, for a process of its own."""
    with kept(directory, engine, ROWS, address=f"127.0.148.{101 + n}") as found:
        one = Migration(found)
        return campaign(one, Usual(one, PLAYS), chosen, until=until, say=partial(print, flush=True))


def document(told, about):
    """The page with the figures."""
    lines = [INTRODUCTION]
    for engine in ENGINES:
        mine = [one for one in told if one.name == engine and one.hit]
        counted = Counter(value for one in mine for value in (one.round.task, one.round.play, one.round.victim))
        wrong = sum(bool(one.wrong) for one in told if one.name == engine)
        cells = [engine, len(mine), *(counted[value] for value in (*TASKS, *PLAYS, *VICTIMS))]
        lines.append(f"| {' | '.join(map(str, (*cells, sum(bool(one.by_hand) for one in mine), wrong)))} |")
    ways = Counter(one.round.way for one in told if one.hit)
    whole = len(list(rounds(TASKS, PLAYS)))
    lines += ["", AFTERWARDS.format(*(ways[way] for way in WAYS), whole), "", BY_HAND, ""]
    lines += [f"- {name}: {what}" for name, what in about.items()]
    return "\n".join(lines) + "\n"


def main():
    turn = every_moment(TASKS)
    given = arguments(__doc__, ENGINES, turn, DOCUMENT)
    if reason := missing():
        sys.exit(f"the campaign needs real database servers: {reason}")
    chosen = list(itertools.islice(rounds(TASKS, PLAYS), given.turns and turn * given.turns))
    told = side_by_side(alone, given, chosen)
    clients = {
        "sqlite": version("sqlite3", "--version").split()[0],
        "mysql": version("mariadbd", "--version"),
        "postgresql": version("psql", "--version"),
    }
    publish(given, told, document(told, surroundings() | clients))


if __name__ == "__main__":
    main()
