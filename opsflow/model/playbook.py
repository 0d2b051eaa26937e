"""A playbook as data: what the loader makes of the file, and what the plan stores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opsflow.errors import Position
from opsflow.model.states import Irreversible, OnFailure, OnUnknown

PER_ALL = "all"
PER_HOST = "host"
PER_ITEM = "item"
SCOPE_RUN = "run"
SCOPE_HOST = "host"
RESERVED_NAMES = frozenset({"host", "outputs", "steps", "item", "now"})
"""What templates see beside variables. No variable or input can have these names."""

PART = "part of"
"""Beside variables: id of the included playbook whose they are, so that its templates mean its own steps."""

WHEN = "only when"
"""Beside variables: the condition of the entry that includes their playbook, `scoped`."""

_SCOPED = "value, variables"


def scoped(value: Any, variables: Mapping[str, Any]) -> dict[str, Any]:
    """A variable whose templates see other variables, as data."""
    return {_SCOPED: [value, variables]}


def where_scoped(value: Any) -> tuple[Any, Mapping[str, Any]] | None:
    """What `scoped` was given; None: it is any other value."""
    match value:
        case {"value, variables": [inner, Mapping() as variables]} if len(value) == 1:
            return inner, variables
    return None


def conditions(variables: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The conditions of the entries that include a step's playbook, with what each sees; outermost first."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    while said := where_scoped(variables.get(WHEN)):
        found.insert(0, said)
        variables = said[1]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A step that must be through first.

    Attributes:
        step: Its id.
        per: `all`, `host` or a variable's name; None takes the needing step's.
        optional: No error if it matches no node.
    """

    step: str
    per: str | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often an attempt is made, and how long to wait between two (seconds; jitter of up to half is taken off).

    Attributes:
        attempts: 0: as many as the lists of `vary` have values.
        vary: Variables of which each attempt gets the next value: lists, or templates that yield them.
        revert_between: A failed attempt is reverted before the next one begins.
    """

    attempts: int = 1
    delay: float = 0.0
    backoff: float = 1.0
    max_delay: float = 60.0
    vary: Mapping[str, Any] = field(default_factory=dict)
    revert_between: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of the procedure.

    Attributes:
        id: Unique within the playbook.
        task: Name of the task that does it.
        hosts: Pattern of the hosts it runs on.
        params: What stands under `with`, templates not rendered.
        needs: None means "as `flow` says": the step before, or nothing.
        when: Jinja expression; a false one skips the node.
        skips_all: `skip_depth = "all"`: what needs a node that is skipped by `when` is skipped, too.
        foreach: Items, or a template that yields them; on each host there is a node for each. None: just one.
        on: Pattern of the one host on which its commands run, or a template of it; empty: on the node's own.
        run_once: True: one node on the first host; a variable's name: one per value.
        at_once: At most this many nodes of the step at a time, reverts too.
        become: The user as whom it is done, hooks that only look too; empty: who is logged in; None: as its host says.
        timeout: Seconds for one attempt of execute. `revert_timeout`: the same for reverts.
        vars: Variables of this step.
        part: Id of the included playbook that it is a step of; empty: of none.
        at_end: `finally`: it runs when nothing else is left, whatever came of the run.
        source: Where the step begins in its file.
        positions: Where each of its keys stands, by dotted path (`hosts`, `with.engine`).
    """

    id: str
    task: str
    hosts: str
    params: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[Need, ...] | None = None
    when: str | None = None
    skips_all: bool = False
    foreach: str | tuple[Any, ...] | None = None
    per: str = PER_ALL
    on: str = ""
    run_once: bool | str = False
    at_once: int | None = None
    timeout: float | None = None
    revert_timeout: float | None = None
    retry: Retry = Retry()
    on_failure: OnFailure = OnFailure.ROLLBACK
    rollback_scope: str = SCOPE_RUN
    on_unknown: OnUnknown = OnUnknown.ASK
    irreversible: Irreversible = Irreversible.STOP
    become: str | None = None
    tags: tuple[str, ...] = ()
    vars: Mapping[str, Any] = field(default_factory=dict)
    notes: str = ""
    at_end: bool = False
    part: str = ""
    source: Position | None = None
    positions: Mapping[str, Position] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An included playbook: what its steps see and what they wait for. Its steps bear its id before theirs.

    Attributes:
        id: That of the entry that includes it.
        flow, vars: Its own.
        inputs: The defaults of its inputs.
        given: Its inputs, from the entry's `vars`: templates of the playbook that includes it.
        when: Of the entry: where it is false, all steps are skipped. It sees what those beside it see.
        hosts: Of the entry: pattern of the hosts on which its steps run, of those that they name; empty: on all.
        needs: Of the entry, as of a step: what its first steps wait for.
        per: Of the entry; None: each of its first steps has its own.
        source, positions: Of the entry, as of a step.
    """

    id: str
    flow: str = "linear"
    vars: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    when: str | None = None
    hosts: str = ""
    needs: tuple[Need, ...] | None = None
    per: str | None = None
    source: Position | None = None
    positions: Mapping[str, Position] = field(default_factory=dict)

    @property
    def part(self) -> str:
        """Id of the included playbook that includes it; empty: none does."""
        return self.id.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """The fleet in batches, one after the other.

    Attributes:
        by: A variable, all hosts with one value of which are a unit; or `host`.
        hosts: With `host`: pattern of those that are rolled.
        batches: Sizes in units, or like `"25%"` of all units; the last repeats.
        max_failures: Units that may fail before no further batch begins, or like `"5%"` of all.
        pause: Seconds between two batches.
        approve: Somebody has to approve each batch but the first.
        positions: Where each of its keys stands.
    """

    by: str
    hosts: str = ""
    batches: tuple[int | str, ...] = (1,)
    max_failures: int | str = 0
    pause: float = 0.0
    approve: bool = False
    positions: Mapping[str, Position] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """What the caller of a playbook gives. `type`: string, integer, number, boolean, list or table."""

    name: str
    type: str = "string"
    required: bool = False
    default: Any = None
    description: str = ""
    source: Position | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """A whole playbook. `flow` is `linear`, `graph` or `unordered`; `directory` anchors relative local paths.

    `rollout` None: all hosts at once.
    `steps` are those of included playbooks, too, in their places; `parts` are these playbooks, outer ones first.
    """

    name: str
    steps: tuple[Step, ...]
    description: str = ""
    flow: str = "linear"
    inputs: tuple[InputSpec, ...] = ()
    vars: Mapping[str, Any] = field(default_factory=dict)
    rollout: Rollout | None = None
    parts: tuple[Part, ...] = ()
    path: str = ""
    directory: str = ""
    digest: str = ""

    def part(self, name: str) -> Part:
        """One of `parts`."""
        return next(part for part in self.parts if part.id == name)

    def parts_of(self, step: Step) -> list[Part]:
        """The included playbooks that a step is in, the inner one first."""
        found = []
        name = step.part
        while name:
            found.append(self.part(name))
            name = found[-1].part
        return found
