"""Plans in files: what `plan --out` writes and `apply --plan` runs, if nothing is different then."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from opsflow import __version__
from opsflow.app.changes import Changes
from opsflow.app.origins import sources
from opsflow.durable import replaced
from opsflow.errors import Difference, InputError, PlanDrift, Position, Problem
from opsflow.events import NodePlanned
from opsflow.model import Action
from opsflow.plan import Plan, decisive, fingerprint

_FORMAT = "opsflow-plan-1"
_MAY_CHANGE = frozenset({Action.CHANGE, Action.UNKNOWN, Action.FAIL})


class _File(BaseModel):
    """The file. `actions`: what the preview said, by node."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: str
    opsflow: str
    made: str
    operator: str
    plan: dict[str, Any]
    actions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan, and what its preview said.

    Attributes:
        file: Where it is.
        plan: The plan.
        actions: By node.
    """

    file: Path
    plan: Plan
    actions: Mapping[str, Action]

    @property
    def anchor(self) -> Path:
        """A path in the directory of its project; one in the current directory if that is not there any more."""
        directory = Path(self.plan.playbook.directory)
        return (directory if directory.is_dir() else Path.cwd()) / "-"

    def refuse_changes(self, changes: Changes) -> None:
        """Refuse to run it if its files say something else now. Raises `PlanDrift`."""
        if changes.differences:
            raise PlanDrift(
                f"what {self.file} was planned from says something else now",
                differences=changes.differences,
                hint=self._anew,
            )

    def refuse_other_actions(self, planned: Sequence[NodePlanned]) -> None:
        """Refuse to run it on hosts that are not as it found them.

        A node that comes after a change is judged on its turn: of the others the action must be the one that was saved.

        Raises:
            PlanDrift: some are not.
        """
        changing = [node.node for node in planned if node.action in _MAY_CHANGE]
        after = self.plan.after(changing)
        found: dict[tuple[Action, Action], list[str]] = {}
        for node in planned:
            before = self.actions.get(node.node, Action.UNKNOWN)
            if node.node not in after and node.action is not before:
                found.setdefault((before, node.action), []).append(node.node)
        if found:
            differences = [
                Difference(what="node", names=tuple(nodes), change="changed", key="action", before=before, after=now)
                for (before, now), nodes in found.items()
            ]
            raise PlanDrift(
                f"the hosts are not as they were when {self.file} was made", differences=differences, hint=self._anew
            )

    @property
    def _anew(self) -> str:
        origin = self.plan.origin
        assert origin is not None  # without it there would be nothing to compare it with
        playbook, inventory, extra = sources(origin, Path(self.plan.playbook.directory))
        command = shlex.join(["opsflow", "plan", str(playbook), "-i", inventory, *origin.selection.words()])
        return f"look again, and save anew: {command}{' -e ...' if extra else ''} --out {shlex.quote(str(self.file))}"


def save(file: Path, plan: Plan, planned: Sequence[NodePlanned], operator: str) -> None:
    """Write a plan down, for its owner only: variables may be secret. What was in the file is replaced.

    Raises:
        InputError: it cannot be written.
    """
    content = _File(
        format=_FORMAT,
        opsflow=__version__,
        made=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        operator=operator,
        plan=plan.to_json(),
        actions={node.node: node.action.value for node in planned},
    )
    try:
        with replaced(file) as stream:
            stream.write(json.dumps(content.model_dump()).encode())
    except OSError as error:
        raise InputError(f"{file}: the plan cannot be saved there: {error.strerror}") from error


def saved_plan(file: Path) -> SavedPlan:
    """Read what `save` wrote.

    Raises:
        InputError: there is no such file, it is no saved plan, another version saved it, or somebody edited it.
    """
    hint = f"make it with: opsflow plan PLAYBOOK -i INVENTORY --out {file}"
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}", hint=hint) from error
    except json.JSONDecodeError as error:
        position = Position(file=str(file), line=error.lineno, column=error.colno)
        problem = Problem(message=f"not a saved plan: not JSON: {error.msg}", position=position)
        raise InputError([problem], hint=hint) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{file}: not a saved plan", hint=hint) from error
    if not isinstance(data, dict) or not str(data.get("format")).startswith("opsflow-plan-"):
        raise InputError(f"{file}: not a saved plan", hint=hint)
    if data["format"] != _FORMAT or data.get("opsflow") != __version__:
        who = f"opsflow {data.get('opsflow')}"
        raise InputError(
            f"{file}: {who} saved this plan, and this is opsflow {__version__}", hint=f"run it with that one, or {hint}"
        )
    try:
        found = _File.model_validate(data)
        plan = Plan.from_json(found.plan)
        actions = {node: Action(action) for node, action in found.actions.items()}
    except (ValidationError, ValueError) as error:
        raise InputError(f"{file}: not a saved plan, or not all of it", hint=hint) from error
    if plan.origin is None or fingerprint(decisive(plan)) != plan.fingerprint or actions.keys() != plan.by_id.keys():
        raise InputError(f"{file}: this plan was edited after it was saved", hint=hint)
    return SavedPlan(file=file, plan=plan, actions=actions)
