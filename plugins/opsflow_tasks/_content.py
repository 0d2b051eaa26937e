"""What a file is to hold, and what that changes, as a diff for people."""

import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from opsflow import Context
from opsflow_tasks._target import Answer

SHOWN = 64 * 1024
"""Bytes: longer files are not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a file is to hold.

    Attributes:
        sha256, size: Of it.
        data: It; None: it is in the file `path`, and too long to be shown.
        secret: Whether there are secrets in it.
    """

    sha256: str
    size: int
    data: bytes | None = None
    path: Path | None = None
    secret: bool = False

    @classmethod
    def of(cls, data: bytes, *, secret: bool = False) -> Self:
        """What is in memory."""
        return cls(sha256=hashlib.sha256(data).hexdigest(), size=len(data), data=data, secret=secret)

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """A file of the control machine. Raises `OSError`."""
        with path.open("rb") as stream:
            size = path.stat().st_size
            if size <= SHOWN:
                return cls.of(stream.read())
            return cls(sha256=hashlib.file_digest(stream, "sha256").hexdigest(), size=size, path=path)

    def send(self, ctx: Context, to: str) -> str:
        """Have it on the target; its SHA-256 as it was sent."""
        if self.data is None:
            assert self.path
            return ctx.put(self.path, to)
        return ctx.write(to, self.data)


def difference(found: Answer, old: bytes, new: Content, mode: str, *, hidden: bool) -> str:
    """A diff, unified where it is of text.

    Args:
        found: What was said of the file that is there: `kind`, `path`, `sha256`, `size`, `mode`, `owner`, and the owner
            that is `wanted`; what a file in its place has `lost`.
        old: Its content, if it is short enough to be shown.
        new: What it is to hold.
        mode: What permissions it is to have.
        hidden: Whether the content must not be shown.
    """
    return "".join((*_properties(found, mode, new.sha256), *_content(found, old, new, hidden=hidden)))


def _properties(found: Answer, mode: str, sha256: str) -> Iterator[str]:
    if found["kind"] == "link":
        yield f"-link to {found['target']}\n"
    for name, old, new in (("mode", found["mode"], mode), ("owner", found["owner"], found["wanted"])):
        if found["kind"] == "file" and old != new:
            yield f"-{name} {old}\n+{name} {new}\n"
        elif found["kind"] != "file" and new != ":":
            yield f"+{name} {new.strip(':')}\n"
    if found["lost"] and found["sha256"] != sha256:
        yield f"-{found['lost']}\n"


def _content(found: Answer, old: bytes, new: Content, *, hidden: bool) -> Iterator[str]:
    if found["sha256"] == new.sha256:
        return
    if hidden:
        yield " (what it holds is not shown)\n"
        return
    there = found["kind"] == "file"
    before, after = _lines(old), _lines(new.data)
    if before is None or after is None or (there and int(found["size"]) > SHOWN):
        if there:
            yield f"-{found['size']} bytes, SHA-256 {found['sha256']}\n"
        yield f"+{new.size} bytes, SHA-256 {new.sha256}\n"
        return
    for line in difflib.unified_diff(before, after, found["path"] if there else "/dev/null", found["path"]):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(data: bytes | None) -> list[str] | None:
    """The lines of a text; None: it is none, or not known."""
    try:
        text = None if data is None or b"\0" in data else data.decode()
    except UnicodeDecodeError:
        return None
    return None if text is None else text.splitlines(keepends=True)
