"""TLS for the job server's connections."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from genii.gearman.link import Link
from genii.gearman.reactor import READ, WRITE

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from genii.gearman.jobs import Peer
    from genii.gearman.link import Carrier

__all__ = ["TlsLink", "client_context", "server_context", "wrap"]


def server_context(certificate: Path, key: Path, authority: Path | None) -> ssl.SSLContext:
    """Load a server's certificate; with an authority, clients must have a certificate that it signed.

    Raises OSError (ssl.SSLError) when a file can't be read or does not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if authority is not None:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(authority: Path | None, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Trust an authority (None: the system's), and show a certificate if there is one."""
    context = ssl.create_default_context(cafile=authority)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def wrap(context: ssl.SSLContext, connection: socket.socket) -> ssl.SSLSocket:
    """Put TLS on an accepted connection; the handshake follows as bytes arrive."""
    return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)


class TlsLink(Link):
    """A connection with TLS: it shakes hands first, and reads until nothing is left in the library's buffer."""

    __slots__ = ("_shaken", "_tls")

    def __init__(self, server: Carrier, connection: ssl.SSLSocket, peer: Peer) -> None:
        super().__init__(server, connection, peer)
        self._tls = connection
        self._shaken = False
        self.reading = READ
        self._recv = self._recv_tls
        self._send = self._send_tls

    def ready(self, events: int) -> None:
        """Shake hands, read or write."""
        if not self._shaken:
            self._shake_hands()
        else:
            if events & WRITE:
                self.write_backlog()
            if events & ~WRITE:
                self.read()

    def _shake_hands(self) -> None:
        reactor, descriptor = self.reactor, self.socket.fileno()
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            reactor.change(descriptor, READ)
        except ssl.SSLWantWriteError:
            reactor.change(descriptor, WRITE)
        except (OSError, ValueError):
            self.close()
        else:
            self._shaken = True
            reactor.change(descriptor, READ)
            self.read()

    def read(self) -> bool:
        """Hand all that has arrived to the broker: epoll knows nothing of what the library holds already."""
        found = False
        while self.peer.link is self and super().read():
            found = True
        return found

    def _recv_tls(self, size: int) -> bytes:
        try:
            return self._tls.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except ValueError:  # the connection was closed meanwhile
            return b""

    def _send_tls(self, data: bytes | memoryview) -> int:
        try:
            return self._tls.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
