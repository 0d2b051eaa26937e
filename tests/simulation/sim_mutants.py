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
        edits: Files below `opsflow`, with what stands there and what is to stand there.
        seeds: So many from the first show that it is gone.
    """

    name: str
    edits: tuple[tuple[str, str, str], ...]
    seeds: int = 1500


MUTANTS = (
    Mutant(
        name="that a writer must still have its run",
        edits=(("journal/writer.py", _FENCE, "    return False\n"),),
    ),
    Mutant(
        # Alone, the states of rows are a second line of defence: with the first, nothing gets as far.
        name="that a row must be in the state that it is changed from, and that a writer must still have its run",
        edits=(
            ("journal/writer.py", _FENCE, "    return False\n"),
            ("journal/writer.py", _STATES, "    if changed and connection.execute(query, changed) is None:\n"),
        ),
    ),
    Mutant(
        name="that a commit that was reported as failed may have happened",
        edits=(("journal/writer.py", "    if again and owner.token", "    if False and owner.token"),),
    ),
    Mutant(
        name="that an intent is durable before its job begins",
        edits=(("engine/loop.py", "patient=self._looking() and not acts and not self._stop.requested", "patient=True"),),
    ),
    Mutant(
        name="that a replay is answered from the record",
        edits=(("engine/trail.py", 'return kept["value"] if "value" in kept else look()', "return look()"),),
    ),
    Mutant(
        name="that what is reverted has ended before",
        edits=(("engine/work.py", "        ctx.fence()\n        task.revert", "        task.revert"),),
    ),
    Mutant(
        name="that a scope that is rolled back goes forward no more",
        edits=(("engine/rollback.py", "        if not self._closed or node in", "        if True or node in"),),
    ),
    Mutant(
        name="that an attempt of unknown fate is not made once more",
        edits=(("engine/forward.py", "and may_repeat(self._run, attempt)", ""), ("engine/forward.py", "rule is OnUnknown.RERUN", "True")),
    ),
    Mutant(
        name="that what failed waits while what it needs is rolled back",
        edits=(("engine/resume.py", "        if node_id not in stay:\n", "        if True:\n"),),
        seeds=6000,
    ),
    Mutant(
        name="that reverts go in reverse order",
        edits=(("engine/graph.py", "        return not self._after.get(node)\n", "        return True\n"),),
    ),
    Mutant(
        name="that what is not waited for any more does not keep the engine awake",
        edits=(("engine/loop.py", "        if not self._stop.requested:  #", "        if True:  #"),),
    ),
)  # fmt: skip
