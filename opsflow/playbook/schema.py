"""What a playbook file may say. Only the loader knows these classes; inside, playbooks are `opsflow.model`."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from opsflow.model import LOCALHOST, Turn
from opsflow.tomlfile import Border
from opsflow.units import Duration, parse_duration

InputType = Literal["string", "integer", "number", "boolean", "list", "table"]
Text = Annotated[str, Field(min_length=1)]
PositiveDuration = Annotated[Duration, Field(gt=0)]
ON_CONTROLLER = ("approve", "notify")
"""Tasks of the control machine, done once unless a step says where."""

_EXPRESSION = re.compile(r"\s*\{\{(?:(?!\}\}).)*\}\}\s*", re.DOTALL)
_PERCENT = re.compile(r"(\d{1,3})%")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")


class RetryTable(Border):
    """`retry`: how often an attempt is made, how long to wait between two, and what differs."""

    attempts: int | None = Field(None, ge=1)
    delay: Duration = 0.0
    backoff: float = Field(1.0, ge=1)
    max_delay: Duration = 60.0
    vary: dict[str, Any] = Field(default_factory=dict)
    revert_between: bool = False

    @field_validator("vary")
    @classmethod
    def _lists(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not value:
            raise ValueError("must name a variable and its values")
        for name, values in value.items():
            if not isinstance(values, list) and not (isinstance(values, str) and _EXPRESSION.fullmatch(values)):
                raise ValueError(f"must be lists, or templates that yield one: `{name}` is neither")
        if literal := {name: values for name, values in value.items() if isinstance(values, list)}:
            try:
                Turn.at(0, literal)
            except ValueError as error:
                raise ValueError(f"is wrong: {error}") from error
        return value

    @model_validator(mode="after")
    def _has_a_between(self) -> "RetryTable":
        if self.revert_between and self.attempts in {None, 1} and not self.vary:
            raise ValueError("has `revert_between` and only one attempt: say `attempts` or `vary`, too")
        return self


class NeedTable(Border):
    """An entry of `needs`: a step's id, or a table that says more."""

    step: Text
    per: Text | None = None
    optional: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_id(cls, value: Any) -> Any:
        if not isinstance(value, str | dict):
            raise ValueError("must be a step's id or a table")  # noqa: TRY004 - pydantic reports ValueErrors
        return {"step": value} if isinstance(value, str) else value


class InputTable(Border):
    """`[inputs.NAME]`: something that the caller gives."""

    type: InputType = "string"
    required: bool = False
    default: Any = None
    description: str = ""


class Common(Border):
    """What `[defaults]` says for every step and a step may say itself; then all of its own value counts."""

    timeout: PositiveDuration | None = None
    retry: RetryTable = RetryTable()
    per: Text = "all"
    on_failure: Literal["rollback", "halt", "continue"] = "rollback"
    rollback_scope: Text = "run"
    on_unknown: Literal["ask", "rerun", "revert"] = "ask"
    become: bool | str | None = None

    @field_validator("become", mode="plain")
    @classmethod
    def _become(cls, value: Any) -> bool | str:
        if isinstance(value, bool) or (isinstance(value, str) and _USER.fullmatch(value)):
            return value
        raise ValueError("must be true (root), false or the name of a user")


class StepTable(Common):
    """`[[step]]`: one line of the procedure."""

    id: Text
    include: Text | None = None
    task: Text
    hosts: Text
    params: dict[str, Any] = Field(default_factory=dict, alias="with")
    needs: list[NeedTable] | None = None
    when: Text | None = None
    skip_depth: Literal["node", "all"] = "node"
    foreach: list[Any] | str | None = None
    run_once: bool | str = False
    on: Text = ""
    at_once: int | None = Field(None, ge=1)
    revert_timeout: PositiveDuration | None = None
    irreversible: Literal["stop", "allow"] = "stop"
    tags: list[Text] = Field(default_factory=list)
    vars: dict[str, Any] = Field(default_factory=dict)
    notes: str = ""
    at_end: bool = Field(default=False, alias="finally")

    @model_validator(mode="before")
    @classmethod
    def _where(cls, value: Any) -> Any:
        if isinstance(value, dict) and "include" in value:  # it has neither; that others are told is the checks' part
            return {"task": "include", "hosts": LOCALHOST, **value}
        alone = isinstance(value, dict) and str(value.get("task")) in ON_CONTROLLER and "hosts" not in value
        return {**value, "hosts": LOCALHOST} if alone else value

    @field_validator("run_once", mode="plain")
    @classmethod
    def _run_once(cls, value: Any) -> bool | str:
        if isinstance(value, bool) or (isinstance(value, str) and value):
            return value
        raise ValueError("must be true, false or the name of a variable")

    @field_validator("foreach", mode="plain")
    @classmethod
    def _items(cls, value: Any) -> Any:
        if isinstance(value, list) or (isinstance(value, str) and _EXPRESSION.fullmatch(value)):
            return value
        raise ValueError("must be a list, or a template that yields one")

    @field_validator("when")
    @classmethod
    def _bare_expression(cls, value: str | None) -> str | None:
        if value and ("{{" in value or "{%" in value):
            raise ValueError("is an expression already: write it without braces")
        return value


_Size = Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^(100|[1-9][0-9]?)%$")]
_Bearable = Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^(100|[1-9]?[0-9])%$")]


class RolloutTable(Border):
    """`[rollout]`: the fleet in batches, one after the other."""

    by: Text
    hosts: Text | None = None
    batches: list[int | str] = Field(min_length=1)
    max_failures: int | str = 0
    pause: float | Literal["approve"] = 0.0

    @field_validator("batches", mode="plain", json_schema_input_type=Annotated[list[_Size], Field(min_length=1)])
    @classmethod
    def _sizes(cls, value: Any) -> list[int | str]:
        if not isinstance(value, list) or not value or not all(_is_share(size, least=1) for size in value):
            raise ValueError('must be a list of sizes: numbers of units from 1 on, or percentages like "25%"')
        return value

    @field_validator("max_failures", mode="plain", json_schema_input_type=_Bearable)
    @classmethod
    def _bearable(cls, value: Any) -> int | str:
        if not _is_share(value, least=0):
            raise ValueError('must be a number of units, or a percentage like "5%"')
        assert isinstance(value, int | str)
        return value

    @field_validator("pause", mode="plain", json_schema_input_type=Duration | Literal["approve"])
    @classmethod
    def _time_or_approval(cls, value: Any) -> float | str:
        if value == "approve":
            return "approve"
        try:
            return parse_duration(value)
        except ValueError as error:
            raise ValueError('must be a time like "30s", or "approve"') from error

    @model_validator(mode="after")
    def _which_hosts(self) -> "RolloutTable":
        if self.by == "host" and self.hosts is None:
            raise ValueError('is by = "host": say which, with `hosts = PATTERN`')
        if self.by != "host" and self.hosts is not None:
            raise ValueError(f'is by = "{self.by}", of which each value is a unit: `hosts` goes with by = "host" only')
        return self


def _is_share(value: Any, *, least: int) -> bool:
    """Whether a value is a number of units, or a percentage of them."""
    if isinstance(value, str):
        found = _PERCENT.fullmatch(value)
        return found is not None and least <= int(found[1]) <= 100
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


class PlaybookFile(Border):
    """A whole playbook."""

    name: Text | None = None
    description: str = ""
    flow: Literal["linear", "graph", "unordered"] = "linear"
    inputs: dict[str, InputTable] = Field(default_factory=dict)
    vars: dict[str, Any] = Field(default_factory=dict)
    defaults: Common = Common()
    rollout: RolloutTable | None = None
    step: list[StepTable] = Field(min_length=1)
