"""How hosts are reached."""

from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, Protocol

from opsflow.model import CommandResult, Operation, Recorded

OutputSink = Callable[[str, str], None]
"""Called with the stream's name (`stdout`, `stderr`) and a piece of text, while a command runs."""


class Transport(Protocol):
    """One host, reached. Used by one thread at a time per call; calls from several threads are allowed.

    Connecting happens on first use. Every method raises `Unreachable` if no connection could be made (nothing was
    started) and `Interrupted` if it broke afterwards.
    """

    def run(
        self,
        command: str,
        *,
        input: bytes | BinaryIO | None = None,  # noqa: A002 - the contract's word
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        sink: OutputSink | None = None,
        op: Operation | None = None,
    ) -> CommandResult:
        """Run a shell command to its end. Neither it nor `env` is visible in the target's process list as sent.

        With `op` it is started at most once, however often it is asked for: what was started before is followed, and
        what has ended says how. Without, it is a read, and may run again.

        Raises:
            Cancelled: it was ended by `cancel`.
            Diverged: `op` was something else.
            HostsHeld: another run is at work on the host.
        """

    def put(
        self, source: BinaryIO, path: str, *, mode: int = 0o600, digest: str = "", op: Operation | None = None
    ) -> str:
        """Stream `source` into a file: temporary name, readable for nobody else until whole, fsync, rename.

        With `op` it is put into place at most once.

        Args:
            source: What is left of it is sent.
            path: Where it is to be; what is there is replaced, a symbolic link too.
            mode: Permissions.
            digest: SHA-256 of the content as hexadecimal digits, if it is known: `source` is then read once only.
            op: Which operation it is.

        Returns:
            The SHA-256.

        Raises:
            TransferFailed: the target could not take it, or `digest` is of something else; `path` is as it was.
        """

    def reach(self) -> None:
        """Make sure that the host answers and lets us in; nothing is done there."""

    def claim(self, run: str, epoch: int) -> str:
        """Claim the host for a run and the number of its owner; where operations are recorded, as an intent keeps it.

        Raises:
            HostsHeld: another run is at work there.
        """

    def record(self, op: Operation) -> Sequence[Recorded]:
        """The operations that the attempt of `op` has on record, from the first."""

    def fence(self, op: Operation) -> None:
        """Let nothing more of the attempt of `op` start, whoever asks, and wait for what of it runs."""

    def cancel(self, op: Operation) -> None:
        """Let nothing more of the attempt of `op` start, whoever asks, and end what of it runs.

        Its process group gets SIGTERM, five seconds later SIGKILL; returns once it has ended. Who follows it gets
        `Cancelled`. May be asked by another process than the one that started it, and again.
        """

    def forget(self, attempts: Sequence[str]) -> None:
        """The outcomes of these attempts are durable: what they printed need not be kept on the host any more.

        That they were is remembered until `release`. Sends nothing by itself: it goes with what is started next.
        """

    def release(self) -> None:
        """The run is over: let another one have the host, and forget what is recorded. Does not fail."""

    def get(self, path: str) -> bytes:
        """The whole content of a file. Raises `TransferFailed` if it cannot be read."""

    def fetch(self, path: str, into: BinaryIO, *, check: Callable[[], None] = ...) -> str:
        """Stream a file of any size into `into`, which is empty and can be rewound.

        Args:
            path: Which file.
            into: Gets its content.
            check: Called every now and then; what it raises ends it.

        Returns:
            The SHA-256 of what came.

        Raises:
            TransferFailed: the target cannot read it.
        """

    def tail(self, path: str, lines: int) -> Sequence[str]:
        """The last lines of a file, however long it is; of them no more than the last MiB; empty if there is no file.

        Raises:
            TransferFailed: it is no regular file, or cannot be read.
        """

    def identity(self) -> str:
        """Which machine this is: its machine-id and boot id, as far as it tells."""

    def close(self) -> None:
        """Let the connection go. Idempotent."""


class Transports(Protocol):
    """All hosts of a run: one connection per host, the number in the making bounded."""

    def to(self, host: str, become: str = "") -> Transport:
        """The transport of an inventory host; with `become`, what it does is done as that user."""

    def release(self) -> None:
        """The run is over: release all hosts that were claimed."""

    def close(self) -> None:
        """Close them all."""
