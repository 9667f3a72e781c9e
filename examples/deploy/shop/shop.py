"""A small web program: tells its version, and whether it is well."""

from __future__ import annotations

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

HERE = Path(__file__).parent
VERSION = (HERE / "VERSION").read_text().strip()
REVISION = (HERE / "REVISION").read_text().strip()


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        well = not (HERE / "BROKEN").exists()
        text = f"shop {VERSION} {REVISION}\n" if well else "out of order\n"
        self.send_response(200 if well else 500)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Pages)
    print(f"shop {VERSION} on port {server.server_port}, pid {os.getpid()}", flush=True)
    server.serve_forever()
