#!/usr/bin/env python3
"""Send a text (standard input) and a newline to the text-size server, and print what it answers.

printf '月濡雨霽逆三餘\\n夜半昏昏對故書\\n窻視暈洸膚皓透\\n須臾轉翳四圍虛\\n' | python client.py
"""

from __future__ import annotations

import argparse
import socket
import sys


def ask(address: tuple[str, int], text: bytes) -> bytes:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(text + b"\n")
        answer = b""
        while part := connection.recv(4096):
            answer += part
    return answer


def main() -> int:
    parser = argparse.ArgumentParser(description="Ask the text-size server.")
    parser.add_argument("-p", dest="port", type=int, default=36000, help="port (36000)")
    arguments = parser.parse_args()
    try:
        answer = ask(("127.0.0.1", arguments.port), sys.stdin.buffer.read())
    except OSError as error:
        print(f"{sys.argv[0]}: port {arguments.port}: {error}", file=sys.stderr)
        return 1
    sys.stdout.buffer.write(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
