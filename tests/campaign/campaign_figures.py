"""What a campaign has shown, as a page."""

from collections import Counter
from dataclasses import dataclass, field

from campaign_ground import KINDS
from campaign_phases import PHASES

_PAGE = """\
# Exactly once: what was shown

opsflow promises that an operation on a target happens at most once, and that its fate is found out, whatever dies. This page
is written by `make campaign`, which does its best to break that: three hosts that are sshd processes and three that are
machines with a systemd, a network, a disk and a boot id of their own have dash, `bash --posix` and busybox ash as their
`sh`. Playbooks of single commands, and of tasks of five commands with a file put before each, run on all of them by the
real `opsflow apply` and `opsflow resume`, while something is killed, cut, or loses its power at random moments.

Every command writes its name into a file on its host when it begins, and when it has come to its end (where power is lost, it
waits until that is on the disk). This witness is compared with the journal, and so are the exit status and every byte of the
output of each command, and every file.

{about}

| what happened | how often | operations | commands under way then | {kinds} | unknown | never begun |
|---|---|---|---|{columns}|---|---|
{phases}

The same by host:

| host | its `sh` | operations | commands under way | {kinds} | unknown | never begun |
|---|---|---|---|{columns}|---|---|
{hosts}

*Operations* are commands and files put; *commands under way then* are those, each counted once, that had begun and not ended at
a moment when something was killed, cut or switched off. *Run twice* counts files that were put twice, too; *lost* are
operations of nodes that read succeeded and of which the witness knows nothing; *false status* counts nodes and commands
that the journal has otherwise than the witness. *Unknown* are nodes whose fate cannot be found out; only a loss of power may
have that effect, on nodes of that host that were worked on. *Never begun* are nodes that failed because their host could not
be reached, and of which the witness knows nothing, as it must be. A loss of power ends all processes of the machine at once,
loses what had not been written to its disk, and is followed by a boot of the same disk.

A run is made by its seed: `make campaign ARGS="--phase power --seed 17 --rounds 1"` makes one again. The seed decides what is
done, when and to whom; how far the hosts are at that moment is up to the machine. The seeds of these runs:

{seeds}
"""


@dataclass(kw_only=True)
class Sum:
    """What came of several runs, or of one host in them."""

    operations: int = 0
    hit: int = 0
    disturbances: Counter = field(default_factory=Counter)
    kinds: Counter = field(default_factory=Counter)
    unknown: int = 0
    never: int = 0

    @property
    def wrong(self):
        return self.kinds.total()

    def cells(self):
        """Operations, commands under way, what must never be, unknown, never begun: as cells of a table."""
        numbers = [self.operations, self.hit, *(self.kinds[kind] for kind in KINDS), self.unknown, self.never]
        return " | ".join(f"{number:,}" for number in numbers)


def summed(told, hosts=None):
    """The sum of runs; of some hosts in them if they are named."""
    found = Sum()
    for one in told:

        def ours(host):
            return hosts is None or host in hosts

        found.operations += sum(count for host, count in one.operations.items() if ours(host))
        found.hit += sum(ours(host) for host, _ in one.hit)
        found.disturbances += one.disturbances
        found.kinds.update(kind for host, kind, _ in one.verdict.wrong if ours(host))
        found.unknown += sum(ours(host) for host, _ in one.verdict.unknown)
        found.never += sum(ours(host) for host, _ in one.verdict.never)
    return found


def document(told, kinds, about, *, minutes, scale):
    """The page.

    Args:
        told: What came of the runs.
        kinds: Kind and shell of each host.
        about: What it was done with, by name.
        minutes: How long it took.
        scale: How much of a whole campaign it was.
    """
    phases = {name: [one for one in told if one.phase == name] for name in PHASES}
    rows = []
    for name, runs in phases.items():
        found = summed(runs)
        often = ", ".join(f"{count:,} {what}" for what, count in sorted(found.disturbances.items()))
        if runs:
            rows.append(f"| {PHASES[name].title} | {often} | {found.cells()} |")
    by_host = [f"| {kinds[host][0]} | {kinds[host][1]} | {summed(told, {host}).cells()} |" for host in kinds]
    facts = {**about, "took": f"{minutes:.0f} minutes, scale {scale:g}"}
    seeds = [f"- {name}: {runs[0].seed} to {runs[-1].seed}" for name, runs in phases.items() if runs]
    return _PAGE.format(
        about="\n".join(f"- {name}: {value}" for name, value in facts.items()),
        kinds=" | ".join(KINDS),
        columns="---|" * (len(KINDS) - 1) + "---",
        phases="\n".join(rows),
        hosts="\n".join(by_host),
        seeds="\n".join(seeds),
    )
