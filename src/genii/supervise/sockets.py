"""The listening sockets of programs: bound once, kept over restarts, passed on."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from genii.system.listen import listen_tcp, listen_unix, parse_address
from genii.system.privileges import resolve
from genii.system.process import copy_descriptor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from genii.supervise.model import Program, SocketSpec

__all__ = ["Sockets"]


FIRST = 3
"""The descriptor that the first socket of a program has there, see sd_listen_fds(3)."""


class Sockets:
    """All listening sockets, by their URL."""

    def __init__(self) -> None:
        self._bound: dict[str, tuple[SocketSpec, socket.socket]] = {}

    def of(self, program: Program) -> tuple[tuple[str, int], ...]:
        """Return the descriptors of a program's sockets by name; bind those that are not yet.

        Raises:
            OSError: an address can't be bound; the error names it.
        """
        return tuple((spec.name, self._get(spec).fileno()) for spec in program.sockets)

    def _get(self, spec: SocketSpec) -> socket.socket:
        known = self._bound.get(spec.url)
        if known is not None and known[0] == spec:
            return known[1]
        if known is not None:
            known[1].close()
        try:
            bound = _bind(spec)
        except OSError as error:
            raise OSError(error.errno, f"can't listen on {spec.url}: {error.strerror}") from None
        self._bound[spec.url] = (spec, bound)
        return bound

    def adopt(self, program: Program, process: int) -> None:
        """Take back the sockets that an earlier supervisor gave to a process (its pidfd): others may share them."""
        for number, spec in enumerate(program.sockets, FIRST):
            if spec.url in self._bound:
                continue
            try:
                found = socket.socket(fileno=copy_descriptor(process, number))
            except OSError:
                continue  # it has closed it, and whoever starts next binds it anew
            if _is_bound_to(found, spec):
                self._bound[spec.url] = (spec, found)
            else:
                found.close()

    def bound(self) -> list[tuple[str, int]]:
        """Return the URL and the descriptor of each."""
        return [(url, bound.fileno()) for url, (_, bound) in self._bound.items()]

    def restore(self, url: str, descriptor: int, programs: Iterable[Program]) -> None:
        """Take in a socket that was bound before this program was executed."""
        spec = next((spec for program in programs for spec in program.sockets if spec.url == url), None)
        if spec is None:
            os.close(descriptor)
        else:
            self._bound[url] = (spec, socket.socket(fileno=descriptor))

    def keep_only(self, wanted: set[str]) -> None:
        """Close the sockets whose URL is not in ``wanted``."""
        for url in [url for url in self._bound if url not in wanted]:
            self._bound.pop(url)[1].close()

    def close(self) -> None:
        """Close all."""
        self.keep_only(set())


def _is_bound_to(found: socket.socket, spec: SocketSpec) -> bool:
    """Say whether a socket listens where it is declared; the program may have put another in its place."""
    address = parse_address(spec.url)
    try:
        name = found.getsockname()
        listens = bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False
    return listens and (name == address.path if address.path else name[1] == address.port)


def _bind(spec: SocketSpec) -> socket.socket:
    address = parse_address(spec.url)
    if not address.path:
        first, *others = listen_tcp(address.host, address.port, backlog=spec.backlog)
        for other in others:  # a name with several addresses: one name, one descriptor
            other.close()
        first.setblocking(True)
        return first
    bound = listen_unix(address.path, mode=spec.mode, backlog=spec.backlog)
    bound.setblocking(True)
    if spec.user or spec.group:
        identity = resolve(spec.user, spec.group)
        os.chown(address.path, identity.uid if spec.user else -1, identity.gid, follow_symlinks=False)
    return bound
