"""Secrets are masked by value: whatever leaves the place where a hook runs passes through here first."""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

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
        """From now on hide `value`, its lines, and the forms in which shells, JSON and URLs write it."""
        for text in (value, value.strip(), *value.splitlines()):
            if text.strip():
                self._values.update((text, shlex.quote(text), json.dumps(text)[1:-1], _in_url(text)))
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
        """A JSON-able value without the secrets, keys included; a number that is a secret becomes a mask."""
        if self._pattern is None or value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(k)): self.data(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.data(v) for v in value]
        return MASK if self._pattern.fullmatch(str(value)) else value

    def stream(self, emit: Callable[[str], None]) -> "MaskedStream":
        """A stream of text whose secrets are hidden even where one is cut in two."""
        return MaskedStream(self, emit)

    def settled(self, text: str, start: int, *, end: bool) -> tuple[str, int]:
        """Mask the part of a growing text that what follows cannot change any more.

        Args:
            text: What has come so far.
            start: Where the part that is not passed on yet begins; what is before is only looked at.
            end: Whether nothing follows.

        Returns:
            The masked part, and where the rest begins.
        """
        # A match that begins before `safe` is seen whole, and so is what might have matched in its place, longer ones
        # and the character behind a short one included.
        safe = len(text) if end else max(len(text) - self._longest, start)
        parts = []
        for match in self._pattern.finditer(text, start) if self._pattern else ():
            if match.start() >= safe:
                break
            parts += [text[start : match.start()], MASK]
            start = match.end()
        return "".join([*parts, text[start:safe]]), max(start, safe)


class MaskedStream:
    """Passes on what `Masker.text` would make of the whole, a little later where a secret may be beginning."""

    def __init__(self, masker: Masker, emit: Callable[[str], None]) -> None:
        self._masker = masker
        self._emit = emit
        self._text = ""
        self._start = 0

    def feed(self, text: str) -> None:
        """Take a piece; pass on what is certain."""
        self._take(text, end=False)

    def close(self) -> None:
        """Pass on the rest."""
        self._take("", end=True)

    def _take(self, piece: str, *, end: bool) -> None:
        text = self._text + piece
        masked, start = self._masker.settled(text, self._start, end=end)
        keep = max(start - 1, 0)  # one character before the rest tells whether a short secret stands alone
        self._text, self._start = text[keep:], start - keep
        if masked:
            self._emit(masked)


def _in_url(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _one(value: str) -> str:
    pattern = re.escape(value)
    return pattern if len(value) > _SHORTEST else rf"(?<!\w){pattern}(?!\w)"
