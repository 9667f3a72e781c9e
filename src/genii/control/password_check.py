"""Check a password in a process of its own: OpenSSL's scrypt would add 6 MiB to the supervisor for ever.

Executed by itself (``python -I -S password_check.py``): takes stored and given password as JSON on standard input, so
that they are in no process list, and prints ``right`` or ``wrong``.
"""

from __future__ import annotations

import os
import sys

__all__ = ["check", "main"]


def check(stored: str, given: str) -> bool:
    """Say whether a password is right; blocks for about 100 ms, so call it in a thread."""
    import subprocess

    import msgspec

    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run(
        [sys.executable, "-I", "-S", os.path.abspath(__file__)],
        input=msgspec.json.encode([stored, given.encode("utf-8", "surrogateescape").hex()]),
        stdout=subprocess.PIPE,
        env={"GENII_SYS_PATH": path},
        check=False,
    )
    # Not the exit code: as PID 1 somebody else may have reaped it.
    return done.stdout == b"right"


def main() -> int:
    """Print whether the password on standard input is right."""
    sys.path[:0] = os.environ.pop("GENII_SYS_PATH", "").split(os.pathsep)
    import json

    from genii.control.password import verify

    stored, given = json.loads(sys.stdin.buffer.read())
    sys.stdout.write("right" if verify(stored, bytes.fromhex(given).decode("utf-8", "surrogateescape")) else "wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
