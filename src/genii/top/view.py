"""What is shown and what a key does about it: keys and a model in, wishes out. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from genii.top.model import alarming

if TYPE_CHECKING:
    from collections.abc import Callable

    from genii.control.rows import StatusRow
    from genii.top.model import Model

__all__ = ["COLUMNS", "SIGNALS", "View", "Wish"]

COLUMNS = ("as declared", "name", "state", "up", "restarts", "cpu", "memory")
SIGNALS = ("HUP", "USR1", "USR2", "INT", "TERM", "QUIT", "CONT", "STOP", "KILL")
_ORDER = {"FATAL": 0, "UNKNOWN": 0, "BACKOFF": 1, "EXITED": 2, "STARTING": 3, "STOPPING": 3, "RUNNING": 4, "STOPPED": 5}


class Wish(NamedTuple):
    """What the view asks for: ``quit``, ``log`` (follow the log of a process), ``act`` (one of the API's actions)."""

    kind: str
    action: str = ""
    names: tuple[str, ...] = ()
    numbers: tuple[int, int] = (0, 0)
    signal: str = ""


class View:
    """The state of the screen."""

    def __init__(self) -> None:
        self.page = "table"
        """``table``, ``log``, ``events`` or ``help``."""
        self.sort = 0
        self.down = False
        self.filter = ""
        self.attention = False
        self.cursor = ""
        """Name of the process that the bar is on."""
        self.at = 0
        """Which row that was, for when the process is gone."""
        self.top = 0
        self.selected: set[str] = set()
        self.message = ""
        self.failed = False
        self.prompt = ""
        """What is asked for in the last line; empty: nothing."""
        self.answer = ""
        self._done: Callable[[str], Wish | None] = lambda _: None
        self.log_name = ""
        self.search = ""
        self.paused: list[str] | None = None
        """The lines that are shown although more have come; None: it goes on."""
        self.back = 0
        """How many lines above the end of the log one looks."""

    # ------------------------------------------------------------------ what is shown

    def shown(self, model: Model) -> list[StatusRow]:
        """Return the processes of the table, in order."""
        words = self.filter.lower().split()
        rows = [
            row
            for row in model.rows.values()
            if (not self.attention or alarming(row))
            and all(word in f"{row['name']} {row['state']} {row['reason']}".lower() for word in words)
        ]
        if self.sort:
            rows.sort(key=lambda row: self._key(row, model), reverse=self.down)
        return rows

    def _key(self, row: StatusRow, model: Model) -> tuple[float, str]:
        cpu, memory = model.usage.get(row["name"], (0.0, 0)) if row["pid"] else (-1.0, -1)
        value = {
            "name": 0.0,
            "state": float(_ORDER.get(row["state"], 2)),
            "up": row["started"] if row["pid"] else float("inf"),
            "restarts": -float(row["restarts"]),
            "cpu": -cpu,
            "memory": -float(memory),
        }[COLUMNS[self.sort]]
        return value, row["name"]

    def lines(self, model: Model) -> list[str]:
        """Return the lines of the log that match the search."""
        lines = list(model.lines) if self.paused is None else self.paused
        return [line for line in lines if self.search.lower() in line.lower()] if self.search else lines

    def keep_in_view(self, names: list[str], height: int) -> None:
        """Have the bar on a row that there is, and that row on the screen."""
        if self.cursor not in names:
            self.cursor = names[min(self.at, len(names) - 1)] if names else ""
        if not names:
            self.top = 0
            return
        self.at = names.index(self.cursor)
        self.top = max(0, min(self.top, self.at, max(0, len(names) - height)))
        if self.at >= self.top + height:
            self.top = self.at - height + 1

    # ------------------------------------------------------------------ what keys do

    def press(self, key: str, model: Model, height: int) -> Wish | None:
        """Take one key; ``height`` is the number of rows on the screen."""
        if self.prompt:
            return self._type(key)
        self.message = ""
        if key == "q" and self.page == "table":
            return Wish("quit")
        if key == "?":
            self.page = "table" if self.page == "help" else "help"
        elif key in ("escape", "q", "left") and self.page != "table":
            self.page = "table"
        elif key == "escape":
            self.filter, self.attention = "", False
            self.selected.clear()
        elif key == "e":
            self.page = "events"
        elif self.page == "log":
            self._press_in_log(key, model, height)
        elif self.page == "table":
            return self._press_in_table(key, model, height)
        return None

    def _press_in_log(self, key: str, model: Model, height: int) -> None:
        most = max(0, len(self.lines(model)) - height)
        step = {
            "up": 1,
            "k": 1,
            "down": -1,
            "j": -1,
            "page-up": height,
            "page-down": -height,
            "home": most,
            "end": -most,
        }
        if key in step:
            if self.paused is None and step[key] > 0:
                self.paused = list(model.lines)
            self.back = max(0, min(most, self.back + step[key]))
        elif key == "/":
            self._ask("search: ", self._search)
        elif key in ("p", "space"):
            self.paused = list(model.lines) if self.paused is None else None
            self.back = 0
        elif key == "f":
            self.paused, self.back = None, 0

    def _press_in_table(self, key: str, model: Model, height: int) -> Wish | None:
        names = [row["name"] for row in self.shown(model)]
        self.keep_in_view(names, height)
        step = {"up": -1, "k": -1, "down": 1, "j": 1, "page-up": -height, "page-down": height, "home": -len(names),
                "end": len(names)}  # fmt: skip
        if key in step and names:
            self.cursor = names[max(0, min(len(names) - 1, self.at + step[key]))]
            self.keep_in_view(names, height)
        elif key in ("<", ">"):
            self.sort = (self.sort + (1 if key == ">" else -1)) % len(COLUMNS)
        elif key == "o":
            self.down = not self.down
        elif key == "/":
            self._ask("filter: ", self._set_filter, self.filter)
        elif key == "!":
            self.attention = not self.attention
        elif names:
            return self._press_on_row(key, model)
        return None

    def _press_on_row(self, key: str, model: Model) -> Wish | None:
        names = tuple(sorted(self.selected & model.rows.keys())) or (self.cursor,)
        if key == "space":
            self.selected ^= {self.cursor}
        elif key in ("enter", "l"):
            self.page, self.log_name, self.paused, self.back, self.search = "log", self.cursor, None, 0, ""
            return Wish("log", names=(self.cursor,))
        elif key == "s":
            running = any(model.rows[name]["pid"] or model.rows[name]["state"] == "BACKOFF" for name in names)
            if not running:
                return Wish("act", "start", names)
            self._confirm("stop", names)
        elif key == "r":
            if len(names) == 1:
                return Wish("act", "restart", names)
            self._confirm("restart", names)
        elif key == "R":
            return Wish("act", "reload", names)
        elif key == "x":
            self._ask(
                f"signal for {_few(names)} ({' '.join(SIGNALS)}): ", lambda text: self._signal(text, names), "HUP"
            )
        elif key in ("+", "-"):
            program = model.rows[self.cursor]["program"]
            have = sum(row["program"] == program for row in model.rows.values())
            self._ask(f"how many of {program}: ", lambda text: self._scale(program, text), str(have))
        return None

    # ------------------------------------------------------------------ the last line

    def _ask(self, prompt: str, done: Callable[[str], Wish | None], answer: str = "") -> None:
        self.prompt, self.answer, self._done = prompt, answer, done

    def _type(self, key: str) -> Wish | None:
        if key == "enter":
            self.prompt, answer = "", self.answer
            return self._done(answer)
        if key == "escape":
            self.prompt = ""
        elif key == "backspace":
            self.answer = self.answer[:-1]
        elif key == "space" or len(key) == 1:
            self.answer += " " if key == "space" else key
        return None

    def _confirm(self, action: str, names: tuple[str, ...]) -> None:
        def done(answer: str) -> Wish | None:
            if answer.strip().lower() in ("y", "yes"):
                return Wish("act", action, names)
            self.message = "left as it is"
            return None

        self._ask(f"{action} {_few(names)}? [y/N] ", done)

    def _set_filter(self, text: str) -> None:
        self.filter, self.top = text, 0

    def _search(self, text: str) -> None:
        self.search, self.back = text, 0

    def _signal(self, text: str, names: tuple[str, ...]) -> Wish | None:
        return Wish("act", "signal", names, signal=text.strip().upper()) if text.strip() else None

    def _scale(self, program: str, text: str) -> Wish | None:
        low, _, high = text.strip().partition("..")
        if not low.isascii() or not low.isdigit() or (high and not (high.isascii() and high.isdigit())):
            self.message, self.failed = f"{text!r} is not a number; write 4 or 2..8", True
            return None
        return Wish("act", "scale", (program,), numbers=(int(low), int(high or low)))


def _few(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} processes"
