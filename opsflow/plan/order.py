"""Which steps a step needs by what is written: its `needs`, its playbook's `flow`, and where that is included."""

from collections.abc import Iterator, Mapping
from functools import cache

from opsflow.model import Need, Part, Playbook, Step


class Order:
    """The stated order of a playbook's steps.

    An entry of a playbook is a step or an included playbook. What needs an included one needs all of its last steps,
    and what that needs its first steps need: first and last are those that no other of its steps comes before or after.

    Args:
        playbook: The playbook.
        references: For each step the steps that its templates mention, and so needs.
    """

    def __init__(self, playbook: Playbook, references: Mapping[str, frozenset[str]]) -> None:
        self._entries: dict[str, Step | Part] = {part.id: part for part in playbook.parts}
        self._entries |= {step.id: step for step in playbook.steps}
        self._flows = {"": playbook.flow} | {part.id: part.flow for part in playbook.parts}
        self._references = references
        self._inside: dict[str, list[str]] = {name: [] for name in self._flows}  # entries, in order
        self._known: set[str] = set()
        for step in playbook.steps:
            self._add(step.id)
        self._ends = cache(self._find_ends)

    def flow_of(self, step: Step) -> str:
        """The flow of the playbook that a step stands in."""
        return self._flows[step.part]

    def needs(self, step: Step) -> list[Need]:
        """What a step needs, each step by its own id."""
        entry: Step | Part = step
        while True:
            own = [found for need in self._own(entry, at_end=step.at_end) for found in self._steps(need, step)]
            if own or not entry.part or self._mentions(entry):
                return own
            entry = self._entries[entry.part]  # it is a first one

    def _add(self, name: str) -> None:
        if name and name not in self._known:
            self._known.add(name)
            self._inside[self._entries[name].part].append(name)
            self._add(self._entries[name].part)

    def _own(self, entry: Step | Part, *, at_end: bool) -> list[Need]:
        """What an entry needs of those beside it."""
        if entry.needs is not None:
            per = entry.per if isinstance(entry, Part) else None
            return [
                Need(step=need.step, per=need.per or per, optional=need.optional)
                for need in entry.needs
                if need.step in self._entries and need.step != entry.id
            ]
        if self._flows[entry.part] != "linear":
            return []
        siblings = self._inside[entry.part]
        before = [name for name in siblings[: siblings.index(entry.id)] if self._ends(name, at_end)]
        per = entry.per if isinstance(entry, Part) else None
        return [Need(step=name, per=per) for name in before[-1:]]

    def _steps(self, need: Need, step: Step) -> Iterator[Need]:
        """A need of an entry as needs of steps."""
        if isinstance(self._entries[need.step], Step):
            yield need
            return
        for last in self._ends(need.step, step.at_end):
            yield Need(step=last, per=need.per, optional=need.optional)

    def _find_ends(self, name: str, at_end: bool) -> tuple[str, ...]:  # noqa: FBT001 - for the cache
        """The last steps of an entry, of those that run at the end or of the others."""
        entry = self._entries[name]
        if isinstance(entry, Step):
            return (name,) if entry.at_end is at_end else ()
        inside = [found for found in self._inside[name] if self._has(found, at_end=at_end)]
        needed = {need.step for found in inside for need in self._own(self._entries[found], at_end=at_end)}
        needed |= {mentioned for found in inside for mentioned in self._mentions(self._entries[found])}
        return tuple(last for found in inside if found not in needed for last in self._ends(found, at_end))

    def _has(self, name: str, *, at_end: bool) -> bool:
        entry = self._entries[name]
        if isinstance(entry, Step):
            return entry.at_end is at_end
        return any(self._has(found, at_end=at_end) for found in self._inside[name])

    def _mentions(self, entry: Step | Part) -> frozenset[str]:
        """Steps beside a step that its templates mention."""
        return frozenset(name for name in self._references.get(entry.id, ()) if name.rpartition("/")[0] == entry.part)
