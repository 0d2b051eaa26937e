"""What a hook gives back has to be JSON: it is journaled, sent between processes and read by later steps."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from opsflow.errors import TaskFailed

LIMIT = 256 * 1024
"""Bytes of JSON that the outputs of one node may take."""


def as_json(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    """`value` as it will be read back from the journal: a copy that is equal to it.

    Args:
        value: A mapping.
        what: What it is, for the message, such as `outputs`.

    Raises:
        TaskFailed: a value in it is not JSON (NaN, infinity and tuples are not), or it takes more than 256 KiB.
    """
    for path, problem in _faults(value, what):
        raise TaskFailed(f"{path} {problem}")
    text = json.dumps(value, ensure_ascii=False)
    if (size := len(text.encode())) > LIMIT:
        largest = max(value, key=lambda key: len(json.dumps(value[key])))
        raise TaskFailed(
            f"{what} take {size} bytes, the largest is `{largest}`; the limit is {LIMIT}",
            hint="leave large data in a file on the target, and give its path",
        )
    copy: dict[str, Any] = json.loads(text)
    return copy


def _faults(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            if not isinstance(key, str) or _scalar_fault(key):
                yield path, f"has the key {key!r}, which is not text"
            yield from _faults(part, f"{path}.{key}")
    elif isinstance(value, tuple):
        yield path, "is a tuple, which would be read back as a list: give a list"
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _faults(part, f"{path}[{index}]")
    elif fault := _scalar_fault(value):
        yield path, fault


def _scalar_fault(value: Any) -> str:
    if isinstance(value, str):
        lone = not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)
        return "is not valid Unicode text" if lone else ""
    if isinstance(value, int | float):
        return "" if math.isfinite(value) else f"is {value}, which JSON does not know"
    return "" if value is None else f"is a {type(value).__name__}, which JSON does not know"
