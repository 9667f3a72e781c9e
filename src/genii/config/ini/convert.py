"""Convert a file in supervisord's language to genii.toml: the shell around ``export``."""

from __future__ import annotations

import os

from genii.config.ini.declaration import decode
from genii.config.ini.export import to_toml
from genii.config.ini.files import read_text
from genii.config.ini.machine import Machine
from genii.config.load import load
from genii.config.source import Faults

__all__ = ["convert"]


def convert(path: str) -> str:
    """Return the genii.toml that is equivalent to a file.

    Raises:
        ConfigError: the file is wrong.
    """
    declaration = decode(load(path).supervisord)
    texts: list[str] = []

    def contents(name: str) -> bytes:
        with open(name, "rb") as file:
            data = file.read()
        texts.append(data.decode("utf-8", "replace"))
        return data

    faults = Faults()
    text, _ = read_text(path, os.environ, contents, faults)
    assert text is not None
    return to_toml(path, text, "\n".join(texts), declaration, Machine(os.environ), faults)
