"""The game server that these tests deploy: it says which release it is, and fails where its release says so.

`release.json` beside it holds the version and, by `ADDRESS:PORT`, what goes wrong there: `exits` or `sick`. A file
`stubborn` in the home directory makes it deaf to SIGTERM.
"""

import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer

WHERE = sys.argv[1]
RELEASE = json.loads(Path(__file__).with_name("release.json").read_text())
FAULT = RELEASE["faults"].get(WHERE)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        message = Path(__file__).with_name("message.txt").read_text()
        body = json.dumps({"version": RELEASE["version"], "message": message}).encode()
        self.send_response(500 if FAULT == "sick" and self.path == "/healthz" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_):
        """A look must leave the log as it is."""


class Server(ThreadingTCPServer):
    allow_reuse_address = True


def main():
    if FAULT == "exits":
        sys.exit(f"release {RELEASE['version']} does not run at {WHERE}")
    address, _, port = WHERE.rpartition(":")
    with Server((address, int(port)), Handler) as server:

        def end(*_):
            if not Path("~/stubborn").expanduser().exists():
                threading.Thread(target=server.shutdown).start()

        signal.signal(signal.SIGTERM, end)
        server.serve_forever(poll_interval=0.05)


if __name__ == "__main__":
    main()
