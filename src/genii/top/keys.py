"""From the bytes that a terminal sends to the names of keys. No I/O."""

from __future__ import annotations

import re

__all__ = ["KeyReader"]

_NAMES = {
    "\x1b[A": "up", "\x1b[B": "down", "\x1bOA": "up", "\x1bOB": "down", "\x1b[5~": "page-up", "\x1b[6~": "page-down",
    "\x1b[H": "home", "\x1b[F": "end", "\x1bOH": "home", "\x1bOF": "end", "\x1b[1~": "home", "\x1b[4~": "end",
    "\x1b[C": "right", "\x1b[D": "left", "\x1b[3~": "delete", "\x1b": "escape", "\r": "enter", "\n": "enter",
    " ": "space", "\x7f": "backspace", "\x08": "backspace", "\t": "tab",
}  # fmt: skip
_KEY = re.compile(r"\x1b(?:\[[0-9;?]*[@-~]|O[@-~])|.", re.DOTALL)
_BEGUN = re.compile(r"\x1b(?:\[[0-9;?]*|O)\Z")


class KeyReader:
    """Cut what comes into keys; sequences may come in pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._text = ""

    def feed(self, data: bytes) -> list[str]:
        """Return the names of keys: ``up``, ``enter``… or the character itself; unknown sequences are left out."""
        raw = self._rest + data
        for cut in range(len(raw), max(-1, len(raw) - 4), -1):
            try:
                text = raw[:cut].decode()
                break
            except UnicodeDecodeError:
                continue
        else:
            text, cut = raw.decode("utf-8", "ignore"), len(raw)
        self._rest = raw[cut:]
        text = self._text + text
        begun = _BEGUN.search(text)
        self._text = text[begun.start() :] if begun else ""
        keys = _KEY.findall(text[: begun.start()] if begun else text)
        return [_NAMES.get(key, key) for key in keys if key in _NAMES or key.isprintable()]
