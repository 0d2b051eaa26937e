"""What an inventory says that is not understood: told once for each kind, with the first place of it."""

from collections.abc import Iterator
from dataclasses import replace

from opsflow.errors import Problem


class Notices:
    """Collects them. What stands in several places is told of the first one, with the number of the others."""

    def __init__(self) -> None:
        self._places: dict[str, dict[Problem, None]] = {}

    def add(self, kind: str, notice: Problem) -> None:
        """Note one.

        Args:
            kind: What it has in common with others of which only the first is told.
            notice: What, where, and what to do.
        """
        self._places.setdefault(kind, {})[notice] = None

    def __iter__(self) -> Iterator[Problem]:
        for first, *others in self._places.values():
            places = "place" if len(others) == 1 else "places"
            more = f" (and in {len(others)} more {places})" if others else ""
            yield replace(first, message=f"{first.message}{more}")
