"""What a context lends beside operations: variables rendered when looked at, and an ear for what a command prints."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from opsflow.model import Job, Message, Output
from opsflow.ports import OutputSink, Renderer
from opsflow.report.masking import Masker


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
