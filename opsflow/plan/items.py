"""What a step is done for on a host: the items of its `foreach`, and the keys by which they are told apart."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

_KEY = re.compile(r"(?!\s)[^\[\]\x00-\x1f\x7f]{1,100}(?<!\s)")


def keyed(items: Any) -> dict[str, Any]:
    """Items by their keys: a text and a whole number are their own, a table has one under `key`.

    Raises:
        ValueError: it is no list, or an item has no key, or that of another; a sentence that begins behind `foreach`.
    """
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise ValueError(f"must be a list, not {items!r}")  # noqa: TRY004 - one sort of error
    found: dict[str, Any] = {}
    for number, item in enumerate(items):
        key = _key(item)
        if not _KEY.fullmatch(key):
            said = "is a key of up to 100 characters, without brackets" if key else "is a text, or a table with a `key`"
            raise ValueError(f"is wrong at item {number + 1}: {item!r} is not what {said}")
        if key in found:
            raise ValueError(f"has two items with the key {key!r}: each needs its own")
        found[key] = item
    return found


def _key(item: Any) -> str:
    name = item.get("key") if isinstance(item, Mapping) else item
    return str(name) if isinstance(name, str | int) and not isinstance(name, bool) else ""
