"""What `retry.vary` gives an attempt."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One value of each list.

    Attributes:
        values: By variable, secrets as references.
        place: Which ones of the lists, from 0.
        of: How many values a list has.
    """

    values: Mapping[str, Any]
    place: int
    of: int

    @classmethod
    def at(cls, place: int, lists: Mapping[str, Any]) -> "Turn":
        """The values at a place of rendered lists; after the last comes the first again.

        Raises:
            ValueError: one of them is no list, is empty, or is not as long as the others; a sentence.
        """
        for name, values in lists.items():
            if not isinstance(values, list | tuple):
                raise ValueError(f"`retry.vary.{name}` must yield a list, not {values!r}")  # noqa: TRY004 - one error
            if not values:
                raise ValueError(f"`retry.vary.{name}` is an empty list: there is no value for an attempt")
        lengths = {name: len(values) for name, values in lists.items()}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise ValueError(f"the lists in `retry.vary` must be of one length: {said}")
        of = next(iter(lengths.values()))
        place %= of
        return cls(values={name: values[place] for name, values in lists.items()}, place=place, of=of)

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.values.items())

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return asdict(self)


def said_with(summary: str, turn: Turn | None) -> str:
    """A summary of an attempt, and what it was given."""
    return f"{summary} ({turn})" if turn else summary
