"""What tasks do on the target, as POSIX sh: the texts in `target/`, the values they get, the answers they give."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from opsflow import CommandFailed, CommandResult, Context, Secret, TaskFailed

Value = str | int | float | bool | None
_MARGIN = 60.0
"""Seconds that a script may need beyond what its own deadlines add up to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script for the target.

    Attributes:
        files: Names of texts in `target/`, in order.
        call: The function to call.
        values: What its variables `o_NAME` hold. None and False are empty, True is `yes`.
        env: Its environment, secrets by reference.
        seconds: What its own deadlines add up to.
    """

    files: tuple[str, ...]
    call: str
    values: Mapping[str, Value]
    env: Mapping[str, str | Secret] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """The whole script."""
        return self._unlike(())

    def _unlike(self, secrets: Iterable[str]) -> str:
        given = (f"o_{name}={shlex.quote(_word(value))}" for name, value in self.values.items())
        texts = (Path(__file__).with_name("target").joinpath(f"{name}.sh").read_text("utf-8") for name in self.files)
        return "\n".join((*given, unlike("\n".join((*texts, self.call, "exit 0\n")), secrets)))

    def look(self, ctx: Context) -> "Answer":
        """Run it as a read."""
        env = revealed(ctx, self.env)
        return Answer.of(ctx.probe(self._unlike(env.values()), timeout=self.seconds + _MARGIN, env=env))

    def act(self, ctx: Context, what: str, given: bytes | None = None) -> "Answer":
        """Run it as one operation.

        Args:
            ctx: Where.
            what: What it is for, for messages: "stop game".
            given: Its standard input.

        Raises:
            TaskFailed: it says why it failed, with the last lines of the service's log where it gave them.
        """
        limit, env = self.seconds + _MARGIN, revealed(ctx, self.env)
        try:
            result = ctx.run(self._unlike(env.values()), check=False, input=given, timeout=limit, env=env)
        except CommandFailed as error:  # its text says nothing to an operator
            raise TaskFailed(f"cannot {what}: {error.hint or 'it took too long'}") from None
        answer = Answer.of(result)
        for note in answer.notes:
            ctx.log(note)
        if answer.error:
            raise TaskFailed(f"cannot {what}: {answer.error}", hint=answer.log)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a script said: `KEY VALUE` a line.

    Attributes:
        facts: The last value of each key.
        lines: All values of the key `log`.
        notes: All values of the key `note`: what an operator should know, although it went well.
        error: Why it failed; empty: it did not.
    """

    facts: Mapping[str, str]
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""

    @classmethod
    def of(cls, result: CommandResult) -> "Answer":
        """Read the result of a script."""
        pairs = [(key, value) for key, _, value in (line.partition(" ") for line in result.stdout.splitlines())]
        facts = dict(pairs)
        error = facts.get("error", "")
        if not (error or result.ok):
            said = result.stderr.strip().splitlines()[-1:]
            error = " ".join((f"the script ended with {result.exit_status}:", *said))
        lines, notes = (tuple(value for key, value in pairs if key == wanted) for wanted in ("log", "note"))
        return cls(facts=facts, lines=lines, notes=notes, error=error)

    def __getitem__(self, key: str) -> str:
        """The value of a key, empty if it was not said."""
        return self.facts.get(key, "")

    @property
    def log(self) -> str:
        """The last lines of the service's log, for a hint."""
        return "\n    ".join(("the log ends with:", *self.lines)) if self.lines else ""


def revealed(ctx: Context, env: Mapping[str, str | Secret]) -> dict[str, str]:
    """An environment with the secrets' values."""
    return {name: ctx.secret(v.name) if isinstance(v, Secret) else v for name, v in env.items()}


def unlike(text: str, secrets: Iterable[str]) -> str:
    """A script of ours that does the same and in which nothing reads like a secret.

    A weak password may be a word of it, for which the script would be refused as one that shows it.
    """
    words = {line.strip() for secret in secrets for line in (secret, *secret.splitlines())} - {""}
    found = {match.start() for word in words for match in re.finditer(f"(?={re.escape(word)})", text)}
    if not found:
        return text
    written = (f"\\0{ord(c):03o}" if at in found or c in "\\'" else c for at, c in enumerate(text))
    return f"eval \"$(printf %b '{''.join(written)}')\""


def hundredths(seconds: float) -> int:
    """A duration as the scripts count it."""
    return round(seconds * 100)


def _word(value: Value) -> str:
    if value is None or value is False:
        return ""
    return "yes" if value is True else str(value)
