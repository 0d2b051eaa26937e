"""What a run that may die at any moment rests on: taken away, some seed shows it."""

from dataclasses import dataclass

_FENCE = """\
    if connection.execute(_FENCE, row).rowcount == 1:
        return False
"""
_STATES = "    if changed and connection.execute(query, changed).rowcount != len(changed):\n"


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One thing taken away.

    Attributes:
        name: What it is.
        edits: Files of the package, or of the simulated hosts, with what stands there and what is to stand there.
        first: The first seed that is played; one that shows it is not far.
        seeds: So many from there show that it is gone.
    """

    name: str
    edits: tuple[tuple[str, str, str], ...]
    first: int = 0
    seeds: int = 1500


MUTANTS = (
    Mutant(
        name="that a writer must still have its run",
        edits=(("opsflow/journal/writer.py", _FENCE, "    return False\n"),),
    ),
    Mutant(
        # Alone, the states of rows are a second line of defence: with the first, nothing gets as far.
        name="that a row must be in the state that it is changed from, and that a writer must still have its run",
        edits=(
            ("opsflow/journal/writer.py", _FENCE, "    return False\n"),
            ("opsflow/journal/writer.py", _STATES, "    if changed and connection.execute(query, changed) is None:\n"),
        ),
    ),
    Mutant(
        name="that a commit that was reported as failed may have happened",
        edits=(("opsflow/journal/writer.py", "    if again and owner.token", "    if False and owner.token"),),
    ),
    Mutant(
        name="that an intent is durable before its job begins",
        edits=(("opsflow/engine/loop.py", "patient=self._looking() and not acts and not self._stop.requested", "patient=True"),),
    ),
    Mutant(
        name="that a replay is answered from the record",
        edits=(("opsflow/engine/trail.py", 'return kept["value"] if "value" in kept else look()', "return look()"),),
    ),
    Mutant(
        name="that what is reverted has ended before",
        edits=(("opsflow/engine/work.py", "        ctx.fence()\n        task.revert", "        task.revert"),),
        first=850,
    ),
    Mutant(
        name="that a scope that is rolled back goes forward no more",
        edits=(("opsflow/engine/rollback.py", "        if not self._closed or node in", "        if True or node in"),),
    ),
    Mutant(
        name="that an attempt of unknown fate is not made once more",
        edits=(("opsflow/engine/forward.py", "and may_repeat(self._run, attempt)", ""), ("opsflow/engine/forward.py", "rule is OnUnknown.RERUN", "True")),
        first=270,
    ),
    Mutant(
        name="that what failed waits while what it needs is rolled back",
        edits=(("opsflow/engine/resume.py", "        if node_id not in stay:\n", "        if True:\n"),),
        first=830,
    ),
    Mutant(
        name="that reverts go in reverse order",
        edits=(("opsflow/engine/graph.py", "        return not self._after.get(node)\n", "        return True\n"),),
    ),
    Mutant(
        name="that what is not waited for any more does not keep the engine awake",
        edits=(("opsflow/engine/loop.py", "        if not self._stop.requested:  #", "        if True:  #"),),
    ),
    Mutant(
        name="that a writer's number is its own",
        edits=(("opsflow/journal/store.py", "if held := self._held.get(run_id):", "if held := None:"),),
        seeds=3000,
    ),
    Mutant(
        name="that only what may have changed something is reverted",
        edits=(("opsflow/engine/run.py", "AttemptState.FAILED, AttemptState.UNKNOWN})", "AttemptState.FAILED, AttemptState.UNKNOWN, AttemptState.UNREACHABLE})"),),
    ),
    Mutant(
        name="that the newest attempt is reverted first",
        edits=(("opsflow/engine/rollback.py", "to_revert()[0]", "to_revert()[-1]"),),
    ),
    Mutant(
        name="that an attempt that began and was cut off is not one that never began",
        edits=(("opsflow/engine/work.py", "Verdict.UNKNOWN if begun else Verdict.UNREACHABLE", "Verdict.UNREACHABLE"),),
    ),
    Mutant(
        name="that a run that is over lets its hosts go",
        edits=(("opsflow/engine/conclude.py", "frees=not _holds_hosts(run, event)", "frees=False"),),
    ),
    Mutant(
        name="that whoever comes first starts an operation, and everybody later attaches",
        edits=(("simulation/sim_hosts.py", "        if op.id in self.gates:\n", "        if False:\n"),),
    ),
    Mutant(
        name="that a host refuses what was fenced, and owners that have lost the run",
        edits=(("simulation/sim_hosts.py", "        if claim != self._claim or op.record in self._fenced:\n", "        if False:\n"),),
    ),
)  # fmt: skip
