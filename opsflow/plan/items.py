"""What a step is done for on a host: the items of its `foreach`, and the keys by which they are told apart."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from opsflow.errors import TemplateError

_KEY = re.compile(r"(?!\s)[^\[\]\x00-\x1f\x7f]{1,100}(?<!\s)")


def keyed(items: Any) -> dict[str, Any]:
    """Items by their keys: a text and a whole number are their own, a table has one under `key`.

    Raises:
        TemplateError: it is no list, or an item has no key of its own.
    """
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise TemplateError(f"`foreach` must yield a list, not {items!r}")
    found: dict[str, Any] = {}
    for number, item in enumerate(items, 1):
        key = _key(item)
        if not key:
            hint = "an item is a text, a whole number, or a table with a `key`"
            raise TemplateError(f"item {number} of `foreach` has no key: {item!r}", hint=hint)
        if not _KEY.fullmatch(key):
            hint = "a key has up to 100 characters, none of them `[` or `]`; a table can have another `key`"
            raise TemplateError(f"item {number} of `foreach` cannot have the key {key!r}", hint=hint)
        if key in found:
            hint = "keys tell nodes apart: a table can have another `key`"
            raise TemplateError(f"two items of `foreach` have the key {key!r}", hint=hint)
        found[key] = item
    return found


def _key(item: Any) -> str:
    name = item.get("key") if isinstance(item, Mapping) else item
    return str(name) if isinstance(name, str | int) and not isinstance(name, bool) else ""
