"""Words that messages about plans have in common."""

from collections.abc import Collection

_SHOWN = 3


def some(names: Collection[str]) -> str:
    """The first few names, and how many more there are."""
    first = list(names)[:_SHOWN]
    return ", ".join(first) + (f" and {len(names) - len(first)} more" if len(names) > len(first) else "")
