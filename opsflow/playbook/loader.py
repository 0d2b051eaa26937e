"""Reads a playbook file into the model, or says everything that is wrong with it."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from opsflow.errors import Problem
from opsflow.model import SCOPE_RUN, InputSpec, Part, Playbook, Rollout
from opsflow.playbook.checks import consistency
from opsflow.playbook.including import Included, included
from opsflow.playbook.lenient import without_wrong_values
from opsflow.playbook.placement import advice, misplaced_variables
from opsflow.playbook.schema import PlaybookFile, RolloutTable
from opsflow.playbook.steps import needs_of, step_of
from opsflow.tomlfile import TomlFile, border_problems, did_you_mean, project_directory, raise_problems, read


def load(path: Path) -> Playbook:
    """Read a playbook.

    Raises:
        InputError: something is wrong with it; carries all problems, each with its place, in file order.
    """
    found, problems = examine(path)
    raise_problems(problems)
    assert found is not None
    return found


def examine(
    path: Path, above: tuple[Path, ...] = (), rollback_scope: str = ""
) -> tuple[Playbook | None, list[Problem]]:
    """A playbook as far as it can be understood, unknown keys left out, and all that is wrong with it.

    Args:
        path: Its file.
        above: The files that include it, the first one first.
        rollback_scope: The first one's, where nothing else is said; empty: this is the first one.

    Raises:
        InputError: it cannot be read at all.
    """
    file = read(path)
    problems: list[Problem] = [*file.problems(), *consistency(file), *misplaced_variables(file)]
    content = None
    try:
        content = PlaybookFile.model_validate(file.data)
    except ValidationError as error:
        problems += border_problems(file, PlaybookFile, error, partial(advice, file))
        with suppress(ValidationError):
            content = PlaybookFile.model_validate(without_wrong_values(file.data, error), extra="ignore")
    # With a slash in its id, which `consistency` tells, an entry would be taken for one within another.
    if content is None or any("/" in table.id for table in content.step if table.include is not None):
        return None, problems
    scope = rollback_scope or (content.rollout.by if content.rollout else SCOPE_RUN)
    reading = _Reading(file=file, content=content, files=(*above, path), rollback_scope=scope)
    entries = list(reading.entries())
    problems += [problem for entry in entries for problem in entry.problems]
    problems += reading.inner_needs(entries)
    if above and content.rollout:
        hint = "only the playbook that includes all others goes in batches: put it there"
        problems.append(file.problem(("rollout",), "`[rollout]` in an included playbook", hint))
    return _playbook(path, file, content, entries), problems


def _playbook(path: Path, file: TomlFile, content: PlaybookFile, entries: Sequence[Included]) -> Playbook:
    return Playbook(
        name=content.name or path.stem,
        description=content.description,
        flow=content.flow,
        inputs=tuple(
            InputSpec(name=name, source=file.position(("inputs", name)), **dict(table))
            for name, table in content.inputs.items()
        ),
        vars=content.vars,
        rollout=_rollout(content.rollout, file) if content.rollout else None,
        steps=tuple(step for entry in entries for step in entry.steps),
        parts=tuple(part for entry in entries for part in entry.parts),
        path=str(path),
        directory=str(project_directory(path)),
        digest=file.digest,
    )


def _rollout(table: RolloutTable, file: TomlFile) -> Rollout:
    return Rollout(
        by=table.by,
        hosts=table.hosts or "",
        batches=tuple(table.batches),
        max_failures=table.max_failures,
        pause=0.0 if table.pause == "approve" else table.pause,
        approve=table.pause == "approve",
        positions={key: file.position(("rollout", key)) for key in RolloutTable.known_keys()},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """The steps of a file, and what it includes.

    Attributes:
        file, content: The file, and what it says.
        files: Those that include it, and it.
        rollback_scope: Of steps that name none.
    """

    file: TomlFile
    content: PlaybookFile
    files: tuple[Path, ...]
    rollback_scope: str

    def entries(self) -> Iterator[Included]:
        """What stands in the place of each entry."""
        places = self.file.positions_below("step")
        defaults = self.content.defaults
        for index, table in enumerate(self.content.step):
            source = self.file.position(("step", index))
            if table.include is None:
                yield Included(steps=(step_of(table, defaults, self.rollback_scope, source, places[index]),))
                continue
            entry = Part(
                id=table.id,
                given=table.vars,
                when=table.when,
                hosts=table.hosts if "hosts" in places[index] else "",
                needs=needs_of(table),
                per=next((said.per for said in (table, defaults) if "per" in said.model_fields_set), None),
                source=source,
                positions=places[index],
            )
            found = included(table.include, entry, self.file, ("step", index), above=self.files, read=self._read)
            yield replace(found, steps=tuple(replace(s, tags=(*s.tags, *table.tags)) for s in found.steps))

    def inner_needs(self, entries: Sequence[Included]) -> Iterator[Problem]:
        """Needs of steps of included playbooks that these have not."""
        known = {step.id for entry in entries for step in entry.steps}
        known |= {part.id for entry in entries for part in entry.parts}
        for index, table in enumerate(self.content.step):
            for number, need in enumerate(table.needs or ()):
                if "/" in need.step and need.step.partition("/")[0] in known and need.step not in known:
                    where = ("step", index, "needs", number)
                    yield self.file.problem(where, f"there is no step `{need.step}`", did_you_mean(need.step, known))

    def _read(self, path: Path) -> tuple[Playbook | None, list[Problem]]:
        return examine(path, self.files, self.rollback_scope)
