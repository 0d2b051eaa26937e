"""A TCP proxy before a database server that loses connections at the worst moment: around a COMMIT."""

import select
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_WORD = b"COMMIT"
"""What a message of MySQL's or PostgreSQL's protocol ends with, but for a NUL, where there is no TLS."""


class CommitCutter:
    """Passes everything on, until it is told to cut.

    Attributes:
        port: TCP port on 127.0.0.1 where it listens.
        commits: How many were seen.
        cuts: How many connections were cut.
    """

    def __init__(self, port: int) -> None:
        """Listen while the `with` block lasts. `port`: the server's, on 127.0.0.1."""
        self.commits = 0
        self.cuts = 0
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._at = 0
        self._arrives = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more; connections that are there last as long as both ends."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def cut(self, n: int = 1, *, arrives: bool) -> None:
        """Cut the connection at the n-th COMMIT from now.

        Args:
            n: From 1.
            arrives: The server gets it and carries it out, and its answer is lost; else it is lost itself.
        """
        with self._lock:
            self._at, self._arrives = self.commits + n, arrives

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._server) as server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data or (
                        ready is client and data.rstrip(b"\0").endswith(_WORD) and self._is_cut(server, data)
                    ):
                        return
                    (server if ready is client else client).sendall(data)

    def _is_cut(self, server: socket.socket, data: bytes) -> bool:
        with self._lock:
            self.commits += 1
            if self.commits != self._at:
                return False
            self.cuts += 1
            if self._arrives:
                server.sendall(data)
                server.recv(65536)  # carried out by now
            return True
