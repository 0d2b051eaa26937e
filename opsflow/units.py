"""Durations and sizes as people write them: `"500ms"`, `"30s"`, `"1h30m"`, `"64MiB"`."""

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1} | {
    prefix + unit: base ** (power + 1)
    for unit, base in (("B", 1000), ("iB", 1024))
    for power, prefix in enumerate(("K", "M", "G", "T"))
}
_AMOUNT = r"[0-9]+(?:\.[0-9]+)?"
_DURATION_PART = re.compile(rf"({_AMOUNT})(ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_SIZE = re.compile(rf"({_AMOUNT}) ?([KMGT]?i?B|kB)")


def parse_duration(value: object) -> float:
    """A duration in seconds.

    Args:
        value: Text such as `"500ms"`, `"30s"`, `"10m"`, `"1h30m"`, `"2d"`, or a number of seconds.

    Raises:
        ValueError: it is none of these, negative or not finite.
    """
    if isinstance(value, str):
        if not _DURATION.fullmatch(value):
            raise ValueError('not a duration: write a number and its unit, like "500ms", "30s", "10m" or "2h"')
        seconds = sum(float(amount) * _SECONDS[unit] for amount, unit in _DURATION_PART.findall(value))
    else:
        seconds = _number(value, "a duration", '"30s"')
    if not math.isfinite(seconds):
        raise ValueError("not a duration: too long")
    return seconds


def parse_size(value: object) -> int:
    """A size in bytes.

    Args:
        value: Text such as `"512B"`, `"10MB"` (powers of 1000), `"64MiB"` (powers of 1024), or a number of bytes.

    Raises:
        ValueError: it is none of these, negative, or not finite.
    """
    if not isinstance(value, str):
        return int(_number(value, "a size", '"64MiB"'))
    match = _SIZE.fullmatch(value)
    if match is None or match[2] == "iB":
        raise ValueError('not a size: write a number and its unit, like "512B", "10MB" or "64MiB"')
    return int(_number(float(match[1]), "a size", '"64MiB"') * _BYTES[match[2].replace("k", "K")])


def _number(value: object, what: str, example: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"not {what}: write text like {example}")  # noqa: TRY004 - pydantic reports ValueErrors
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"not {what}: must be finite and not negative")
    return value


@dataclass(frozen=True, slots=True)
class _Unit:
    """How pydantic reads a quantity."""

    parse: "Callable[[object], float]"
    examples: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from pydantic_core import core_schema  # noqa: PLC0415 - keeps `import opsflow` light

        return core_schema.no_info_before_validator_function(self.parse, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": ["string", "number"], "examples": list(self.examples)}


Duration = Annotated[float, _Unit(parse_duration, ("500ms", "30s", "10m", "2h"))]
"""A parameter in seconds that is written as `"30s"`, or as a number."""

Size = Annotated[int, _Unit(parse_size, ("512B", "10MB", "64MiB"))]
"""A parameter in bytes that is written as `"64MiB"`, or as a number."""
