"""Shows that an operation happens at most once and that its fate is found out, by making everything die.

Hosts of both kinds, each with dash, bash --posix and busybox ash as its `sh`, work through playbooks with the real command line,
while what is in the way is killed, cut or taken the power. A witness on every host counts.

Whole: `make campaign`. One run again: `make campaign ARGS="--phase power --seed 17 --rounds 1"`.
"""

import argparse
import math
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from campaign_figures import document, summed
from campaign_ground import MACHINE, SSHD, Target
from campaign_phases import LONGEST_CUT, PHASES
from fault_about import surroundings, version

from opsflow.testing import MachineFleet, SshdFleet
from opsflow.testing.machines import machines_missing

SHELLS = {"dash": "dash", "bash": "bash", "ash": "busybox"}
DOCUMENT = Path(__file__).parents[2] / "docs" / "exactly-once.md"
ADDRESS = "127.0.145.1"


def hosts(directory, running, *, machines=True, sshd=True, address=ADDRESS):
    """Three hosts of each kind, up as long as `running` (an `ExitStack`) is not closed."""
    found = []
    if sshd:
        shells = {f"sshd-{shell}": shutil.which(program) for shell, program in SHELLS.items()}
        fleet = running.enter_context(
            SshdFleet(directory / "sshd", list(shells), first_address=address, shells=shells, sessions=100)
        )
        found += [Target(name=f"sshd-{shell}", fleet=fleet, kind=SSHD, shell=shell) for shell in SHELLS]
    if machines:
        shells = {f"machine-{shell}": program for shell, program in SHELLS.items()}
        fleet = running.enter_context(MachineFleet(directory / "machines", list(shells), shells=shells))
        found += [Target(name=f"machine-{shell}", fleet=fleet, kind=MACHINE, shell=shell) for shell in SHELLS]
    return found


def campaign(phase, targets, project, *, seed, aim=0, rounds=0, say=print):
    """Rounds of a phase, from this seed on, until `aim` commands have been hit, or so many rounds are over."""
    chosen = [target for target in targets if target.kind == MACHINE or not phase.machines_only]
    told = []
    while (rounds and len(told) < rounds) or (not rounds and sum(len(one.hit) for one in told) < aim):
        one = phase.round(chosen, project, seed + len(told))
        told.append(one)
        say(one.line())
        for host, kind, what in one.verdict.wrong:
            say(f"  WRONG {host}: {kind}: {what}")
        if one.verdict.wrong:
            say(f'  again: make campaign ARGS="--phase {one.phase} --seed {one.seed} --rounds 1"')
    return told


def about():
    """What it was done with."""
    return {
        **surroundings(),
        "shells": f"dash; {version('bash', '--version').split(' (x')[0]}; {version('busybox').split(' (')[0]}",
        "hosts": "three sshd processes; three machines with systemd, each with a disk, a network and a boot id of its own",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="how much of a whole campaign")
    parser.add_argument("--phase", action="append", choices=list(PHASES), help="only this trouble; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="of the first run of every phase")
    parser.add_argument("--rounds", type=int, default=0, help="so many runs, however few commands they hit")
    parser.add_argument("--write", type=Path, default=None, help=f"where the figures go; a whole one: {DOCUMENT.name}")
    given = parser.parse_args()
    began = time.monotonic()
    told = []
    if reason := machines_missing():
        sys.exit(f"the campaign needs real machines: {reason}")
    with ExitStack() as running:
        directory = Path(
            running.enter_context(tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True))
        )
        targets = hosts(directory, running)
        for name in given.phase or PHASES:
            phase = PHASES[name](longest=LONGEST_CUT)
            aim = math.ceil(phase.aim * given.scale)
            told += campaign(phase, targets, directory / "project", seed=given.seed, aim=aim, rounds=given.rounds)
        kinds = {target.name: (target.kind, target.shell) for target in targets}
    text = document(told, kinds, about(), minutes=(time.monotonic() - began) / 60, scale=given.scale)
    print("\n" + text)
    write = given.write or (DOCUMENT if given.scale >= 1 and not given.phase and not given.rounds else None)
    if write:
        write.parent.mkdir(exist_ok=True)
        write.write_text(text)
    wrong = summed(told).wrong
    sys.exit(f"{wrong} results are not as they must be; their seeds are above" if wrong else 0)


if __name__ == "__main__":
    main()
