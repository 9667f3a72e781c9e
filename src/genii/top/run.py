"""Run the full-screen view: streams in threads, keys and drawing in one loop."""

from __future__ import annotations

import os
import selectors
import signal
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from genii.errors import GeniiError
from genii.top.draw import Style, draw, table_height
from genii.top.keys import KeyReader
from genii.top.model import Model
from genii.top.screen import Screen
from genii.top.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from genii.control.client import Client
    from genii.control.rows import ResultRow
    from genii.top.view import Wish

__all__ = ["run"]

_AGAIN = 1.0
"""Seconds after which a lost supervisor is looked for again."""
_FASTEST = 0.05
"""Seconds between two drawings, however much happens."""
_LOG_LINES = 1000
_ASK = 2.0
"""Seconds between two questions about a page that the live stream tells nothing of."""


def run(client: Client, keyboard: int, display: int, *, colour: bool, unicode: bool) -> None:
    """Show the view on a terminal until somebody leaves it; nothing is stopped by that."""
    style = Style(colour=colour, unicode=unicode, offset=time.localtime().tm_gmtoff)
    with Screen(keyboard, display) as screen:
        _Top(client, screen, style).run()


class _Top:
    """The loop, and what the threads tell it."""

    def __init__(self, client: Client, screen: Screen, style: Style) -> None:
        self._client = client
        self._screen = screen
        self._style = style
        self._model = Model()
        self._view = View()
        self._keys = KeyReader()
        self._told: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._log = 0
        """Number of the log that is followed now; threads of earlier ones are no longer listened to."""
        self._size = screen.size()
        self._page = threading.Event()
        """Set when another page is shown: whoever asks for the one before stops."""

    def run(self) -> None:
        """Show, until ``q`` or Ctrl-C."""
        old = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        handlers = {
            signal.SIGWINCH: signal.signal(signal.SIGWINCH, lambda *_: None),
            signal.SIGTSTP: signal.signal(signal.SIGTSTP, lambda *_: self._pause()),
            signal.SIGTERM: signal.signal(signal.SIGTERM, _interrupt),
            signal.SIGHUP: signal.signal(signal.SIGHUP, _interrupt),
        }
        threading.Thread(target=self._follow, daemon=True).start()
        try:
            self._loop()
        except KeyboardInterrupt:
            return
        finally:
            signal.set_wakeup_fd(old)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _loop(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._screen.keyboard, selectors.EVENT_READ)
            selector.register(self._reading, selectors.EVENT_READ)
            drawn = 0.0
            while True:
                self._draw()
                drawn = time.monotonic()
                # The next full second moves the clocks in the table, though nothing else happens.
                ready = {key.fd for key, _ in selector.select(1.0)}
                if self._screen.keyboard in ready:
                    data = os.read(self._screen.keyboard, 4096)
                    if not data or self._press(data):
                        return
                elif ready:
                    time.sleep(max(0.0, drawn + _FASTEST - time.monotonic()))
                self._listen()

    def _draw(self) -> None:
        size = self._screen.size()
        if size != self._size:
            self._size = size
            self._screen.forget()
        self._screen.show(draw(self._view, self._model, self._style, *size, time.time()))

    def _listen(self) -> None:
        """Take in what the threads told."""
        try:
            while os.read(self._reading, 4096):
                continue
        except BlockingIOError:
            pass
        try:
            while True:
                self._told.get_nowait()()
        except Empty:
            return

    def _tell(self, what: Callable[[], None]) -> None:
        """Have something done by the loop; called in threads."""
        self._told.put(what)
        try:
            os.write(self._writing, b"\0")
        except BlockingIOError:
            return  # it is awake anyway

    def _press(self, data: bytes) -> bool:
        """Take in keys; say whether to leave."""
        for key in self._keys.feed(data):
            wish = self._view.press(key, self._model, table_height(self._size[1]))
            if wish is None:
                continue
            if wish.kind == "quit":
                return True
            if wish.kind == "ask":
                self._page.set()
                self._page = threading.Event()
                self._model.queue.clear()
                threading.Thread(target=self._ask, args=(wish, self._page), daemon=True).start()
            elif wish.kind == "log":
                self._page.set()
                self._open_log(wish.names[0])
            else:
                threading.Thread(target=self._act, args=(wish,), daemon=True).start()
        return False

    def _pause(self) -> None:
        """Let the shell have its terminal (Ctrl-Z), and take it again when we go on."""
        self._screen.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._screen.enter()

    # ------------------------------------------------------------------ in threads

    def _follow(self) -> None:
        """Follow the supervisor for ever; when it is gone, until it is back."""
        while True:
            try:
                for batch in self._client.live():
                    self._tell(lambda batch=batch: self._take(batch))  # type: ignore[misc]
                problem = "the supervisor has ended"
            except GeniiError as error:
                problem = str(error)
            self._tell(lambda problem=problem: self._model.lose(problem))  # type: ignore[misc]
            time.sleep(_AGAIN)

    def _take(self, batch: list[tuple[str, Any]]) -> None:
        for kind, data in batch:
            self._model.take(kind, data)

    def _ask(self, wish: Wish, left: threading.Event) -> None:
        """Ask for the figures of a page for as long as it is shown."""
        while not left.is_set():
            try:
                taken = self._answer(wish)
                if taken is None:
                    return
                self._tell(taken)
            except GeniiError as error:
                self._tell(lambda text=str(error): self._say(text, failed=True))  # type: ignore[misc]
            left.wait(_ASK)

    def _answer(self, wish: Wish) -> Callable[[], None] | None:
        """Ask once; returns what takes the answer in, None for a page that the live stream tells all about."""
        client, model = self._client, self._model
        if wish.action == "pools":
            pools, programs = client.pools(), client.programs()
            return lambda: model.take_pools(pools, programs)
        if wish.action == "schedules":
            programs = client.programs()
            return lambda: model.take_programs(programs)
        if wish.action == "jobs":
            servers = client.job_servers()
            return lambda: model.take_servers(servers, time.time())
        if wish.action == "queue":
            jobs = client.queued_jobs(*wish.names)
            return lambda: model.take_queue(jobs)
        return None

    def _open_log(self, name: str) -> None:
        self._log += 1
        self._model.lines.clear()
        self._model.skipped = 0
        threading.Thread(target=self._follow_log, args=(name, self._log), daemon=True).start()

    def _follow_log(self, name: str, number: int) -> None:
        try:
            for row in self._log_rows(name):
                if number != self._log:
                    return
                self._tell(lambda row=row: self._take_log(number, row["lines"], row.get("skipped", 0)))  # type: ignore[misc]
        except GeniiError as error:
            self._tell(lambda text=str(error): self._take_log(number, [f"genii: {text}"], 0))  # type: ignore[misc]

    def _log_rows(self, name: str) -> Iterator[Any]:
        return self._client.follow_logs([name], _LOG_LINES, 0.0, paced=True)

    def _take_log(self, number: int, lines: list[str], skipped: int) -> None:
        if number == self._log:
            self._model.take_log(lines, skipped)

    def _act(self, wish: Wish) -> None:
        self._tell(lambda: self._say(f"{wish.action or wish.kind} {' '.join(wish.names[:3])}…", failed=False))
        try:
            results = self._carry_out(wish)
            failed = [result for result in results if not result["ok"]]
            said = [f"{result['name']}: {result['message'] or result['code']}" for result in failed or results]
            message = "  ".join(said[:3]) + (f"  and {len(said) - 3} more" if len(said) > 3 else "")
            self._tell(lambda: self._say(message or f"{wish.action}: nothing to do", failed=bool(failed)))
        except GeniiError as error:
            text = str(error)
            self._tell(lambda: self._say(text, failed=True))

    def _carry_out(self, wish: Wish) -> list[ResultRow]:
        if wish.kind == "input":
            return self._client.send_input(wish.names[0], wish.text + "\n")
        if wish.kind == "cancel":
            return self._client.cancel_job(wish.server, wish.names[0])
        if wish.kind == "drain-server":
            return self._client.drain_server(wish.server)
        more: dict[str, object] = {}
        if wish.action == "signal":
            more["signal"] = wish.signal
        if wish.action == "scale":
            more["minimum"], more["maximum"] = wish.numbers
        if wish.action == "drain":
            more["wait"] = False
        if wish.text == "rolling":
            more["rolling"] = True
        return self._client.act(wish.action, wish.names, **more)  # type: ignore[arg-type]

    def _say(self, message: str, *, failed: bool) -> None:
        self._view.message, self._view.failed = message, failed


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
