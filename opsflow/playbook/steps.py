"""From a `[[step]]` of a file to the model's step."""

from typing import Any

from opsflow.errors import Position
from opsflow.model import SCOPE_RUN, Irreversible, Need, OnFailure, OnUnknown, Retry, Step
from opsflow.playbook.schema import Common, NeedTable, RetryTable, StepTable


def step_of(
    table: StepTable, defaults: Common, rollback_scope: str, source: Position, positions: dict[str, Position]
) -> Step:
    """A step; `rollback_scope`: where neither it nor the defaults name one."""
    own = {name: getattr(table, name) for name in table.model_fields_set - {"skip_depth", "include"}}
    said: dict[str, Any] = {"rollback_scope": rollback_scope}
    said |= {name: getattr(defaults, name) for name in defaults.model_fields_set} | own
    converted: dict[str, Any] = {
        "needs": needs_of(table),
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


def needs_of(table: StepTable) -> tuple[Need, ...] | None:
    """What an entry says that it needs; None: nothing is said."""
    return None if table.needs is None else tuple(map(_need, table.needs))


def _user(become: bool | str | None) -> str | None:  # noqa: FBT001 - as the file has it
    return ("root" if become else "") if isinstance(become, bool) else become


def _need(table: NeedTable) -> Need:
    return Need(step=table.step, per=table.per, optional=table.optional)


def _retry(table: RetryTable) -> Retry:
    lists = [values for values in table.vary.values() if isinstance(values, list)]
    # Where only a template says how many values there are, it is known when that is rendered.
    attempts = len(lists[0]) if lists else 0 if table.vary else 1
    return Retry(**dict(table) | {"attempts": table.attempts or attempts})
