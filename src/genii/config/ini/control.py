"""The sections about supervisorctl: [supervisorctl] and [ctlplugin:x]. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from genii.config.ini.reader import Outside, Reader

__all__ = ["Control", "ControlPlugin", "read_control", "read_control_plugin"]

_FACTORY = "supervisor.ctl_factory"


class ControlPlugin(msgspec.Struct, frozen=True):
    """A section [ctlplugin:x]: more commands."""

    name: str
    factory: str
    """``module:callable``"""
    options: dict[str, str]


class Control(msgspec.Struct, frozen=True):
    """The section [supervisorctl], and the plugins."""

    serverurl: str = "http://localhost:9001"
    username: str = ""
    password: str = ""
    prompt: str = "supervisor"
    history_file: str = ""
    plugins: tuple[ControlPlugin, ...] = ()


def read_control(reader: Reader, outside: Outside) -> Control:
    """Read the section [supervisorctl]."""
    history = reader.text("history_file")
    control = Control(
        serverurl=reader.text("serverurl", "http://localhost:9001"),
        username=reader.text("username"),
        password=reader.text("password"),
        prompt=reader.text("prompt", "supervisor"),
        history_file=outside.expand_home(history) if history else "",
    )
    reader.finish()
    return control


def read_control_plugin(reader: Reader) -> ControlPlugin:
    """Read a section [ctlplugin:x]."""
    factory = reader.text(_FACTORY).strip()
    if ":" not in factory:
        reader.error(f"lacks the option {_FACTORY} = module:callable", _FACTORY)
    options = {key: reader.text(key) for key in reader.section.options if key != _FACTORY}
    return ControlPlugin(reader.section.label, factory, options)
