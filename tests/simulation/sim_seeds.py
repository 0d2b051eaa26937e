"""The seeds that the tests play, and what has to happen in them: a simulation that disturbs nothing proves nothing."""

from collections import Counter
from collections.abc import Mapping

from sim_database import Ledger
from simulation import Play

SEEDS, CHUNKS = 10_000, 20

KINDS: Mapping[str, tuple[str, ...]] = {
    "The control process": (
        *(f"process died {where} a COMMIT" for where in ("before", "after")),
        *(f"process died {where} a message" for where in ("before", "after")),
        "process died between two steps",
        *(f"{command} died" for command in ("apply", "resume", "rollback", "kill", "mark")),
        "process stopped for a while",
        "run taken over from a process that sleeps",
        "write refused, as another process had taken over",
        "connection of an owner that had lost the run, refused",
        "operation refused: fenced, or of an owner that had lost the run",
        "fence of an owner that had lost the run, refused",
        "command refused, as another process works on the run",
        "clock jumps by a day",
    ),
    "The journal's database": (
        "COMMIT that did not happen",
        "COMMIT that happened, and was reported as failed",
        "database away",
    ),
    "The network": (
        "message lost",
        "message late",
        "message twice",
        "message to a host that was away or has restarted",
        "start of what had started, attached to it",
    ),
    "The hosts": (
        "host away for a while",
        "host lost power",
        "operation cut by a loss of power",
        "host lost its records",
        "operation refused: the host's disk is full",
        "command fails",
        "command of a revert fails",
        "command takes too long",
    ),
    "The operators": (
        "Ctrl-C",
        "another process asks for pause, of a living one",
        "another process asks for cancel, of a living one",
        "another process asks for cancel --kill, of a living one",
        "another process asks for cancel --kill, of no one",
        *(f"node marked {state}" for state in ("succeeded", "failed", "skipped", "reverted")),
        *(f"{after} after {before}" for after in ("resume", "rollback") for before in ("apply", "resume", "rollback")),
        *(f"{after} after kill" for after in ("resume", "rollback")),
        *(f"kill after {before}" for before in ("apply", "resume", "rollback")),
        "resume of a run that is succeeded, refused",
        *(f"{command} of a run that is rolled_back, refused" for command in ("resume", "rollback")),
    ),
    "What came of it": (
        "another attempt",
        "reverted before another attempt",
        "hook called again for an attempt that was left",
        "batch after the first",
        "rollout stopped, as too many units had failed",
        *(f"rollback of {scope}" for scope in ("the run", "a host", "a variable")),
        *(f"run in the end {state}" for state in ("succeeded", "failed", "rolled_back", "rollback_incomplete")),
        *(f"exit code in the end {code}" for code in (0, 1, 3, 4)),
        *(
            f"node in the end {state}"
            for state in ("succeeded", "unchanged", "failed", "blocked", "skipped", "pending")
        ),
        *(f"node in the end {state}" for state in ("unknown", "reverted", "revert_failed")),
        *(f"execute in the end {state}" for state in ("succeeded", "failed", "unreachable", "unknown")),
        *(f"revert in the end {state}" for state in ("succeeded", "failed", "unreachable", "unknown")),
        "30 steps on 20 hosts",
    ),
}


class Seeds:
    """Every second seed.

    Args:
        first: 0 or 1.

    Attributes:
        tally: What happened in those that were played, and how often.
    """

    def __init__(self, first: int) -> None:
        self.tally: Counter[str] = Counter()
        self._first = first
        self._played: set[int] = set()
        self._ledger = Ledger()

    def play(self, chunk: int) -> None:
        """Play some of them, if they have not been."""
        if chunk in self._played:
            return
        for seed in range(self._first + 2 * chunk, SEEDS, 2 * CHUNKS):
            play = Play(seed, self._ledger)
            try:
                play.run()
            except BaseException as error:
                error.add_note(f"make simulate SEED={seed}")
                raise
            self.tally += play.ground.tally
        self._played.add(chunk)

    def missing(self) -> list[str]:
        """What has happened in none of them."""
        for chunk in range(CHUNKS):
            self.play(chunk)
        return [kind for kinds in KINDS.values() for kind in kinds if not self.tally[kind]]
