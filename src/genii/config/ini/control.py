"""Read only [supervisorctl] of a file in supervisord's language: a client may not be able to see what else it names."""

from __future__ import annotations

import os

from genii.config.ini.daemon import read_control
from genii.config.ini.declaration import Control
from genii.config.ini.expand import exported
from genii.config.ini.load import Machine, read_text
from genii.config.ini.reader import Reader
from genii.config.source import Faults
from genii.errors import ConfigError

__all__ = ["load_control"]


def load_control(path: str) -> Control:
    """Return the settings of supervisorctl; without a path (or the section) the defaults.

    Raises:
        ConfigError: the file can't be read, or the section is wrong.
    """
    if not path:
        return Control()
    faults = Faults()
    text, _ = read_text(path, os.environ, _contents, faults)
    section = text.sections.get("supervisorctl") if text is not None else None
    control = Control()
    if section is not None:
        names = {**exported(os.environ), "here": os.path.dirname(path)}
        control = read_control(Reader(section, faults, names), Machine(os.environ))
    if faults.problems:
        raise ConfigError(faults.all_problems())
    return control


def _contents(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}; check the path and its permissions") from None
