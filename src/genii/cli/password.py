"""The password for sudo: from a file, the keyring or the person; never from the command line, and shown nowhere."""

from __future__ import annotations

import os
import shlex
import stat

from genii.errors import UsageError

__all__ = ["read_password"]


def read_password(how: str | None) -> str | None:
    """Return the password that ``how`` leads to: ``ask``, ``file:PATH``, ``keyring:SERVICE``; None: there is none.

    Raises:
        UsageError: it is none of these, or there is nothing there.
    """
    if how is None:
        return None
    kind, _, where = how.partition(":")
    if how == "ask":
        import getpass

        try:
            return getpass.getpass("password for sudo: ")
        except EOFError:
            raise UsageError("no password was typed") from None
    if kind == "file" and where:
        return _from_file(os.path.expanduser(where))
    if kind == "keyring" and where:
        return _from_keyring(where)
    # What was written may be the password itself: it is not repeated.
    raise UsageError("--sudo-password says where the password is: ask, file:PATH or keyring:SERVICE")


def _from_file(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise UsageError(f"others can read {path}: chmod 600 {path}")
            password = file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the password can't be read from {path}: {getattr(error, 'strerror', error)}") from None
    if not password:
        raise UsageError(f"the first line of {path} is empty; the password belongs there")
    return password


def _from_keyring(service: str) -> str:
    import getpass

    from genii.fleet.parts import need

    keyring, user = need("keyring", "a password of the keyring", "keyring"), getpass.getuser()
    try:
        found: str | None = keyring.get_password(service, user)
    except Exception as error:  # those of its many back ends have nothing in common; none tells the password
        raise UsageError(f"the keyring does not give the password: {str(error) or type(error).__name__}") from None
    if found is None:
        raise UsageError(
            f"the keyring has no password of {user} for {service!r}: keyring set {shlex.quote(service)} {user}"
        )
    return found
