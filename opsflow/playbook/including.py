"""Included playbooks: their steps take the place of the entry that includes them, and bear its id before theirs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from opsflow.errors import InputError, Problem
from opsflow.model import Need, Part, Playbook, Step
from opsflow.playbook.inputs import misfit
from opsflow.tomlfile import KeyPath, TomlFile, did_you_mean, local_path

Read = Callable[[Path], tuple[Playbook | None, list[Problem]]]
"""Reads a playbook as far as it can be understood; see `loader.examine`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Included:
    """What an entry stands for.

    Attributes:
        steps: Those of the playbook that it names, and of those that that includes.
        parts: That playbook, and those.
        problems: What is wrong with it, and with what it is given.
    """

    steps: tuple[Step, ...] = ()
    parts: tuple[Part, ...] = ()
    problems: list[Problem] = field(default_factory=list)


def included(name: str, entry: Part, file: TomlFile, where: KeyPath, *, above: Sequence[Path], read: Read) -> Included:
    """Read an included playbook.

    Args:
        name: Its path, as the entry says it: a relative one begins where the including file is.
        entry: The entry.
        file: The including file.
        where: Where in it the entry stands.
        above: The files that include it, the first one first.
        read: Reads it.
    """
    said = (*where, "include")
    path = local_path(Path(file.path).parent, name)
    try:
        *files, resolved = [found.resolve() for found in (*above, path)]
    except (RuntimeError, ValueError) as error:  # links in a circle, a zero byte
        return Included(problems=[file.problem(said, f"{name!r} is no path: {error}")])
    if resolved in files:
        circle = " → ".join(found.name for found in (*above[files.index(resolved) :], path))
        problem = file.problem(said, f"playbooks include one another in a circle: {circle}", "take one of these out")
        return Included(problems=[problem])
    try:
        playbook, problems = read(path)
    except InputError as error:
        return Included(problems=[p if p.position else file.problem(said, p.message, p.hint) for p in error.problems])
    if playbook is None:
        return Included(problems=problems)
    return Included(
        steps=tuple(_moved_step(step, entry) for step in playbook.steps),
        parts=(
            replace(
                entry,
                flow=playbook.flow,
                vars=playbook.vars,
                inputs={spec.name: spec.default for spec in playbook.inputs if spec.default is not None},
            ),
            *(replace(part, id=f"{entry.id}/{part.id}", needs=_moved(part.needs, entry.id)) for part in playbook.parts),
        ),
        problems=[*problems, *_given(playbook, name, entry, file, where)],
    )


def _moved_step(step: Step, entry: Part) -> Step:
    part = f"{entry.id}/{step.part}" if step.part else entry.id
    when = "true" if entry.when and step.when is None else step.when  # as the entry says
    return replace(step, id=f"{entry.id}/{step.id}", part=part, when=when, needs=_moved(step.needs, entry.id))


def _moved(needs: tuple[Need, ...] | None, entry: str) -> tuple[Need, ...] | None:
    return needs if needs is None else tuple(replace(need, step=f"{entry}/{need.step}") for need in needs)


def _given(playbook: Playbook, name: str, entry: Part, file: TomlFile, where: KeyPath) -> Iterator[Problem]:
    """What is wrong with the inputs of an included playbook."""
    specs = {spec.name: spec for spec in playbook.inputs}
    for given, value in entry.given.items():
        place = (*where, "vars", given)
        if given not in specs:
            known = f"it has: {', '.join(specs)}" if specs else "it has none: name them below [inputs] there"
            yield file.problem(place, f"{name} has no input `{given}`", did_you_mean(given, specs) or known)
        elif wrong := misfit(value, specs[given].type):
            yield file.problem(place, f"input `{given}` of {name} {wrong}")
    for spec in playbook.inputs:
        if spec.required and spec.name not in entry.given:
            told = f" ({spec.description.rstrip('.')})" if spec.description else ""
            hint = f"give it: vars = {{ {spec.name} = ... }}{told}"
            yield file.problem((*where, "include"), f"{name} requires the input `{spec.name}`", hint)
