"""The faults of supervisord's XML-RPC interface, by code and name. No I/O.

See http://supervisord.org/api.html and the tables of its ``xmlrpc.Faults``: clients compare codes, people read names.
"""

from __future__ import annotations

from genii.errors import GeniiError

__all__ = ["NAMES", "SUCCESS", "Fault"]

NAMES = {
    1: "UNKNOWN_METHOD", 2: "INCORRECT_PARAMETERS", 3: "BAD_ARGUMENTS", 4: "SIGNATURE_UNSUPPORTED",
    6: "SHUTDOWN_STATE", 10: "BAD_NAME", 11: "BAD_SIGNAL", 20: "NO_FILE", 21: "NOT_EXECUTABLE", 30: "FAILED",
    40: "ABNORMAL_TERMINATION", 50: "SPAWN_ERROR", 60: "ALREADY_STARTED", 70: "NOT_RUNNING", 80: "SUCCESS",
    90: "ALREADY_ADDED", 91: "STILL_RUNNING", 92: "CANT_REREAD",
}  # fmt: skip
_CODES = {name: code for code, name in NAMES.items()}
SUCCESS = 80


class Fault(GeniiError):
    """Answer a call with a fault; made by its name: ``Fault("BAD_NAME", "web")``."""

    def __init__(self, name: str, extra: str = "") -> None:
        super().__init__(f"{name}: {extra}" if extra else name)
        self.number = _CODES[name]
        self.text = str(self)
