"""What the operator's signals mean while a run is driven."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

_Handlers = dict[signal.Signals, Callable[[int, FrameType | None], object] | int]

if TYPE_CHECKING:
    from opsflow.app import Stop


@contextmanager
def stopping(stop: "Stop") -> Iterator[None]:
    """Ctrl-C asks once more for a stop; a hang-up or SIGTERM asks to let go at once.

    A signal that the caller made us ignore (`nohup`) stays ignored.
    """

    def once(_number: int, _frame: FrameType | None) -> None:
        stop.request()

    def at_once(_number: int, _frame: FrameType | None) -> None:
        stop.request()
        stop.request()

    handlers = {signal.SIGINT: once, signal.SIGHUP: at_once, signal.SIGTERM: at_once}
    with _handling({number: handler for number, handler in handlers.items() if not _is_ignored(number)}):
        yield


@contextmanager
def asking() -> Iterator[None]:
    """While a question waits for its answer, signals do what they do to any program."""
    defaults: _Handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGTERM: signal.SIG_DFL,
    }
    with _handling({number: handler for number, handler in defaults.items() if not _is_ignored(number)}):
        yield


@contextmanager
def _handling(handlers: _Handlers) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_ignored(number: signal.Signals) -> bool:
    return signal.getsignal(number) is signal.SIG_IGN
