"""A job server as a program: sockets, journal, status page, log, signals; in the foreground or as a daemon."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genii.errors import UsageError
from genii.gearman.metrics import describe, render_metrics, render_text
from genii.gearman.server import JobServer
from genii.system.listen import is_loopback, listen_tcp, listen_unix
from genii.system.notify import notify

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from genii.events.http import Server
    from genii.gearman.journal import Durability
    from genii.gearman.settings import Settings
    from genii.system.listen import Address

__all__ = ["Serving", "default_journal", "serve"]

_log = logging.getLogger("genii.jobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What one may choose of the program; ``journal`` None: background jobs live in memory only."""

    listen: tuple[Address, ...]
    settings: Settings
    journal: Path | None = None
    durability: Durability = "group"
    http: str = ""
    log_file: str = ""
    log_level: int = logging.WARNING
    backlog: int = 1024
    descriptors: int = 0
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None


def default_journal(port: int) -> Path:
    """Return where the jobs of the server on this port are kept, whatever folder it is started in."""
    if os.geteuid() == 0:
        return Path("/var/lib/genii") / f"jobs-{port}"
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(state) / "genii" / f"jobs-{port}"


class Program:
    """The sockets and files of a job server, opened before it becomes a daemon so that what fails is seen."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self._handler: logging.Handler | None = None
        self.context = self._tls_context()
        self.sockets = [listener for address in serving.listen for listener in _listen(address, serving.backlog)]
        self._warn_of_openness()

    def _tls_context(self) -> ssl.SSLContext | None:
        serving = self.serving
        if serving.certificate is None:
            return None
        from genii.gearman.tls import server_context

        try:
            return server_context(serving.certificate, serving.key or serving.certificate, serving.authority)
        except OSError as error:
            raise UsageError(f"the TLS certificate {serving.certificate} can't be used: {error}") from error

    def _warn_of_openness(self) -> None:
        if self.context is None or self.serving.authority is None:
            for address in self.serving.listen:
                if not is_loopback(address):
                    print(
                        f"genii jobs: warning: anybody who can reach {address} can submit, run and cancel jobs; "
                        "use --ssl with --ssl-ca-file, or a firewall",
                        file=sys.stderr,
                    )

    @property
    def addresses(self) -> str:
        """The addresses that it listens at, with the ports that the kernel chose."""
        return ", ".join(_address(listener) for listener in self.sockets)

    def become(self, user: str) -> None:
        """Change to a user for good; the ports are open already."""
        from genii.system.privileges import become, resolve

        self.give_journal(user)
        become(resolve(user))

    def give_journal(self, user: str) -> None:
        """Make the journal's folder, and give it to a user."""
        from genii.system.privileges import resolve

        folder = self.serving.journal
        if folder is not None:
            identity = resolve(user)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (folder, *folder.iterdir()):
                os.chown(path, identity.uid, identity.gid)

    def open_log(self) -> None:
        """Open the log, or open it again after it was moved away."""
        path = self.serving.log_file
        root = logging.getLogger("genii")
        if self._handler is not None:
            root.removeHandler(self._handler)
            self._handler.close()
        self._handler = logging.FileHandler(path) if path else logging.StreamHandler()
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        root.addHandler(self._handler)
        root.setLevel(self.serving.log_level)

    def run(self, ready: Callable[[], None] | None = None) -> None:
        """Serve until a signal or a client's order ends it; ``ready`` is called when it does."""
        serving = self.serving
        self.open_log()
        _raise_descriptor_limit(serving.descriptors)
        journal = None
        if serving.journal is not None:
            from genii.gearman.journal import Journal

            journal = Journal(serving.journal, serving.durability)
        settings = replace_settings(serving.settings, pid=os.getpid(), durable=journal is not None)
        server = JobServer(settings, journal)
        with asyncio.Runner(loop_factory=server.new_event_loop) as runner:
            runner.run(self._main(server, ready))

    async def _main(self, server: JobServer, ready: Callable[[], None] | None) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, server.stop)
        loop.add_signal_handler(signal.SIGUSR1, lambda: server.stop(graceful=True))
        loop.add_signal_handler(signal.SIGHUP, self.open_log)
        page = await self._open_page(server)

        def serving() -> None:
            _log.info("serving at %s", self.addresses)
            notify("READY=1")
            if ready is not None:
                ready()

        try:
            await server.serve([(listener, self.context) for listener in self.sockets], serving)
        finally:
            if page is not None:
                await page.close(grace=0.5)
            for address in self.serving.listen:
                if address.path:
                    with suppress(OSError):
                        os.unlink(address.path)
        _log.info("ended")

    async def _open_page(self, server: JobServer) -> Server | None:
        """Serve status and metrics over HTTP."""
        if not self.serving.http:
            return None
        from genii.events.http import Server
        from genii.events.message import Request, Response
        from genii.events.router import Router
        from genii.system.listen import listen

        def description() -> dict[str, object]:
            failure = server.journal.failure if server.journal is not None else ""
            return describe(server.broker, time.time() - server.started, failure)

        def text(_: Request) -> Response:
            return Response.text(render_text(description()))

        def status(_: Request) -> Response:
            return Response.json(description())

        def metrics(_: Request) -> Response:
            body = render_metrics(description()).encode()
            return Response(200, body, "text/plain; version=0.0.4; charset=utf-8")

        router = Router()
        router.add("GET", "/", text)
        router.add("GET", "/status", status)
        router.add("GET", "/metrics", metrics)
        page = Server(router)
        await page.listen(listen(self.serving.http))
        return page


def replace_settings(settings: Settings, *, pid: int, durable: bool) -> Settings:
    """Return settings with what is known only when the program runs."""
    import msgspec

    return msgspec.structs.replace(settings, pid=pid, durable=durable)


def serve(serving: Serving) -> None:
    """Run a job server in this process until it is stopped.

    Raises UsageError, NotAllowed (the journal is in use) and OSError (an address is).
    """
    Program(serving).run()


def _listen(address: Address, backlog: int) -> list[socket.socket]:
    try:
        if address.path:
            return [listen_unix(address.path, backlog=backlog)]
        return listen_tcp(address.host, address.port, backlog=backlog)
    except OSError as error:
        error.add_note(f"while listening at {address}")
        raise


def _address(listener: socket.socket) -> str:
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def _raise_descriptor_limit(wanted: int) -> None:
    """Allow as many open files as asked for, or as the system permits; each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = min(wanted, hard) if wanted and hard != resource.RLIM_INFINITY else wanted or hard
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
