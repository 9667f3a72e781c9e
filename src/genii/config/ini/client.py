"""Read only what is for supervisorctl in a file in supervisord's language: all else it may not be able to see."""

from __future__ import annotations

import os

import msgspec

from genii.config.ini.control import Control, read_control, read_control_plugin
from genii.config.ini.expand import exported
from genii.config.ini.files import read_text
from genii.config.ini.machine import Machine
from genii.config.ini.reader import Reader
from genii.config.source import Faults
from genii.errors import ConfigError

__all__ = ["load_control"]


def load_control(path: str) -> Control:
    """Return the settings of supervisorctl; without a path (or the section) the defaults.

    Raises:
        ConfigError: the file can't be read, or a section is wrong.
    """
    if not path:
        return Control()
    faults = Faults()
    text, _ = read_text(path, os.environ, _contents, faults)
    names = {**exported(os.environ), "here": os.path.dirname(path)}
    control, plugins = Control(), []
    for section in text.sections.values() if text is not None else ():
        reader = Reader(section, faults, names)
        if section.name == "supervisorctl":
            control = read_control(reader, Machine(os.environ))
        elif section.kind == "ctlplugin":
            plugins.append(read_control_plugin(reader))
    if faults.problems:
        raise ConfigError(faults.all_problems())
    return msgspec.structs.replace(control, plugins=tuple(plugins))


def _contents(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}; check the path and its permissions") from None
