"""Ids of runs and attempts."""

import secrets
from datetime import UTC, datetime

from opsflow.model import Phase

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Base 32 in the order of ASCII, without the letters that look like digits (Crockford's set)."""

TAIL_AT = 16
"""Where in a run's id the part begins that is enough to name it."""


def new_run_id(now: datetime) -> str:
    """An id such as `20261124T213015-dm4k9`: sorts by time down to the millisecond, the end alone names it.

    The five characters at the end are two of the fraction of the second and three (32768 values) of chance.

    Args:
        now: Time of the run's start, aware.
    """
    now = now.astimezone(UTC)
    fraction = now.microsecond * len(_DIGITS) ** 2 // 1_000_000
    tail = _DIGITS[fraction // len(_DIGITS)] + _DIGITS[fraction % len(_DIGITS)]
    return f"{now:%Y%m%dT%H%M%S}-{tail}" + "".join(secrets.choice(_DIGITS) for _ in range(3))


def attempt_id(run_id: str, node: str, phase: Phase, n: int) -> str:
    """The id of an attempt, `RUN/NODE/PHASE/N`."""
    return f"{run_id}/{node}/{phase}/{n}"


def split_attempt(run_id: str, attempt: str) -> tuple[str, Phase, int]:
    """Node, phase and number of an attempt's id. Raises `ValueError` if it is no attempt of that run."""
    own, slash, rest = attempt.partition("/")
    if own != run_id or not slash:
        raise ValueError(f"{attempt} is no attempt of run {run_id}")
    node, phase, n = rest.rsplit("/", 2)
    return node, Phase(phase), int(n)
