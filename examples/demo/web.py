"""A small web program on a socket that it inherits; ``--check`` is its configuration test."""

from __future__ import annotations

import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Page(BaseHTTPRequestHandler):
    """Answer ``/``, ``/count`` and ``/health``."""

    count = 0

    def do_GET(self) -> None:
        if self.path != "/health":
            Page.count += 1
        text = "ok\n" if self.path == "/health" else f"{Page.count} visits, served by process {os.getpid()}\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        if self.path != "/health":
            print(f"{self.command} {self.path}")


def main() -> int:
    if "--check" in sys.argv:
        print("web.py: everything is in order")
        return 0
    listener = socket.socket(fileno=int(os.environ["LISTEN_FD_HTTP"]))
    server = ThreadingHTTPServer(listener.getsockname(), Page, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"serving on http://127.0.0.1:{listener.getsockname()[1]}/ as process {os.getpid()}")
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
