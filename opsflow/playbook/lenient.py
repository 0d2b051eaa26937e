"""What of a wrong playbook is read all the same, so that mistakes beside the first one are found, too."""

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

_ALONE = frozenset(
    {"at_once", "become", "irreversible", "notes", "on_failure", "on_unknown", "revert_timeout", "skip_depth", "tags"}
    | {"timeout"}
)
"""Keys of steps that other mistakes do not hang on."""


def without_wrong_values(data: Mapping[str, Any], error: ValidationError) -> dict[str, Any]:
    """A playbook's data without wrong values that nothing else hangs on."""
    found = copy.deepcopy(dict(data))
    for detail in error.errors(include_url=False):
        match detail["loc"]:
            case ("step", int(index), str(key), *_) if key in _ALONE and isinstance(found["step"][index], dict):
                found["step"][index].pop(key, None)
            case ("defaults", str(key), *_) if key in _ALONE and isinstance(found["defaults"], dict):
                found["defaults"].pop(key, None)
            case ("name" | "description" | "flow" as key, *_):
                found.pop(key, None)
    return found
