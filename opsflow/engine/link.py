"""What a job does over the link to its host, from the first thing to whatever ends it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opsflow.engine.cancelling import Cancellation
from opsflow.errors import Interrupted, Unreachable


class Link:
    """Lets nothing follow once it was lost or the job was cancelled, whatever the task makes of that.

    Args:
        cancellation: The wish that the job ends.
        withdraw: Called when an operation has certainly not begun.

    Attributes:
        operations: How many were begun, or may have been.
        interrupted: What ended it.
    """

    def __init__(self, cancellation: Cancellation, withdraw: Callable[[], None]) -> None:
        self._cancellation = cancellation
        self._withdraw = withdraw
        self.operations = 0
        self.interrupted: Interrupted | None = None

    @contextmanager
    def used(self, *, acts: bool = False) -> Iterator[None]:
        """Around everything that goes over it; `acts`: an operation."""
        if self.interrupted:
            raise self.interrupted
        try:
            self._cancellation.check()
            self.operations += acts
            yield
        except Unreachable:
            if acts:
                self.operations -= 1
                self._withdraw()
            raise
        except Interrupted as error:
            self.interrupted = error
            raise

    def check(self) -> None:
        """Raise `Cancelled` if the job is."""
        self._cancellation.check()

    def sleep(self, seconds: float) -> None:
        """Wait. Raises `Cancelled` as soon as the job is."""
        with self.used():
            self._cancellation.sleep(seconds)
