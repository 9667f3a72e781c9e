#!/usr/bin/env python3
"""A server that tells the size of a text, with workers forked ahead of demand.

    python server.py               become a daemon on port 36000; its log and pid file are in ~ (or -d FOLDER)
    python server.py -f            stay in the foreground
    python server.py -t            end the daemon
    kill -HUP PID                  read the configuration again and replace the workers; no connection is lost

The configuration is FOLDER/textsize.toml, if there is one: `workers = 5` and `max_requests = 100`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import genii
from genii.errors import GeniiError, UsageError
from genii.serve.listeners import describe
from genii.serve.prefork import stop_server

if TYPE_CHECKING:
    import socket

    from genii.serve.manager import Manager

LARGEST = 2000  # bytes of a text


def log(text: str) -> None:
    print(text, flush=True)


def handle(connection: socket.socket, peer: tuple[str, int]) -> None:
    log(f"- {os.getpid()} Client Query Processing Started.")
    text = connection.recv(LARGEST).decode("utf-8", errors="replace")
    log(f"- {os.getpid()} Client: {peer[0]}; Received Text:\n{text}")
    connection.sendall(f"{os.getpid()} your text size: {len(text)}\n\n".encode())
    log(f"- {os.getpid()} Client Query Processing Ended.")


class Configuration:
    """What the file says; read at the start and at each HUP."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.load()

    def load(self) -> None:
        try:
            found = tomllib.loads(self.path.read_text()) if self.path.exists() else {}
            self.workers, self.max_requests = int(found.get("workers", 5)), int(found.get("max_requests", 100))
        except (ValueError, TypeError) as error:
            raise UsageError(f"{self.path}: {error}") from None
        log(f"* Loading configuration. Workers: {self.workers}; Requests per Child: {self.max_requests}.")

    def apply(self, manager: Manager) -> None:
        self.load()
        manager.scale(self.workers)
        manager.settings = replace(manager.settings, max_requests=self.max_requests)


def announce(manager: Manager) -> None:
    log(f"* Manager Process ID: {manager.pid}")
    log(f"* Listening at {', '.join(map(describe, manager.listeners))}")


def serve(folder: Path, address: str, *, daemon: bool) -> None:
    configuration = Configuration(folder / "textsize.toml")
    genii.prefork(
        handle,
        listen=address,
        workers=configuration.workers,
        max_requests=configuration.max_requests,
        jitter=0,
        daemon=daemon,
        pid_file=folder / "textsize.pid",
        log_file=folder / "textsize.log",
        on_start=announce,
        after_fork=lambda _: log(f"* {os.getpid()} Child Process Started."),
        before_exit=lambda _: log(f"* {os.getpid()} Child Process Ended."),
        on_reload=configuration.apply,
    )
    log("* Server Terminated.")


def main() -> int:
    parser = argparse.ArgumentParser(description="Tell the size of a text.")
    parser.add_argument("-f", dest="foreground", action="store_true", help="stay in the foreground")
    parser.add_argument("-t", dest="terminate", action="store_true", help="end the running server")
    parser.add_argument("-p", dest="port", type=int, default=36000, help="port (36000)")
    parser.add_argument("-d", dest="folder", type=Path, default=Path.home(), help="folder of log and pid file (~)")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    try:
        if arguments.terminate:
            log(f"{sys.argv[0]} {stop_server(folder / 'textsize.pid')} Server terminated.")
        else:
            serve(folder, f"127.0.0.1:{arguments.port}", daemon=not arguments.foreground)
    except (GeniiError, OSError) as error:
        print(f"{sys.argv[0]}: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, GeniiError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
