"""What a hook's context shows of the run, and where what its commands say goes."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opsflow.errors import CommandFailed
from opsflow.model import CommandResult, Job, Message, Output
from opsflow.ports import OutputSink, Renderer
from opsflow.report.masking import Masker

_STDERR_LINES = 20


class RenderedVars(Mapping[str, Any]):
    """A node's variables, each rendered when it is looked at."""

    def __init__(self, variables: Mapping[str, Any], facts: Mapping[str, Any], renderer: Renderer | None) -> None:
        self._variables = variables
        self._facts = facts
        self._renderer = renderer

    def __getitem__(self, name: str) -> Any:
        value = self._variables[name]
        return self._renderer.render(value, self._variables, self._facts) if self._renderer else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


class Tee:
    """An output sink that masks across the seams of pieces, one stream of text per name."""

    def __init__(self, job: Job, masker: Masker, emit: Callable[[Message], None]) -> None:
        self._streams = {
            name: masker.stream(lambda text, name=name: emit(Output(job=job, stream=name, text=text)))  # type: ignore[misc]
            for name in ("stdout", "stderr")
        }

    def __enter__(self) -> OutputSink:
        return lambda stream, text: self._streams[stream].feed(text)

    def __exit__(self, *_: object) -> None:
        for stream in self._streams.values():
            stream.close()


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
    hint = f"it was stopped after {limit:g} s" if result.timed_out and limit is not None else ""
    return CommandFailed(masker.text(command), result.exit_status, last, hint=hint)


def reveals(given: bytes, masker: Masker) -> bool:
    """Whether a secret stands in an input."""
    return masker.reveals(given.decode("utf-8", "replace"))


def shown(env: Mapping[str, str] | None, masker: Masker) -> dict[str, str]:
    """What an environment is known by: its secrets masked."""
    return {name: masker.text(value) for name, value in sorted((env or {}).items())}


def fingerprint(given: bytes | None, masker: Masker) -> str | None:
    """What an input is known by: its hash; of one with a secret in it, its text without."""
    if given is None:
        return None
    return (
        masker.text(given.decode("utf-8", "replace")) if reveals(given, masker) else hashlib.sha256(given).hexdigest()
    )
