"""supervisord's side of the daemon: what ``genii.control.daemon`` does besides for a file in supervisord's language."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from genii.errors import GeniiError
from genii.supervisord.dispatch import Dispatcher
from genii.supervisord.interface import Interface
from genii.supervisord.mainlog import dress_log
from genii.supervisord.server import Front
from genii.supervisord.service import Mood, Service
from genii.system.trusted import open_trusted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from genii.supervise.model import Settings
    from genii.supervise.supervisor import Supervisor
    from genii.supervisord.server import Released

__all__ = ["Runtime"]

_log = logging.getLogger("genii.supervisord")
_MAIN_INTERFACE = "supervisor.rpcinterface:make_main_rpcinterface"


class Runtime:
    """supervisord over one supervisor; made before that runs."""

    def __init__(self, supervisor: Supervisor, load: Callable[[], Awaitable[Settings]], *, echo: bool) -> None:
        """Take over the log; with ``echo`` it is shown on standard output too."""
        self.service = Service(supervisor, load)
        daemon = self.service.declaration.daemon
        dress_log(daemon, self.service.syslog, echo=echo and not daemon.silent)
        for path in self.service.declaration.included:
            _log.info('Included extra file "%s" during parsing', path)
        if os.geteuid() == 0 and not daemon.user:
            _log.critical(
                "Supervisor is running as root.  Privileges were not dropped because no user is specified in the "
                "config file.  If you intend to run as root, you can set user=root in the config file to avoid this "
                "message."
            )
        self._front = Front(self.service, Dispatcher(self.service, self._namespaces()))
        self._pidfile = daemon.pidfile

    def _namespaces(self) -> dict[str, object]:
        """Return the namespaces that the configuration declares; without any, only ``system`` is there."""
        found: dict[str, object] = {}
        for plugin in self.service.declaration.plugins:
            if plugin.factory == _MAIN_INTERFACE:
                found[plugin.name] = Interface(self.service)
                _log.info("RPC interface '%s' initialized", plugin.name)
                continue
            from genii.supervisord.plugins import load_callable

            try:
                found[plugin.name] = load_callable(plugin.factory)(self.service, **plugin.options)
                _log.info("RPC interface '%s' initialized", plugin.name)
            except Exception as error:
                _log.critical(
                    "[rpcinterface:%s] can't be served: %s (plugins that use supervisord's internals need supervisord)",
                    plugin.name,
                    error,
                )
        return found

    async def open(self) -> None:
        """Listen for supervisord's clients; ``start_serving`` answers them.

        Raises:
            NotAllowed: an address is taken.
        """
        await self._front.open()
        self.service.make_logs()
        self._write_pidfile()

    async def start_serving(self) -> None:
        """Answer supervisord's clients from now on."""
        await self._front.start_serving()

    @property
    def rests(self) -> bool:
        """Say whether nothing that a client asked for is half done."""
        return self._front.rests

    async def release(self, grace: float) -> None:
        """Serve no more for now: who connects has to wait for ``resume``, here or in another program."""
        await self._front.release(grace)

    @property
    def released(self) -> Released:
        """The released sockets, by the section that declares them: those that listen, and connections."""
        return self._front.released

    async def resume(self) -> None:
        """Serve again after ``release``."""
        await self._front.resume()

    def declaration(self) -> str:
        """Return the declaration of what runs, as it is in ``Settings.supervisord``."""
        return self.service.effective()

    def memory(self) -> dict[str, Any]:
        """Return what another version of this has to know besides the state of the supervisor."""
        return self.service.memory()

    def restore(self, memory: dict[str, Any]) -> None:
        """Go on with what another version knew."""
        self.service.restore(memory)

    async def serve(self, released: Released) -> None:
        """Serve on sockets that were served before this program was executed."""
        await self._front.serve(released)

    def _write_pidfile(self) -> None:
        try:
            with open(self._pidfile, "w", encoding="ascii", opener=open_trusted) as file:
                file.write(f"{os.getpid()}\n")
        except OSError as error:
            _log.critical("could not write pidfile %s: %s", self._pidfile, error.strerror)
        else:
            _log.info("supervisord started with pid %d", os.getpid())

    def _remove_pidfile(self) -> None:
        with suppress(OSError, ValueError), open(self._pidfile, encoding="ascii") as file:
            if int(file.read(20)) == os.getpid():
                os.unlink(self._pidfile)

    async def close(self) -> None:
        """Let go of everything."""
        await self._front.close()
        self.service.close()
        self._remove_pidfile()

    @property
    def stopping(self) -> bool:
        """Say whether everything is being stopped."""
        return self.service.mood is not Mood.RUNNING

    @property
    def begins_again(self) -> bool:
        """Say whether the end is that of a restart."""
        return self.service.mood is Mood.RESTARTING

    def end(self, number: int) -> None:
        """Stop everything because of a signal."""
        import signal

        _log.warning("received %s indicating exit request", signal.Signals(number).name)
        self.service.shut_down()

    async def hang_up(self) -> None:
        """Begin anew because of SIGHUP, unless the configuration is broken."""
        if self.stopping:
            return
        try:
            await self.service.load()
        except GeniiError as error:
            _log.error("received SIGHUP, but the configuration is broken and everything is left as it is: %s", error)
            return
        _log.warning("received SIGHUP indicating restart request")
        self.service.shut_down(Mood.RESTARTING)

    def reopen(self) -> None:
        """Open all logs anew because of SIGUSR2."""
        _log.info("received SIGUSR2 indicating log reopen request")
        self.service.reopen()
        self.service.make_logs()
