"""A game server as small as one can be: it listens, and says which release and which schema it is.

`release.json` beside this file names both; it is written when the artifact is built. Only the standard library.
"""

import argparse
import json
import signal
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer


class Handler(BaseHTTPRequestHandler):
    """Answers `GET /healthz` with `ok` and `GET /version` with the release, as JSON."""

    release = json.loads(Path(__file__).with_name("release.json").read_text())

    def do_GET(self) -> None:
        """One request."""
        pages = {
            "/healthz": (b"ok\n", "text/plain"),
            "/version": (json.dumps(self.release).encode(), "application/json"),
        }
        body, kind = pages.get(self.path, (b"not found\n", "text/plain"))
        self.send_response(200 if self.path in pages else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_: object) -> None:
        """Say nothing of what went well: a check that only looks leaves the log as it is."""


class Server(ThreadingTCPServer):
    """An HTTP server that does not ask the name service for its own name, as the standard one does."""

    allow_reuse_address = True
    daemon_threads = False  # leaving it waits for the answers under way


def main() -> None:
    """Serve until SIGTERM; requests that are being answered are finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="where to listen, HOST:PORT")
    host, _, port = parser.parse_args().address.rpartition(":")
    with Server((host, int(port)), Handler) as server:
        # shutdown() waits for serve_forever(), which cannot end while a signal handler runs in the same thread.
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
        print(f"release {Handler.release['version']} listens on {host}:{port}", flush=True)
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main()
