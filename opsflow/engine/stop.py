"""The operator's wish to stop, from a signal handler to the engine."""


class Stop:
    """Once: start nothing more, wait for what runs. Twice: detach from what runs."""

    def __init__(self) -> None:
        self._wishes = 0

    def request(self) -> None:
        """Wish it once more. Callable from a signal handler."""
        self._wishes += 1

    def ask(self) -> None:
        """Wish it from elsewhere, unless it is wished already: whoever asks twice does not mean to detach."""
        if not self._wishes:
            self._wishes = 1

    @property
    def requested(self) -> bool:
        """Nothing more is started."""
        return self._wishes > 0

    @property
    def detach(self) -> bool:
        """Nothing is waited for either."""
        return self._wishes > 1
