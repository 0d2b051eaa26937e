"""The text of a file, by lines, for pointing at what it says."""

import hashlib
import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from opsflow.errors import Position, Problem
from opsflow.inventory.draft import Draft, Spot

_WIDEST = 500
"""Characters of a line that can be shown."""
_VAULT = "$ANSIBLE_VAULT;"


@dataclass(frozen=True)
class Text:
    """A file that was read: its path as given, and all of it."""

    path: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        """Without their ends."""
        return self.text.split("\n")

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    @property
    def encrypted(self) -> bool:
        """Whether all of it is a secret of ansible-vault."""
        return self.text.startswith(_VAULT)

    def spot(self, line: int, column: int = 1) -> Spot:
        """A place in it."""
        shown = self.lines[line - 1].replace("\t", " ") if 0 < line <= len(self.lines) else ""
        shown = "" if len(shown) > _WIDEST else shown
        return Spot(Position(file=self.path, line=line, column=column), shown)

    def spot_at(self, offset: int) -> Spot:
        """The place of a character."""
        line = bisect_right(self._starts, offset)
        return self.spot(line, offset - self._starts[line - 1] + 1)


def read_text(path: Path, draft: Draft) -> Text | None:
    """Read a file; None, and a problem of the draft, if it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        draft.problems.append(Problem(message=f"{path}: {error.strerror}"))
        draft.incomplete = True
        return None
    draft.took(hashlib.sha256(content).hexdigest())
    return text_of(str(path), content, draft)


def text_of(path: str, content: bytes, draft: Draft) -> Text | None:
    """The text of a content; None, and a problem of the draft, if it is not UTF-8."""
    try:
        return Text(path, content.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(errors="replace").split("\n")
        spot = Spot(Position(file=path, line=len(before), column=len(before[-1]) + 1), before[-1])
        draft.problems.append(spot.problem("not UTF-8"))
        draft.incomplete = True
        return None
