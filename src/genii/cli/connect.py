"""Find the supervisor that a command is meant for, and connect to it."""

from __future__ import annotations

import os

from genii.config.find import SYSTEM_FILE, find
from genii.config.ini.place import is_ini, state_dir
from genii.control.client import Client
from genii.errors import NotAllowed, UnknownProgram, UsageError
from genii.system.address import Address, parse_address
from genii.typed import TYPE_CHECKING
from genii.units import parse_duration

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["connect", "explain_unknown", "read_time", "socket_path"]


def connect(options: argparse.Namespace, *, timeout: float = 10.0) -> Client:
    """Return a client for the supervisor that the options name: ``--server``, or that of the configuration.

    Raises:
        UsageError: the address is none, or there is no configuration that leads to one.
        NotAllowed: a user is named, and no password.
    """
    server = options.server or os.environ.get("GENII_SERVER", "")
    if not server:
        return Client(Address(path=socket_path(options.config)), timeout=timeout)
    user, _, where = server.rpartition("@")
    password = os.environ.get("GENII_PASSWORD", "")
    if user and not password:
        raise NotAllowed(
            f"no password for {user}: set GENII_PASSWORD (it is not taken from the command line, as all can see that)"
        )
    return Client(
        parse_address(where.removeprefix("http://"), "127.0.0.1"), user=user, password=password, timeout=timeout
    )


def socket_path(config: str | None) -> str:
    """Return the path of the control socket without reading the configuration as a whole.

    Raises:
        UsageError: there is no configuration, or it is not TOML.
    """
    path = os.path.abspath(config) if config else find(os.getcwd(), os.environ)
    return os.path.join(_state_dir(path), "genii.sock")


def _state_dir(path: str) -> str:
    if is_ini(path):
        return state_dir(path)
    folder = os.path.dirname(path)
    default = "/run/genii" if path == SYSTEM_FILE else os.path.join(folder, ".genii")
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}") from None
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}; -c takes the configuration itself") from None
    if b"state_dir" not in data:
        return default  # the usual case, and TOML need not be parsed
    import tomllib

    try:
        table = tomllib.loads(data.decode("utf-8", "replace")).get("supervisor")
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error} ('genii check' tells more)") from None
    value = table.get("state_dir") if isinstance(table, dict) else None
    if not isinstance(value, str):
        return default
    if "$" in value or "{" in value:
        from genii.config.load import load

        return load(path).state_dir
    return os.path.join(folder, os.path.expanduser(value))


def explain_unknown(client: Client, names: Sequence[str]) -> _Explanation:
    """Add ``did you mean …?`` to the error that says that a name is unknown, unless it does so itself."""
    return _Explanation(client, names)


class _Explanation:
    """The context of ``explain_unknown``; by hand, as contextlib is imported for nothing else in a short command."""

    def __init__(self, client: Client, names: Sequence[str]) -> None:
        self._client = client
        self._names = names

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _place: object) -> None:
        if not isinstance(error, UnknownProgram) or "did you mean" in str(error):
            return
        from genii.cli.parser import suggest

        statuses = self._client.statuses()
        known = {status["name"] for status in statuses} | {status["program"] for status in statuses} | {"all"}
        hint = next((suggest(name, known) for name in self._names if name not in known), "")
        raise UnknownProgram(f"{error}{hint or ' (genii status lists them)'}") from None


def read_time(text: str, option: str = "--timeout") -> float:
    """Read the duration that an option has.

    Raises:
        UsageError: it is none.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
