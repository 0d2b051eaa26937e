"""What a context lends beside operations: variables rendered when looked at, and an ear for what a command prints."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from opsflow.errors import TemplateError
from opsflow.model import PART, Job, Message, Output, Turn
from opsflow.ports import OutputSink, Renderer
from opsflow.report.masking import Masker


class RenderedVars(Mapping[str, Any]):
    """A node's variables, each rendered when it is looked at; `turn`: what of them the attempt was given, rendered."""

    def __init__(
        self,
        variables: Mapping[str, Any],
        facts: Mapping[str, Any],
        renderer: Renderer | None,
        turn: Turn | None = None,
    ) -> None:
        self._turn = turn.values if turn else {}
        self._variables = {**variables, **self._turn}
        self._names = self._variables.keys() - {PART}
        self._facts = facts
        self._renderer = renderer

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        value = self._variables[name]
        if name in self._turn:
            return value
        return self._renderer.render(value, self._variables, self._facts) if self._renderer else value

    def document(self, text: str, name: str, facts: Mapping[str, Any], secret: Callable[[str], str]) -> str:
        """A file's text that is a template, with `facts` before all the rest. Raises `TemplateError`."""
        if self._renderer is None:
            raise TemplateError(f"{name}: there is nothing here that renders templates")
        return self._renderer.document(text, name, self._variables, {**self._facts, **facts}, secret=secret)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._variables if name in self._names)

    def __len__(self) -> int:
        return len(self._names)


class Earlier:
    """What is journaled of an attempt's output: a hook that is called again prints it again, from the beginning.

    Args:
        printed: Bytes of UTF-8 by stream, secrets masked.
    """

    def __init__(self, printed: Mapping[str, int]) -> None:
        self._left = {stream: left for stream, left in printed.items() if left}

    def rest(self, stream: str, text: str) -> str:
        """What of the next piece of a stream is new."""
        left = self._left.get(stream, 0)
        if not left:
            return text
        data = text.encode(errors="replace")
        self._left[stream] = max(left - len(data), 0)
        return data[left:].decode(errors="replace")


class Tee:
    """An output sink that masks across the seams of pieces, one stream of text per name.

    Args:
        job: Whose output it is.
        masker: Knows the secrets.
        earlier: Knows what needs not be said again.
        emit: Takes what is new.
    """

    def __init__(self, job: Job, masker: Masker, earlier: Earlier, emit: Callable[[Message], None]) -> None:
        self._job = job
        self._earlier = earlier
        self._emit = emit
        self._streams = {name: masker.stream(partial(self._say, name)) for name in ("stdout", "stderr")}

    def __enter__(self) -> OutputSink:
        return lambda stream, text: self._streams[stream].feed(text)

    def __exit__(self, broken: type[BaseException] | None, *_: object) -> None:
        # Of a stream that was cut short the end may be the beginning of a secret; a replay brings it once more.
        for stream in self._streams.values() if broken is None else ():
            stream.close()

    def _say(self, stream: str, masked: str) -> None:
        if text := self._earlier.rest(stream, masked):
            self._emit(Output(job=self._job, stream=stream, text=text))
