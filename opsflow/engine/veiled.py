"""What results, inputs and environments are without the secrets in them."""

import hashlib
from collections.abc import Mapping

from opsflow.errors import CommandFailed
from opsflow.model import CommandResult
from opsflow.report.masking import Masker

_STDERR_LINES = 20
_SHORT = 4096
"""Characters of an input that is known by its text."""


def masked(result: CommandResult, masker: Masker) -> CommandResult:
    """A result without secrets."""
    return CommandResult(
        exit_status=result.exit_status,
        stdout=masker.text(result.stdout),
        stderr=masker.text(result.stderr),
        truncated=result.truncated,
        timed_out=result.timed_out,
    )


def failed(command: str, result: CommandResult, limit: float | None, masker: Masker) -> CommandFailed:
    """The error of a masked result."""
    last = "\n".join(result.stderr.splitlines()[-_STDERR_LINES:])
    hint = f"it was stopped after {limit:.3g} s" if result.timed_out and limit is not None else ""
    return CommandFailed(masker.text(command), result.exit_status, last, hint=hint)


def shown(env: Mapping[str, str] | None, masker: Masker) -> dict[str, str]:
    """What an environment is known by: its secrets masked."""
    return {name: masker.text(value) for name, value in sorted((env or {}).items())}


def fingerprint(given: bytes | None, masker: Masker) -> str | None:
    """What an input is known by: its hash; of one with a secret in it, its text without, or the hash of that."""
    if given is None:
        return None
    if masker.reveals(text := given.decode("utf-8", "replace")):
        text = masker.text(text)
        if len(text) <= _SHORT:
            return text
        given = text.encode()
    return hashlib.sha256(given).hexdigest()
