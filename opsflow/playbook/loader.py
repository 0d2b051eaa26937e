"""Reads a playbook file into the model, or says everything that is wrong with it."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from opsflow.errors import Position, Problem
from opsflow.model import SCOPE_RUN, InputSpec, Irreversible, Need, OnFailure, OnUnknown, Playbook, Retry, Rollout, Step
from opsflow.playbook.checks import consistency
from opsflow.playbook.placement import advice, misplaced_variables
from opsflow.playbook.schema import Common, NeedTable, PlaybookFile, RetryTable, RolloutTable, StepTable
from opsflow.tomlfile import TomlFile, border_problems, project_directory, raise_problems, read


def load(path: Path) -> Playbook:
    """Read a playbook.

    Raises:
        InputError: something is wrong with it; carries all problems, each with its place, in file order.
    """
    found, problems = examine(path)
    raise_problems(problems)
    assert found is not None
    return found


def examine(path: Path) -> tuple[Playbook | None, list[Problem]]:
    """A playbook as far as it can be understood, unknown keys left out, and all that is wrong with it.

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
            content = PlaybookFile.model_validate(file.data, extra="ignore")
    return (_playbook(path, file, content) if content else None), problems


def _playbook(path: Path, file: TomlFile, content: PlaybookFile) -> Playbook:
    positions = file.positions_below("step")
    scope = content.rollout.by if content.rollout else SCOPE_RUN
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
        steps=tuple(
            _step(table, content.defaults, scope, file.position(("step", index)), positions[index])
            for index, table in enumerate(content.step)
        ),
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


def _step(
    table: StepTable, defaults: Common, rollback_scope: str, source: Position, positions: dict[str, Position]
) -> Step:
    """A step; `rollback_scope`: where neither it nor the defaults name one."""
    own = {name: getattr(table, name) for name in table.model_fields_set - {"skip_depth"}}
    said: dict[str, Any] = {"rollback_scope": rollback_scope}
    said |= {name: getattr(defaults, name) for name in defaults.model_fields_set} | own
    converted: dict[str, Any] = {
        "needs": None if table.needs is None else tuple(map(_need, table.needs)),
        "tags": tuple(table.tags),
        "skips_all": table.skip_depth == "all",
        "foreach": tuple(table.foreach) if isinstance(table.foreach, list) else table.foreach,
        "retry": _retry(said.get("retry", table.retry)),
        "on_failure": OnFailure(said.get("on_failure", table.on_failure)),
        "on_unknown": OnUnknown(said.get("on_unknown", table.on_unknown)),
        "irreversible": Irreversible(table.irreversible),
        "become": _user(said.get("become")),
    }
    if table.at_end:
        # Whatever the defaults say: it is not rolled back.
        asked = OnUnknown.ASK if converted["on_unknown"] is OnUnknown.REVERT else converted["on_unknown"]
        converted |= {"rollback_scope": SCOPE_RUN, "on_unknown": asked}
    return Step(**said | converted, source=source, positions=positions)


def _user(become: bool | str | None) -> str | None:  # noqa: FBT001 - as the file has it
    return ("root" if become else "") if isinstance(become, bool) else become


def _need(table: NeedTable) -> Need:
    return Need(step=table.step, per=table.per, optional=table.optional)


def _retry(table: RetryTable) -> Retry:
    lists = [values for values in table.vary.values() if isinstance(values, list)]
    # Where only a template says how many values there are, it is known when that is rendered.
    attempts = len(lists[0]) if lists else 0 if table.vary else 1
    return Retry(**dict(table) | {"attempts": table.attempts or attempts})
