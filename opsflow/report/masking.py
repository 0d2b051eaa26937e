"""Secrets are masked by value: whatever leaves the place where a hook runs passes through here first."""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

MASK = "***"
_SHORTEST = 3
"""A shorter secret is masked only where it stands alone: else every `1` of an output would be a star."""


class Masker:
    """The secret values met so far, and how to hide them. For one job; used by one thread at a time."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._longest = 0

    def add(self, value: str) -> None:
        """From now on hide `value`, its lines, and the forms in which shells and JSON write it."""
        for text in (value, *value.splitlines()):
            if text.strip():
                self._values.update((text, shlex.quote(text), json.dumps(text)[1:-1]))
        self._longest = max((len(v) for v in self._values), default=0)
        longest_first = sorted(self._values, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_one, longest_first))) if longest_first else None

    def reveals(self, text: str) -> bool:
        """Whether `text` holds a secret value."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def text(self, text: str) -> str:
        """`text` without the secrets."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def data(self, value: Any) -> Any:
        """A JSON-able value without the secrets, keys included."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(k)): self.data(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(v) for v in value]
        return value

    def stream(self, emit: Callable[[str], None]) -> "MaskedStream":
        """A stream of text whose secrets are hidden even where one is cut in two."""
        return MaskedStream(self, emit)

    @property
    def longest(self) -> int:
        """Length of the longest secret."""
        return self._longest


class MaskedStream:
    """Holds back as much of the end as might be the beginning of a secret."""

    def __init__(self, masker: Masker, emit: Callable[[str], None]) -> None:
        self._masker = masker
        self._emit = emit
        self._held = ""

    def feed(self, text: str) -> None:
        """Take a piece; pass on what is certain."""
        text = self._held + text
        keep = max(self._masker.longest - 1, 0)
        if not keep:
            self._held = ""
            self._emit(text)
            return
        # Mask first: a whole secret that reaches into the held end becomes a mask and is no longer in danger.
        text = self._masker.text(text)
        cut = len(text) - keep
        self._held = text[max(cut, 0) :]
        if cut > 0:
            self._emit(text[:cut])

    def close(self) -> None:
        """Pass on the rest."""
        rest, self._held = self._held, ""
        if rest:
            self._emit(self._masker.text(rest))


def _one(value: str) -> str:
    pattern = re.escape(value)
    return pattern if len(value) > _SHORTEST else rf"(?<!\w){pattern}(?!\w)"
